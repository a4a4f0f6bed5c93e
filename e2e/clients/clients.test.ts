/** Clients that nobody here wrote, against an API server of their own. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { AppsV1Api, CoreV1Api, KubeConfig, Watch } from "@kubernetes/client-node";
import { findProgram, run } from "#platform/main/run.ts";
import { type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";

const skipWithoutGo = findProgram("go") ? false : "go is not on the PATH: install it to run this test";
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

  it("kubectl: explain, diff, server-side apply, auth can-i, wait, events", { skip: skipWithoutKubectl }, async () => {
    assert.match(await capstan.kubectl("explain", "pod.spec.containers.image"), /FIELD: image <string>/);
    await capstan.kubectl("create", "configmap", "plain", "--from-literal=a=b");
    const apply = ["apply", "--server-side", "--field-manager=other", "-f"];
    const file = join(import.meta.dirname, "changed.yaml");
    const diff = await capstan.tryKubectl("diff", "-f", file);
    assert.equal(diff.code, 1, diff.stderr);
    assert.match(diff.stdout, /\+ {2}a: c/);
    const conflict = await capstan.tryKubectl(...apply, file);
    assert.match(conflict.stderr, /conflict with "kubectl-create"/);
    await capstan.kubectl(...apply, file, "--force-conflicts");
    await capstan.kubectl("wait", "--for=jsonpath={.data.a}=c", "configmap/plain", "--timeout=10s");
    assert.match(await capstan.kubectl("auth", "can-i", "--list"), /\*\.\*/);
    const events = await capstan.tryKubectl("events");
    assert.match(events.stdout + events.stderr, /No events|LAST SEEN/);
    const top = await capstan.tryKubectl("top", "nodes");
    assert.match(top.stderr, /Metrics API not available/);
  });
});
