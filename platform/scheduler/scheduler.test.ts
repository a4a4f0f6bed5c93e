import { deepEqual, equal, ok } from "node:assert/strict";
import test from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { conflict } from "#sdk/api/status.ts";
import { type CoreEvent, EVENTS } from "#sdk/client/recorder.ts";
import { createFakeApi, type FakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { type FilterPlugin, noPlugins, type SchedulingPlugins } from "./framework.ts";
import type { OfferedRoom } from "./offers.ts";
import { startScheduler } from "./scheduler.ts";
import { cpuFilter, setUp } from "./testing.ts";

const PODS = { group: "", version: "v1", resource: "pods" };
const NODES = { group: "", version: "v1", resource: "nodes" };

const makeNode = (api: FakeApi, name: string, cpu = "1") =>
  api.client.create<Node>(NODES, {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    status: { allocatable: { cpu, memory: "1Gi", pods: "10" } },
  });
const makePod = (api: FakeApi, name: string, cpu = "100m", more: Partial<Pod["spec"]> = {}) =>
  api.client.create<Pod>(PODS, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: { containers: [{ name: "c", resources: { requests: { cpu } } }], ...more },
  });
const getPod = (api: FakeApi, name: string) => api.client.get<Pod>(PODS, { namespace: "default", name });

const withFilter = (filter: FilterPlugin): SchedulingPlugins => ({ ...noPlugins, filters: () => [filter] });

test("without plugins every pod is bound, however large, and an event says where", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "n1");
  await makePod(api, "huge", "1000");
  await setUp(t, api);
  await until(async () => (await getPod(api, "huge")).spec?.nodeName === "n1");
  await until(async () => (await api.client.list<CoreEvent>(EVENTS)).items.length > 0);
  const [event] = (await api.client.list<CoreEvent>(EVENTS)).items;
  deepEqual(
    [event?.reason, event?.message, event?.source.component],
    ["Scheduled", "Successfully assigned default/huge to n1", "default-scheduler"],
  );
});

test("a pod of another scheduler, with gates or already bound is left alone", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "n1");
  await makePod(api, "other", "1m", { schedulerName: "mine" });
  await makePod(api, "gated", "1m", { schedulingGates: [{ name: "g" }] });
  await makePod(api, "bound", "1m", { nodeName: "elsewhere" });
  await makePod(api, "ours", "1m");
  await setUp(t, api);
  await until(async () => (await getPod(api, "ours")).spec?.nodeName === "n1");
  equal((await getPod(api, "other")).spec?.nodeName, undefined);
  equal((await getPod(api, "gated")).spec?.nodeName, undefined);
  equal((await getPod(api, "bound")).spec?.nodeName, "elsewhere");
});

test("pods fill nodes exactly, what is left says why, and is bound when room appears", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "n1");
  await makeNode(api, "n2");
  const filter = cpuFilter();
  await setUp(t, api, withFilter(filter));
  for (let i = 0; i < 5; i++) await makePod(api, `p${i}`, "500m");
  const bound = async () => {
    const { items } = await api.client.list<Pod>(PODS);
    return items.filter((p) => p.spec?.nodeName).map((p) => p.spec!.nodeName!);
  };
  await until(async () => (await bound()).length === 4);
  deepEqual((await bound()).sort(), ["n1", "n1", "n2", "n2"]);
  const waiting = async () => (await api.client.list<Pod>(PODS)).items.find((p) => !p.spec?.nodeName);
  await until(async () => (await waiting())?.status?.conditions !== undefined);
  const left = (await waiting())!;
  const condition = left.status!.conditions![0]!;
  deepEqual([condition.type, condition.status, condition.reason], ["PodScheduled", "False", "Unschedulable"]);
  equal(
    condition.message,
    "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
  );
  await makeNode(api, "n3");
  await until(async () => (await getPod(api, left.metadata.name!)).spec?.nodeName === "n3");
  ok(filter.deltas[0]?.whole && filter.deltas.slice(1).every((d) => !d.whole));
});

test("a lost binding gives its room back and the pod is tried again", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "n1");
  let refused = 0;
  api.intercept((_, resource) => {
    if (resource === "pods/binding" && refused++ < 3)
      throw conflict({ group: "", resource: "pods/binding" }, "p", "the node is full");
  });
  await setUp(t, api, withFilter(cpuFilter()));
  await makePod(api, "p", "1");
  await until(async () => (await getPod(api, "p")).spec?.nodeName === "n1");
  equal(refused, 4);
});

test("two schedulers bind every pod once", async (t) => {
  const api = createFakeApi();
  for (let i = 0; i < 3; i++) await makeNode(api, `n${i}`, "10");
  await setUp(t, api, withFilter(cpuFilter()));
  await setUp(t, api, withFilter(cpuFilter()));
  for (let i = 0; i < 20; i++) await makePod(api, `p${i}`, "1");
  await until(async () => (await api.client.list<Pod>(PODS)).items.every((p) => p.spec?.nodeName));
});

