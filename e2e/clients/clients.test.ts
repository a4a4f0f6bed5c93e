/** Clients that nobody here wrote, against an API server of their own. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { AppsV1Api, CoreV1Api, KubeConfig, Watch } from "@kubernetes/client-node";
import { findProgram, run } from "#platform/main/run.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { binDir, buildBinaries, clientBinaries } from "../conformance/suite.ts";
import { type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";
import { pythonWith } from "../support/python.ts";

const skipWithoutGo = findProgram("go") ? false : "go is not on the PATH: install it to run this test";
const python = await pythonWith("kubernetes==37.0.2");
const BUILD_MS = 600_000;

describe("clients of others", () => {
  let capstan: Instance;

  before(async () => {
    capstan = await startInstance({ nodes: 0 });
    await capstan.up();
  });
  after(() => capstan?.remove());

  it("client-go: protobuf, informer, dynamic client, leader election", { skip: skipWithoutGo }, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "client-go-"));
    t.after(() => rmSync(dir, { recursive: true }));
    const program = join(dir, "client-go");
    const cwd = join(import.meta.dirname, "client-go");
    const built = await run("go", ["build", "-p", "2", "-o", program, "."], { cwd, timeoutMs: BUILD_MS });
    assert.equal(built.code, 0, built.stderr);
    const env = { ...process.env, KUBECONFIG: capstan.kubeconfig };
    const done = await run(program, [], { env, timeoutMs: 90_000 });
    assert.equal(done.code, 0, done.stdout + done.stderr);
    assert.match(done.stdout, /leading/);
  });

  it("@kubernetes/client-node: create, list, watch, delete", async () => {
    const config = new KubeConfig();
    config.loadFromFile(capstan.kubeconfig);
    const core = config.makeApiClient(CoreV1Api);
    const namespace = "default";
    const { metadata } = await core.listNamespacedConfigMap({ namespace });
    const seen: string[] = [];
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const watched = new Promise<void>((resolve, reject) => {
      const query = { resourceVersion: metadata?.resourceVersion, timeoutSeconds: 30 };
      const event = (type: string, object: { metadata: { name: string } }) => {
        if (object.metadata.name === "from-node") seen.push(type);
        if (type === "DELETED") resolve();
      };
      new Watch(config)
        .watch(path, query, event, (error) => (error ? reject(error as Error) : resolve()))
        .catch(reject);
    });
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "from-node" }, data: { a: "b" } } });
    await core.deleteNamespacedConfigMap({ namespace, name: "from-node" });
    await watched;
    assert.deepEqual(seen, ["ADDED", "DELETED"]);
    const { items } = await config.makeApiClient(AppsV1Api).listNamespacedDeployment({ namespace });
    assert.deepEqual(items, []);
  });

  it("the Python client: typed, dynamic, watch, patches, a custom resource", { skip: python.skip }, async () => {
    const env = { ...process.env, KUBECONFIG: capstan.kubeconfig };
    const program = join(import.meta.dirname, "python/client.py");
    const done = await run(join(python.bin, "python"), [program], { env, timeoutMs: 60_000 });
    assert.equal(done.code, 0, done.stdout + done.stderr);
  });

  it("kubectl of the machine", { skip: skipWithoutKubectl }, () =>
    useful((...args) => capstan.tryKubectl(...args), "machine"),
  );

  it("kubectl of this release", { skip: skipWithoutGo }, async () => {
    await buildBinaries(defaultBuildDir(), clientBinaries, () => undefined);
    const program = join(binDir(defaultBuildDir()), "kubectl");
    const common = ["--kubeconfig", capstan.kubeconfig, "--cache-dir", join(capstan.dataDir, "kube-cache-new")];
    await useful((...args) => run(program, [...common, ...args], { timeoutMs: 60_000 }), "release");
  });

  /** explain, diff, apply on the server, wait, can-i, events, top without nodes, describe. */
  async function useful(tryKubectl: Instance["tryKubectl"], name: string): Promise<void> {
    const kubectl = async (...args: string[]) => {
      const { code, stdout, stderr } = await tryKubectl(...args);
      assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stdout}${stderr}`);
      return stdout;
    };
    assert.match(await kubectl("explain", "pod.spec.containers.image"), /FIELD: image <string>/);
    await kubectl("create", "configmap", name, "--from-literal=a=b");
    const file = join(capstan.dataDir, `${name}.yaml`);
    const metadata = { name, namespace: "default" };
    writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { a: "c" } }));
    const apply = ["apply", "--server-side", "--field-manager=other", "-f"];
    const diff = await tryKubectl("diff", "-f", file);
    assert.equal(diff.code, 1, diff.stderr);
    assert.match(diff.stdout, /\+ {2}a: c/);
    const conflict = await tryKubectl(...apply, file);
    assert.match(conflict.stderr, /conflict with "kubectl-create"/);
    await kubectl(...apply, file, "--force-conflicts");
    await kubectl("wait", "--for=jsonpath={.data.a}=c", `configmap/${name}`, "--timeout=10s");
    assert.match(await kubectl("describe", "configmap", name), /a:\n----\nc/);
    assert.match(await kubectl("auth", "can-i", "--list"), /\*\.\*/);
    assert.match(await kubectl("auth", "whoami"), /kubernetes-admin/);
    assert.match(await kubectl("api-resources"), /poddisruptionbudgets/);
    const events = await tryKubectl("events");
    assert.match(events.stdout + events.stderr, /No events|LAST SEEN/);
    const top = await tryKubectl("top", "nodes");
    assert.match(top.stdout + top.stderr, /No resources found|metrics not available yet/i);
  }
});
