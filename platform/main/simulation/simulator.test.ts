import { deepEqual, equal, ok } from "node:assert/strict";
import test from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { nextOf, RUN_SECONDS_ANNOTATION, startSimulator } from "./simulator.ts";

const core = (resource: string) => ({ group: "", version: "v1", resource });
const LEASES = { group: "coordination.k8s.io", version: "v1", resource: "leases" };
const podOn = (name: string, nodeName: string, more: Partial<Pod["spec"]> = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default" },
  spec: { nodeName, containers: [{ name: "c", image: "x" }], ...more },
});

test("nodes are ready and say so, pods on them run and go; others are left alone", async (t) => {
  const api = createFakeApi();
  const stop = new AbortController();
  const simulator = startSimulator({ client: api.client, log: silentLog, nodes: 3, signal: stop.signal });
  t.after(async () => {
    stop.abort();
    await simulator.done;
  });
  await simulator.ready;
  const nodes = (await api.client.list<Node>(core("nodes"))).items;
  deepEqual(
    nodes.map(({ status }) => status?.conditions?.[0]?.status),
    ["True", "True", "True"],
  );
  equal((await api.client.list<KubeObject>(LEASES)).items.length, 3);
  await api.client.create(core("pods"), podOn("web", "simulated-00001"));
  await api.client.create(core("pods"), podOn("other", "real"));
  const get = (name: string) => api.client.get<Pod>(core("pods"), { namespace: "default", name });
  await until(async () => (await get("web")).status?.phase === "Running");
  ok((await get("web")).status?.conditions?.every(({ status }) => status === "True"));
  equal((await get("other")).status?.phase, undefined);
  await api.client.patch(
    core("pods"),
    { namespace: "default", name: "web" },
    { type: "merge", body: { metadata: { finalizers: ["slow"] } } },
  );
  await api.client.delete(core("pods"), { namespace: "default", name: "web" });
  await api.client.patch(
    core("pods"),
    { namespace: "default", name: "web" },
    { type: "merge", body: { metadata: { finalizers: null } } },
  );
  await until(() =>
    get("web").then(
      () => false,
      (error: unknown) => isReason(error, "NotFound"),
    ),
  );
});

test("a pod that is not to be restarted ends after its time", () => {
  const now = Date.parse("2026-01-01T00:00:10Z");
  const running = (startTime: string): Pod => ({
    ...podOn("job", "simulated-00000", { restartPolicy: "Never" }),
    metadata: { name: "job", annotations: { [RUN_SECONDS_ANNOTATION]: "5" } },
    status: { phase: "Running", startTime },
  });
  deepEqual(nextOf(running("2026-01-01T00:00:07Z"), now), { waitMs: 2000 });
  const ended = nextOf(running("2026-01-01T00:00:05Z"), now);
  ok(typeof ended === "object" && "status" in ended);
  equal(ended.status.phase, "Succeeded");
  equal(nextOf({ ...running(""), status: { phase: "Succeeded" } }, now), undefined);
});