test("a plugin that fails is reported and the pod is tried again", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "n1");
  const filter = cpuFilter();
  let broken = 2;
  const plugin: FilterPlugin = {
    ...filter,
    evaluate: (...args) =>
      broken-- > 0 ? Promise.reject(new Error("plugin cpu: deadline exceeded")) : filter.evaluate(...args),
  };
  await setUp(t, api, withFilter(plugin));
  await makePod(api, "p");
  await until(async () => (await getPod(api, "p")).spec?.nodeName === "n1");
  await until(async () =>
    (await api.client.list<CoreEvent>(EVENTS)).items.some((e) => e.message.includes("deadline exceeded")),
  );
});

test("a pod of a higher priority gets its room: the victim is deleted, the node nominated and kept free", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "n1");
  await setUp(t, api, withFilter(cpuFilter()));
  await makePod(api, "low", "800m", { priority: 1 });
  await until(async () => (await getPod(api, "low")).spec?.nodeName === "n1");
  await api.client.patch(
    PODS,
    { namespace: "default", name: "low" },
    { type: "merge", body: { metadata: { finalizers: ["slow"] } } },
  );
  await makePod(api, "high", "800m", { priority: 10 });
  await until(async () => (await getPod(api, "low")).metadata.deletionTimestamp !== undefined);
  await until(async () => (await getPod(api, "high")).status?.nominatedNodeName === "n1");
  equal((await getPod(api, "low")).status?.conditions?.[0]?.reason, "PreemptionByScheduler");
  // Nobody of a lower priority may slip in while the victim ends.
  await makePod(api, "middle", "800m", { priority: 5, preemptionPolicy: "Never" });
  await api.client.patch(
    PODS,
    { namespace: "default", name: "low" },
    { type: "merge", body: { metadata: { finalizers: null } } },
  );
  await until(async () => (await getPod(api, "high")).spec?.nodeName === "n1");
  equal((await getPod(api, "middle")).spec?.nodeName, undefined);
});

const gang = (name: string, minCount: number) => ({
  annotations: { "scheduling.capstan.dev/gang": name, "scheduling.capstan.dev/gang-min-count": String(minCount) },
});
const makeMember = (api: FakeApi, name: string, of: string, minCount: number, cpu = "1") =>
  api.client.create<Pod>(PODS, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", ...gang(of, minCount) },
    spec: { containers: [{ name: "c", resources: { requests: { cpu } } }] },
  });
const boundOf = async (api: FakeApi, prefix: string) =>
  (await api.client.list<Pod>(PODS)).items.filter((p) => p.metadata.name?.startsWith(prefix) && p.spec?.nodeName)
    .length;

test("a gang waits until enough of its pods are there, then all are bound", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "n1", "4");
  await setUp(t, api, withFilter(cpuFilter()));
  await makeMember(api, "a0", "a", 3);
  await makeMember(api, "a1", "a", 3);
  await makePod(api, "single", "1");
  await until(async () => (await getPod(api, "single")).spec?.nodeName === "n1");
  equal(await boundOf(api, "a"), 0);
  await makeMember(api, "a2", "a", 3);
  await until(async () => (await boundOf(api, "a")) === 3);
});

test("of two gangs for which there is room only once, one is bound whole and the other holds nothing", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "n1", "2");
  await makeNode(api, "n2", "2");
  await setUp(t, api, withFilter(cpuFilter()));
  for (let i = 0; i < 3; i++) {
    await makeMember(api, `a${i}`, "a", 3);
    await makeMember(api, `b${i}`, "b", 3);
  }
  await until(async () => (await boundOf(api, "a")) + (await boundOf(api, "b")) === 3);
  const loser = (await boundOf(api, "a")) === 0 ? "b" : "a";
  const other = loser === "b" ? "a" : "b";
  equal(await boundOf(api, loser), 3);
  await until(async () => (await getPod(api, `${other}2`)).status?.conditions !== undefined);
  const message = (await getPod(api, `${other}2`)).status?.conditions?.[0]?.message;
  equal(message, `gang "${other}": 1 of 3 pods fit: 0/2 nodes are available: 2 Insufficient cpu.`);
  equal(await boundOf(api, other), 0);
  await makeNode(api, "n3", "3");
  await until(async () => (await boundOf(api, other)) === 3);
});

