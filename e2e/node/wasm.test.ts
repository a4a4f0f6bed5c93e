/** Pods that are WebAssembly components, on a node without root, containers or a network of its own (`up --runtime wasm`). */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { stringify } from "yaml";
import { freePort } from "#db/testing.ts";
import { loopbackAddress } from "#platform/base/loopback.ts";
import type { Config } from "#platform/main/config.ts";
import { readIdentity } from "#platform/main/processes.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { eventually, type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";

const folder = join(import.meta.dirname, "wasm");

describe("pods that are components", { skip: skipWithoutKubectl }, () => {
  let instance: Instance;
  let nodePort = 0;

  const apply = async (...objects: object[]) => {
    const file = join(instance.dataDir, "objects.yaml");
    writeFileSync(file, objects.map((object) => stringify(object)).join("---\n"));
    await instance.kubectl("apply", "-f", file);
  };
  const pod = async (name: string) => JSON.parse(await instance.kubectl("get", "pod", name, "-o", "json")) as Pod;
  const until = (name: string, what: string, holds: (pod: Pod) => boolean) =>
    eventually(`${name} ${what}`, async () => {
      const found = await pod(name);
      return holds(found) && found;
    });
  const terminated = ({ status }: Pod) => status?.containerStatuses?.[0]?.state?.terminated;
  const program = (name: string, args: string[], more: object = {}, limits: object = {}) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      runtimeClassName: "wasm",
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "main", image: "program:1", args, resources: { limits } }],
      ...more,
    },
  });
  const get = async (path: string, init?: RequestInit) =>
    await fetch(`http://127.0.0.1:${nodePort}${path}`, { ...init, signal: AbortSignal.timeout(10_000) });

  before(async () => {
    // Node ports have a range of their own.
    nodePort = 30_000 + ((await freePort()) % 2_700);
    const engine = addonReady() ? [] : ["--engine", "jco"];
    instance = await startInstance({ nodes: 1, args: ["--runtime", "wasm", ...engine] });
    for (const name of ["server", "program"]) {
      const built = await instance.capstan("image", "build", join(folder, name), "--name", `${name}:1`);
      assert.equal(built.code, 0, built.stderr);
    }
    await apply(
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "greeting" }, data: { greeting: "hello" } },
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "server", labels: { app: "server" } },
        spec: {
          runtimeClassName: "wasm",
          terminationGracePeriodSeconds: 2,
          containers: [
            {
              name: "main",
              image: "server:1",
              env: [{ name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
              ports: [{ name: "http", containerPort: 8080 }],
              readinessProbe: { httpGet: { path: "/healthz", port: "http" }, periodSeconds: 1 },
              livenessProbe: { httpGet: { path: "/healthz", port: "http" }, periodSeconds: 1, failureThreshold: 2 },
              volumeMounts: [
                { name: "config", mountPath: "/config" },
                { name: "data", mountPath: "/data" },
              ],
            },
          ],
          volumes: [
            { name: "config", configMap: { name: "greeting" } },
            { name: "data", emptyDir: {} },
          ],
        },
      },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "server" },
        spec: { type: "NodePort", selector: { app: "server" }, ports: [{ port: 8080, targetPort: "http", nodePort }] },
      },
    );
    await instance.kubectl("wait", "--for=condition=Ready", "pod/server", "--timeout=60s");
  });
  after(async () => {
    await instance?.remove();
  });

  it("answer HTTP through a service's proxy on loopback, and say in their log what they print", async () => {
    const answer = await eventually("the service", async () => (await get("/")).text());
    assert.match(answer, /^\d+ server$/);
    assert.match(await instance.kubectl("logs", "server"), /^request 1 of server$/m);
    const config = JSON.parse(readFileSync(join(instance.dataDir, "config.json"), "utf8")) as Config;
    const clusterIP = await instance.kubectl("get", "service", "server", "-o", "jsonpath={.spec.clusterIP}");
    const own = await fetch(`http://${loopbackAddress(config.instance, "services", clusterIP)}:8080/echo?a=b`, {
      method: "POST",
      headers: { "x-test": "header" },
      body: "body",
    });
    assert.equal(await own.text(), "POST a=b header body");
    for (const what of ["pods", "services"])
      assert.match(
        await instance.kubectl("get", "--raw", `/api/v1/namespaces/default/${what}/server:8080/proxy/`),
        /^\d+ server$/,
        `by the API server's proxy of ${what}`,
      );
  });

  it("have their volumes and nothing else of the machine", async () => {
    assert.equal(await (await get("/files")).text(), "hello kept");
    const outside = await get("/outside");
    assert.equal(outside.status, 500);
    assert.doesNotMatch(await outside.text(), /root/);
  });

  it("go on after a request that failed or trapped", async () => {
    assert.equal((await get("/throw")).status, 500);
    assert.match(await instance.kubectl("logs", "server"), /thrown by the pod/);
    await get("/deep");
    assert.equal((await get("/healthz")).status, 200);
    assert.equal((await pod("server")).status?.containerStatuses?.[0]?.restartCount, 0);
  });

  it("outlive the node's agent, which finds them again", async () => {
    const before = Number((await (await get("/")).text()).split(" ")[0]);
    const agent = readIdentity(join(instance.dataDir, "run"), "node-node-1");
    process.kill(agent?.pid ?? 0, "SIGKILL");
    const count = await eventually("the service after the agent", async () =>
      Number((await (await get("/")).text()).split(" ")[0]),
    );
    assert.ok(count > before, `${count} after ${before}`);
    assert.equal((await pod("server")).status?.containerStatuses?.[0]?.restartCount, 0);
  });

  it("are started again when their liveness probe fails", async () => {
    await get("/sicken");
    await until("server", "restarted", ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0);
    await eventually("the restarted server", async () => (await get("/healthz")).status === 200);
  });

  it("run no commands, and say why", async () => {
    const refused = await instance.tryKubectl("exec", "server", "--", "ls");
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /a WebAssembly component, which has no processes/);
  });

  it("end with the exit code of their program", async () => {
    await apply(program("well", []), program("badly", ["exit", "7"]));
    assert.equal(terminated(await until("well", "ended", (p) => p.status?.phase === "Succeeded"))?.reason, "Completed");
    assert.equal(terminated(await until("badly", "ended", (p) => p.status?.phase === "Failed"))?.exitCode, 7);
    assert.match(await instance.kubectl("logs", "badly"), /^asked to exit 7$/m);
  });

  it("are killed at their memory limit", async () => {
    await apply(program("large", ["grow"], {}, { memory: "32Mi" }));
    const end = terminated(await until("large", "ended", (p) => p.status?.phase === "Failed"));
    assert.deepEqual([end?.exitCode, end?.reason], [137, "OOMKilled"]);
  });

  it("are stopped at their deadline, however busy, and restarted where their policy says so", async () => {
    await apply(program("late", ["spin"], { activeDeadlineSeconds: 2 }, { cpu: "100m" }));
    await apply(program("again", ["exit", "1"], { restartPolicy: "OnFailure" }));
    await until("again", "restarted", ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0);
    const late = await until("late", "ended", (p) => p.status?.phase === "Failed");
    assert.equal(late.status?.reason, "DeadlineExceeded");
  });

  it("are the only pods there: others are told why", async () => {
    const plain = { name: "main", image: "busybox:1" };
    const tolerations = [{ operator: "Exists" }];
    await apply(
      { apiVersion: "v1", kind: "Pod", metadata: { name: "plain" }, spec: { containers: [plain] } },
      { apiVersion: "v1", kind: "Pod", metadata: { name: "stubborn" }, spec: { containers: [plain], tolerations } },
    );
    const events = (name: string) =>
      instance.kubectl("get", "events", "--field-selector", `involvedObject.name=${name}`);
    await eventually("the scheduler's reason", async () => /untolerated taint/.test(await events("plain")));
    await eventually("the node's reason", async () =>
      /this node runs WebAssembly components only/.test(await events("stubborn")),
    );
  });

  it("come again with the machine", async () => {
    await instance.down();
    await assert.rejects(get("/"));
    await instance.up();
    await eventually("the service after a restart", async () => (await get("/healthz")).status === 200);
  });
});
