import { deepEqual, equal } from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Node, Pod, Taint } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { createFakeApi, type FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { nodeLifecycleController } from "./node-lifecycle/controller.ts";
import { taintsFor, unknownConditions } from "./node-lifecycle/reconcile.ts";
import { NODES, PODS } from "./resources.ts";
import { runControllers } from "./run.ts";
import { taintEvictionController } from "./taint-eviction/controller.ts";
import { evictionInMs } from "./taint-eviction/reconcile.ts";

const NOW = Date.parse("2026-01-01T00:10:00Z");
const node = (ready: string, more: Partial<Node["spec"]> = {}, conditions: string[] = []): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: more,
  status: {
    conditions: [{ type: "Ready", status: ready }, ...conditions.map((type) => ({ type, status: "True" }))],
  },
});
const text = (taints: Taint[]) => taints.map((t) => `${t.key.split("/")[1] ?? t.key}:${t.effect}`);

test("a silent node's conditions become Unknown, with the reason whether it ever spoke", () => {
  const conditions = unknownConditions(node("True"), NOW);
  deepEqual(
    conditions.map((c) => [c.type, c.status, c.reason]),
    [
      ["Ready", "Unknown", "NodeStatusUnknown"],
      ["MemoryPressure", "Unknown", "NodeStatusNeverUpdated"],
      ["DiskPressure", "Unknown", "NodeStatusNeverUpdated"],
      ["PIDPressure", "Unknown", "NodeStatusNeverUpdated"],
    ],
  );
  const marked = { ...node("True"), status: { conditions } };
  equal(unknownConditions(marked, NOW + 1000), conditions);
});

test("taints follow conditions, and other people's stay", () => {
  const own = { key: "example.com/mine", effect: "NoSchedule" };
  deepEqual(text(taintsFor(node("True", { taints: [own] }), true, NOW)), ["mine:NoSchedule"]);
  deepEqual(text(taintsFor(node("False", { taints: [own] }), true, NOW)), [
    "mine:NoSchedule",
    "not-ready:NoSchedule",
    "not-ready:NoExecute",
  ]);
  deepEqual(text(taintsFor(node("Unknown"), true, NOW)), ["unreachable:NoSchedule", "unreachable:NoExecute"]);
  deepEqual(text(taintsFor(node("Unknown"), false, NOW)), ["unreachable:NoSchedule"]);
  deepEqual(text(taintsFor(node("True", { unschedulable: true }, ["DiskPressure"]), true, NOW)), [
    "disk-pressure:NoSchedule",
    "unschedulable:NoSchedule",
  ]);
});

test("a taint keeps the time it was added", () => {
  const before = taintsFor(node("Unknown"), true, NOW);
  deepEqual(taintsFor(node("Unknown", { taints: before }), true, NOW + 60_000), before);
});

test("a pod leaves at once, after its toleration, or never", () => {
  const taint = { key: "k", effect: "NoExecute", timeAdded: "2026-01-01T00:09:00Z" };
  const pod = (...tolerations: object[]): Pod => ({ metadata: {}, spec: { containers: [], tolerations } });
  equal(evictionInMs(pod(), [taint], NOW, NOW), 0);
  equal(evictionInMs(pod({ key: "k", operator: "Exists", effect: "NoExecute" }), [taint], NOW, NOW), undefined);
  equal(evictionInMs(pod({ key: "k", operator: "Exists", tolerationSeconds: 300 }), [taint], NOW, NOW), 240_000);
  equal(evictionInMs(pod({ key: "k", operator: "Exists", tolerationSeconds: 30 }), [taint], NOW, NOW), 0);
  equal(evictionInMs(pod(), [{ ...taint, effect: "NoSchedule" }], NOW, NOW), undefined);
});

function setUp(t: TestContext): FakeApi {
  const api = createFakeApi();
  const stop = new AbortController();
  const loops = [nodeLifecycleController, taintEvictionController];
  const running = runControllers(loops, { client: api.client, log: silentLog, signal: stop.signal, rootCA: "" });
  t.after(async () => {
    stop.abort();
    await running;
  });
  return api;
}

test("pods of a node that is not ready are marked and leave, those that tolerate it stay, of every tenant", async (t) => {
  const api = setUp(t);
  await api.client.create(NODES, { ...node("True"), metadata: { name: "n2" } });
  await api.client.create(NODES, node("True"));
  const tenant = api.client.tenant("acme");
  const make = (name: string, tolerations: object[]) =>
    tenant.create<Pod>(PODS, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "default" },
      spec: { containers: [], nodeName: "n1", tolerations },
      status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
    });
  await make("leaves", []);
  await make("stays", [{ operator: "Exists" }]);
  await api.client.patch(
    NODES,
    { name: "n1" },
    { type: "merge", body: { status: { conditions: [{ type: "Ready", status: "False" }] } } },
    { subresource: "status" },
  );
  await until(async () => {
    try {
      await tenant.get(PODS, { namespace: "default", name: "leaves" });
      return false;
    } catch (error) {
      return isReason(error, "NotFound");
    }
  });
  await until(async () => {
    const pod = await tenant.get<Pod>(PODS, { namespace: "default", name: "stays" });
    return pod.status?.conditions?.[0]?.status === "False";
  });
  await api.client.patch(
    NODES,
    { name: "n1" },
    { type: "merge", body: { status: { conditions: [{ type: "Ready", status: "True" }] } } },
    { subresource: "status" },
  );
  await until(async () => ((await api.client.get<Node>(NODES, { name: "n1" })).spec?.taints ?? []).length === 0);
});