test("of many gangs that are alike, which are decided about together, each is bound whole or not at all", async (t) => {
  const api = createFakeApi();
  for (let i = 0; i < 10; i++) await makeNode(api, `n${i}`, "5");
  // Room for 50 pods: twelve gangs of four, and half a gang.
  for (let i = 0; i < 16; i++) for (let j = 0; j < 4; j++) await makeMember(api, `g${i}-${j}`, `g${i}`, 4);
  await setUp(t, api, withFilter(cpuFilter()));
  const counts = async () => Promise.all(Array.from({ length: 16 }, (_, i) => boundOf(api, `g${i}-`)));
  const refused = async () =>
    (await api.client.list<Pod>(PODS)).items.filter((p) => p.status?.conditions?.[0]?.reason === "Unschedulable");
  await until(async () => (await refused()).length === 16);
  deepEqual(
    (await counts()).toSorted((a, b) => a - b),
    [0, 0, 0, 0, ...Array(12).fill(4)],
  );
});

const makeImportant = (api: FakeApi, name: string, of: string, minCount: number, priority = 100) =>
  api.client.create<Pod>(PODS, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", ...gang(of, minCount) },
    spec: { containers: [{ name: "c", resources: { requests: { cpu: "1" } } }], priority },
  });
const isThere = async (api: FakeApi, name: string) =>
  (await api.client.list<Pod>(PODS)).items.some(({ metadata }) => metadata.name === name);

test("a gang makes room as a whole, by no more than it needs of what matters least", async (t) => {
  const api = createFakeApi();
  for (const name of ["n1", "n2"]) await makeNode(api, name, "2");
  for (const [name, node, priority] of [
    ["keep", "n1", 50],
    ["low-0", "n1", 1],
    ["low-1", "n2", 1],
    ["low-2", "n2", 2],
  ] as const)
    await makePod(api, name, "1", { nodeName: node, priority });
  await setUp(t, api, withFilter(cpuFilter()));
  for (let i = 0; i < 3; i++) await makeImportant(api, `g${i}`, "g", 3);
  await until(async () => (await boundOf(api, "g")) === 3);
  deepEqual(await Promise.all(["keep", "low-0", "low-1", "low-2"].map((name) => isThere(api, name))), [
    true,
    false,
    false,
    false,
  ]);
  for (let i = 0; i < 3; i++) ok((await getPod(api, `g${i}`)).spec?.nodeName);
});

test("a gang that would not fit even then evicts nobody and keeps nothing", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "n1", "2");
  await makePod(api, "low", "1", { nodeName: "n1", priority: 1 });
  await makePod(api, "high", "1", { nodeName: "n1", priority: 1000 });
  await setUp(t, api, withFilter(cpuFilter()));
  for (let i = 0; i < 2; i++) await makeImportant(api, `g${i}`, "g", 2);
  await until(async () => (await getPod(api, "g1")).status?.conditions !== undefined);
  ok(await isThere(api, "low"));
  equal((await getPod(api, "g0")).status?.nominatedNodeName, undefined);
});

test("of a gang with nobody to spare all are evicted, or none", async (t) => {
  const api = createFakeApi();
  for (const name of ["n1", "n2", "n3"]) await makeNode(api, name, "1");
  await setUp(t, api, withFilter(cpuFilter()));
  for (let i = 0; i < 2; i++) await makeMember(api, `a${i}`, "a", 2);
  await until(async () => (await boundOf(api, "a")) === 2);
  await makePod(api, "single", "1", { priority: 5 });
  await until(async () => (await boundOf(api, "single")) === 1);
  await makePod(api, "first", "1", { priority: 3 });
  await until(async () => (await boundOf(api, "first")) === 1);
  deepEqual(await Promise.all(["a0", "a1", "single"].map((name) => isThere(api, name))), [false, false, true]);
});

test("a framework's pods go where it takes room, and only where the filters let them", async (t) => {
  const api = createFakeApi();
  await makeNode(api, "small", "1");
  await makeNode(api, "large", "4");
  const framework = {
    name: "mine",
    async offer(_: string, rooms: readonly OfferedRoom[]) {
      const small = rooms.find(({ node }) => node === "small");
      const large = rooms.find(({ node }) => node === "large");
      const accepted = [
        { offer: small?.id ?? "", namespace: "default", pod: "big" },
        { offer: large?.id ?? "", namespace: "default", pod: "fits" },
      ];
      return { accepted, declineMs: 0 };
    },
  };
  const stop = new AbortController();
  const scheduler = startScheduler({
    client: api.client,
    plugins: withFilter(cpuFilter()),
    frameworks: { list: () => [framework], onChange: () => undefined },
    log: silentLog,
    signal: stop.signal,
  });
  t.after(async () => {
    stop.abort();
    await scheduler.done;
  });
  await scheduler.ready;
  await makePod(api, "big", "2", { schedulerName: "mine" });
  await makePod(api, "fits", "2", { schedulerName: "mine" });
  await until(async () => (await getPod(api, "fits")).spec?.nodeName === "large");
  equal((await getPod(api, "big")).spec?.nodeName, undefined);
});
