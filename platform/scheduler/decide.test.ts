import { deepEqual, equal, rejects } from "node:assert/strict";
import test from "node:test";
import { decide, fitMessage, preemptionMessage } from "./decide.ts";
import type { FilterPlugin, PodClass, ScorePlugin } from "./framework.ts";

const none = { cpuMilli: 0, memory: 0, ephemeralStorage: 0, others: [] };
const pod: PodClass = {
  tenant: "root",
  requests: none,
  nonzeroCpuMilli: 0,
  nonzeroMemory: 0,
  pod: { metadata: {}, tenant: "root", namespaceLabels: {} },
};
const refusing = (bad: number[], reason: string, unresolvable = false): FilterPlugin & { asked: number[][] } => {
  const asked: number[][] = [];
  return {
    name: reason,
    asked,
    sync: async () => undefined,
    async evaluate(_, nodes) {
      asked.push([...nodes]);
      return [{ codes: nodes.map((n) => (bad.includes(n) ? 1 : 0)), outcomes: [{ reasons: [reason], unresolvable }] }];
    },
  };
};
const scoring = (scores: Record<number, number>, weight = 1): ScorePlugin => ({
  name: "s",
  weight,
  sync: async () => undefined,
  score: async (_, nodes) => [nodes.map((n) => scores[n] ?? 0)],
});

test("without a filter every node is feasible", async () => {
  deepEqual(await decide(pod, [7], [], []), { node: 7 });
});

test("a node that one filter refuses is not shown to the next, and its reason is kept", async () => {
  const first = refusing([1], "Insufficient cpu");
  const second = refusing([2, 3], "node(s) were unschedulable");
  const decision = await decide(pod, [1, 2, 3], [first, second], []);
  deepEqual(second.asked, [[2, 3]]);
  equal(
    "failures" in decision && fitMessage(3, decision.failures.values()),
    "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.",
  );
});

test("the highest weighted sum wins, and chance decides between equals", async () => {
  const scores = [scoring({ 1: 50, 2: 60, 3: 60 }, 1), scoring({ 1: 6, 2: 0, 3: 0 }, 2)];
  deepEqual(await decide(pod, [1, 2, 3], [], scores), { node: 1 });
  const even = [scoring({ 1: 50, 2: 60, 3: 60 })];
  deepEqual(await decide(pod, [1, 2, 3], [], even, () => 0), { node: 2 });
  deepEqual(await decide(pod, [1, 2, 3], [], even, () => 0.99), { node: 3 });
});

test("normalize sees the scores of the candidates", async () => {
  const plugin = {
    ...scoring({ 1: -5, 2: 5 }),
    normalize: async (s: ArrayLike<number>) => Array.from(s, (v) => (v > 0 ? 100 : 0)),
  };
  deepEqual(await decide(pod, [1, 2], [], [plugin]), { node: 2 });
});

test("a plugin that doesn't answer for every node fails the attempt", async () => {
  const broken = { ...refusing([], "x"), evaluate: async () => [] };
  await rejects(decide(pod, [1], [broken], []), /did not answer/);
});

test("the message about preemption says only what is known", () => {
  const failures = new Map([
    [1, { reasons: ["Insufficient cpu"], unresolvable: false }],
    [2, { reasons: ["node(s) had untolerated taint(s)"], unresolvable: true }],
  ]);
  equal(
    fitMessage(
      2,
      failures.values(),
      preemptionMessage(failures, false, () => false),
    ),
    "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.",
  );
  equal(
    preemptionMessage(failures, false, () => true),
    undefined,
  );
  equal(
    preemptionMessage(failures, true, () => true),
    "not eligible due to preemptionPolicy=Never.",
  );
});
