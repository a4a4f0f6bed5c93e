import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeTable, normalizeByMaximum, verdicts, verdictsOfRoom } from "#sdk/plugin/scheduling.ts";
import type { Amounts, NodeDelta } from "#sdk/plugin/types.ts";
import { fit } from "./resources.ts";
import { balancedScorer, CPU_AND_MEMORY, scorerOf } from "./scoring.ts";

const amounts = (cpuMilli: number, memory: number, others: Amounts["others"] = []): Amounts => ({
  cpuMilli,
  memory,
  ephemeralStorage: 0,
  others,
});
const node = (requested = amounts(0, 0), pods = 0) => ({
  name: "n",
  allocatable: amounts(1000, 1000, [["example.com/gpu", 1]]),
  podsMax: 2,
  facts: undefined,
  requested,
  nonzeroCpuMilli: requested.cpuMilli,
  nonzeroMemory: requested.memory,
  pods,
  groups: new Map<number, number>(),
});
const pod = (requests: Amounts) => ({
  requests,
  nonzeroCpuMilli: requests.cpuMilli,
  nonzeroMemory: requests.memory,
  object: "{}",
});

test("a pod fits up to the last millicore and byte", () => {
  assert.equal(fit(pod(amounts(500, 500)), node(amounts(500, 500), 1)), undefined);
  assert.equal(fit(pod(amounts(0, 0)), node(amounts(2000, 2000), 1)), undefined);
});

test("everything that is missing is said, and whether eviction could help", () => {
  assert.deepEqual(fit(pod(amounts(501, 501)), node(amounts(500, 500), 2)), {
    reasons: ["Too many pods", "Insufficient cpu", "Insufficient memory"],
    unresolvable: false,
  });
  assert.deepEqual(fit(pod(amounts(1001, 0)), node()), { reasons: ["Insufficient cpu"], unresolvable: true });
  const gpus = pod(amounts(0, 0, [["example.com/gpu", 2]]));
  assert.deepEqual(fit(gpus, node()), { reasons: ["Insufficient example.com/gpu"], unresolvable: true });
});

const leastAllocated = scorerOf({});

test("the emptier node scores higher", () => {
  assert.equal(leastAllocated(pod(amounts(100, 100)), node()), 90);
  assert.equal(leastAllocated(pod(amounts(100, 100)), node(amounts(400, 800))), 30);
  assert.equal(leastAllocated(pod(amounts(2000, 2000)), node()), 0);
});

test("the fuller node scores higher where pods are packed, and any shape can be given", () => {
  const most = scorerOf({ type: "MostAllocated" });
  assert.equal(most(pod(amounts(100, 100)), node(amounts(400, 800))), 70);
  const gpus = [{ name: "example.com/gpu", weight: 5 }];
  const shape = [
    { utilization: 0, score: 0 },
    { utilization: 100, score: 10 },
  ];
  const ratio = scorerOf({ type: "RequestedToCapacityRatio", resources: gpus, requestedToCapacityRatio: { shape } });
  assert.equal(ratio(pod(amounts(0, 0, [["example.com/gpu", 1]])), node()), 100);
  assert.equal(ratio(pod(amounts(0, 0)), node()), 0);
});

test("a node whose resources are used more evenly with the pod is balanced better", () => {
  const balanced = balancedScorer(CPU_AND_MEMORY);
  assert.equal(balanced(pod(amounts(0, 0)), node()), 0);
  assert.equal(balanced(pod(amounts(100, 100)), node()), 75);
  assert.equal(balanced(pod(amounts(400, 0)), node(amounts(0, 400))), 85);
  assert.equal(balanced(pod(amounts(400, 0)), node(amounts(400, 0))), 65);
});

const delta = (change: Partial<NodeDelta>): NodeDelta => ({
  whole: false,
  removed: [],
  nodes: [],
  usage: [],
  groups: [],
  placements: [],
  forgotten: [],
  ...change,
});

test("the table follows deltas, and a whole one forgets", () => {
  const table = new NodeTable((object) => object);
  const entry = (id: number) => ({ id, name: `n${id}`, allocatable: amounts(10, 10), podsMax: 1, object: `o${id}` });
  table.apply(delta({ whole: true, nodes: [entry(0), entry(1)] }));
  const usage = [{ id: 1, requested: amounts(5, 5), nonzeroCpuMilli: 5, nonzeroMemory: 5, pods: 1 }];
  table.apply(delta({ usage, removed: [0] }));
  assert.deepEqual([table.row(0), table.row(1)?.pods, table.row(1)?.facts], [undefined, 1, "o1"]);
  table.apply(delta({ whole: true, nodes: [entry(2)] }));
  assert.deepEqual([table.row(1), table.row(2)?.pods], [undefined, 0]);
});

test("equal outcomes are said once", () => {
  const table = new NodeTable(() => undefined);
  const nodes = [0, 1, 2].map((id) => ({
    id,
    name: `n${id}`,
    allocatable: amounts(id * 10, 0),
    podsMax: 1,
    object: "",
  }));
  table.apply(delta({ whole: true, nodes }));
  const { codes, outcomes } = verdicts(table, [0, 1, 2, 9], (row) => fit(pod(amounts(15, 0)), row));
  assert.deepEqual([Array.from(codes), outcomes.length], [[1, 1, 0, 2], 2]);
});

test("what is said by nodes' room is what is said by asking each, whatever changed", () => {
  const table = new NodeTable(() => undefined);
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const ids = Array.from({ length: 12 }, (_, id) => id);
  const some = () => ids.filter(() => random(3) === 0);
  for (let round = 0; round < 200; round++) {
    const nodes = some().map((id) => ({
      id,
      name: `n${id}`,
      allocatable: amounts(random(5), random(5)),
      podsMax: random(4),
      object: "",
    }));
    const usage = some().map((id) => ({
      id,
      requested: amounts(random(6), random(6)),
      nonzeroCpuMilli: 0,
      nonzeroMemory: 0,
      pods: random(4),
    }));
    table.apply(delta({ whole: random(20) === 0, removed: random(4) === 0 ? some() : [], nodes, usage }));
    const asked = pod(amounts(random(4), random(4)));
    const judge = (row: Parameters<typeof fit>[1]) => fit(asked, row);
    assert.deepEqual(verdictsOfRoom(table, asked.requests, ids, judge), verdicts(table, ids, judge));
  }
});

test("scores are scaled by the greatest, as upstream's DefaultNormalizeScore", () => {
  assert.deepEqual(normalizeByMaximum([1, 2, 3], false), [33, 66, 100]);
  assert.deepEqual(normalizeByMaximum([1, 2, 3], true), [67, 34, 0]);
  assert.deepEqual(normalizeByMaximum([0, 0], true), [100, 100]);
  assert.deepEqual(normalizeByMaximum([0, 0], false), [0, 0]);
});
