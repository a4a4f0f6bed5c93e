import assert from "node:assert/strict";
import { it } from "node:test";
import type { NodeContext, NodePod } from "../context.ts";
import { nothing } from "../observe.ts";
import { createEviction, type Evicted } from "./eviction.ts";
import { evictionMessage, type PodUsage, rank, refusalUnder, storageExcess } from "./ranking.ts";
import {
  DEFAULT_THRESHOLDS,
  holdingPressures,
  metThresholds,
  type PressureType,
  type Signal,
  type SignalName,
} from "./thresholds.ts";

const MIB = 1 << 20;
function pod(
  name: string,
  more: { priority?: number; memory?: string; limit?: string; sizeLimit?: string } = {},
): NodePod {
  const resources = {
    ...(more.memory ? { requests: { memory: more.memory } } : {}),
    ...(more.limit ? { limits: { "ephemeral-storage": more.limit } } : {}),
  };
  return {
    metadata: { namespace: "default", name, uid: name },
    spec: {
      containers: [{ name: "main", resources }],
      ...(more.priority === undefined ? {} : { priority: more.priority }),
      ...(more.sizeLimit ? { volumes: [{ name: "scratch", emptyDir: { sizeLimit: more.sizeLimit } }] } : {}),
    },
  };
}
const usage = (memory: number, disk = 0): PodUsage => ({
  memory,
  processes: 1,
  disk,
  containers: new Map([["main", { memory, disk }]]),
  emptyDirs: new Map([["scratch", disk]]),
});
const signals = (available: number): Map<SignalName, Signal> =>
  new Map([["memory.available", { available, capacity: 1000 * MIB }]]);

it("a threshold is an amount, or a part of the whole that large disks bound", () => {
  assert.equal(metThresholds(DEFAULT_THRESHOLDS, signals(101 * MIB)).length, 0);
  assert.equal(metThresholds(DEFAULT_THRESHOLDS, signals(99 * MIB))[0]?.quantity, 100 * MIB);
  const disk = (available: number) =>
    metThresholds(DEFAULT_THRESHOLDS, new Map([["nodefs.available", { available, capacity: 2 ** 40 }]]));
  assert.equal(disk(6 * 2 ** 30).length, 0);
  assert.equal(disk(4 * 2 ** 30).length, 1);
  // A file system that counts no inodes is not short of them.
  assert.equal(
    metThresholds(DEFAULT_THRESHOLDS, new Map([["nodefs.inodesFree", { available: 0, capacity: 0 }]])).length,
    0,
  );
});

it("a condition holds for five minutes after its last cause", () => {
  const last = new Map<PressureType, number>();
  const met = metThresholds(DEFAULT_THRESHOLDS, signals(1));
  assert.deepEqual([...holdingPressures(met, last, 0)], ["MemoryPressure"]);
  assert.equal(holdingPressures([], last, 299_000).size, 1);
  assert.equal(holdingPressures([], last, 300_000).size, 0);
});

it("beyond its request goes first, then the lower priority, then the one that is further beyond", () => {
  const used = new Map([
    ["fits", usage(10 * MIB)],
    ["low", usage(20 * MIB)],
    ["much", usage(90 * MIB)],
    ["high", usage(99 * MIB)],
  ]);
  const pods = [
    pod("fits", { memory: "50Mi" }),
    pod("high", { priority: 5 }),
    pod("low", { priority: 1 }),
    pod("much", { priority: 1 }),
  ];
  assert.deepEqual(
    rank(pods, "memory", (one) => used.get(one.metadata.uid)).map((one) => one.metadata.name),
    ["much", "low", "high", "fits"],
  );
});

it("what is said of an eviction is upstream's text", () => {
  const [met] = metThresholds(DEFAULT_THRESHOLDS, signals(50 * MIB));
  assert.ok(met);
  assert.equal(
    evictionMessage(pod("web"), "memory", met, usage(60 * MIB)),
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container main was using 60Mi, request is 0, has larger consumption of memory. ",
  );
  assert.equal(
    storageExcess(pod("a", { sizeLimit: "1Mi" }), usage(0, 2 * MIB)),
    'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ',
  );
  assert.equal(
    storageExcess(pod("a", { limit: "1Mi" }), usage(0, 2 * MIB)),
    "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ",
  );
  assert.equal(storageExcess(pod("a", { limit: "4Mi" }), usage(0, 2 * MIB)), undefined);
});

it("under memory pressure only pods without any request are refused, under others all but critical ones", () => {
  const memory = new Set<PressureType>(["MemoryPressure"]);
  assert.equal(refusalUnder(memory, pod("a")), "The node had condition: [MemoryPressure]. ");
  assert.equal(refusalUnder(memory, pod("a", { memory: "1Mi" })), undefined);
  const disk = new Set<PressureType>(["DiskPressure"]);
  assert.match(refusalUnder(disk, pod("a", { memory: "1Mi" })) ?? "", /DiskPressure/);
  assert.equal(refusalUnder(disk, pod("a", { priority: 2_000_000_000 })), undefined);
});

function world(pods: NodePod[], available: () => number, used: Map<string, PodUsage>) {
  let now = 0;
  const evicted: [string, Evicted][] = [];
  const events: string[] = [];
  let reclaimed = 0;
  const context = {
    clock: { now: () => now },
    recorder: { event: (_: unknown, __: string, reason: string) => void events.push(reason) },
    settings: {},
    log: { warn: () => undefined },
  } as unknown as NodeContext;
  const eviction = createEviction({
    context,
    observer: { get: () => nothing },
    node: { metadata: { name: "n1" } },
    pods: () => pods.filter((one) => evicted.every(([name]) => name !== one.metadata.name)),
    evict: (one, why) => evicted.push([one.metadata.name, why]) > 0,
    reclaim: async () => ++reclaimed,
    signals: async () => signals(available()),
    usages: async () => used,
  });
  return { eviction, evicted, events, pass: (ms: number) => (now += ms), reclaimed: () => reclaimed };
}

it("one pod is ended at a time, and the next only when that did not help", async () => {
  const used = new Map([
    ["a", usage(300 * MIB)],
    ["b", usage(200 * MIB)],
  ]);
  let left = 10 * MIB;
  const { eviction, evicted, events, pass } = world([pod("a"), pod("b")], () => left, used);
  await eviction.check();
  await eviction.check();
  assert.deepEqual(
    evicted.map(([name]) => name),
    ["a"],
  );
  assert.deepEqual([evicted[0]?.[1].graceSeconds, evicted[0]?.[1].disrupted], [1, true]);
  assert.ok(events.includes("EvictionThresholdMet") && events.includes("Evicted"));
  pass(31_000);
  await eviction.check();
  assert.deepEqual(
    evicted.map(([name]) => name),
    ["a", "b"],
  );
  left = 500 * MIB;
  await eviction.check();
  assert.deepEqual([...eviction.pressures()], ["MemoryPressure"]);
  pass(300_000);
  await eviction.check();
  assert.equal(eviction.pressures().size, 0);
});

it("a pod that wrote more than it may goes whatever the node has left", async () => {
  const used = new Map([["a", usage(0, 3 * MIB)]]);
  const { eviction, evicted } = world([pod("a", { sizeLimit: "1Mi" }), pod("b")], () => 900 * MIB, used);
  await eviction.check();
  assert.deepEqual(
    evicted.map(([name, why]) => [name, why.disrupted]),
    [["a", false]],
  );
  assert.equal(eviction.pressures().size, 0);
});
