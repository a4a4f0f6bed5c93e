import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import test from "node:test";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { createAsker } from "./answers.ts";
import { createSearch, DEFAULT_SEARCH, enoughNodes, questionOf, type SearchOptions } from "./decide.ts";
import { type FilterPlugin, type NodeDelta, noPlugins, type ScorePlugin } from "./framework.ts";
import { fitMessage, preemptionMessage } from "./messages.ts";
import { createNodeTable, demandOf, factsOf } from "./node-table.ts";
import { filterOf, scoreOf } from "./testing.ts";

const nodeOf = (name: string): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name },
  status: { allocatable: { cpu: "4", memory: "4Gi", pods: "10" } },
});
const podOf = (name: string, app = "web"): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default", labels: { app }, uid: name },
  spec: { containers: [{ name: "c" }] },
});

function setUp(
  names: string[],
  filters: readonly FilterPlugin[],
  scores: readonly ScorePlugin[],
  { random = Math.random, ...options }: Partial<SearchOptions> & { random?: () => number } = {},
) {
  const table = createNodeTable();
  for (const name of names) table.putNode(nodeOf(name));
  const asker = createAsker(table);
  const search = createSearch(table, asker, { ...DEFAULT_SEARCH, orderByPower: false, ...options }, random);
  const plugins = { ...noPlugins, filters: () => filters, scores: () => scores };
  const decide = (wanted = 1, pod = podOf("new")) =>
    search.decide(
      questionOf(
        factsOf(pod, () => ({})),
        demandOf(pod),
        plugins,
        table,
      ),
      { count: wanted },
    );
  return { table, asker, search, decide };
}

/** Nodes by number, in the order in which they were put. */
const refusing = (bad: number[], reason: string, more: Partial<FilterPlugin> = {}) => {
  const asked: number[][] = [];
  const filter = filterOf({
    name: reason,
    asked,
    async evaluate(_: unknown, nodes: readonly number[]) {
      asked.push([...nodes]);
      const codes = nodes.map((n) => (bad.includes(n) ? 1 : 0));
      return [{ codes, outcomes: [{ reasons: [reason], unresolvable: false }] }];
    },
    ...more,
  });
  return filter;
};
const scoring = (scores: Record<number, number>, more: Partial<ScorePlugin> = {}) =>
  scoreOf({ name: "s", score: async (_, nodes) => [nodes.map((n) => scores[n] ?? 0)], ...more });

test("without a filter every node is feasible", async () => {
  const { decide } = setUp(["a"], [], []);
  deepEqual(await decide(), { nodes: [0], top: 0, considered: 1, byPlugin: {} });
});

test("a node that one filter refuses is not shown to the next, and its reason is kept", async () => {
  const first = refusing([0], "Insufficient cpu");
  const second = refusing([1, 2], "node(s) were unschedulable");
  const decision = await setUp(["a", "b", "c"], [first, second], []).decide();
  deepEqual(second.asked[0], [1, 2]);
  equal(
    "failures" in decision && fitMessage(3, decision.failures.values()),
    "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.",
  );
});

test("what is wrong with the pod itself is said alone, and once", async () => {
  const first = refusing([0], "Insufficient cpu", { order: 1 });
  const second = refusing([1, 2], 'pod: persistentvolumeclaim "c" not found', { order: 2 });
  const decision = await setUp(["a", "b", "c"], [first, second], []).decide();
  equal(
    "failures" in decision && fitMessage(3, decision.failures.values()),
    '0/3 nodes are available: persistentvolumeclaim "c" not found.',
  );
});

test("without short-circuit every filter is asked about every node, and all reasons are said", async () => {
  const first = refusing([0, 1], "Insufficient cpu");
  const second = refusing([0, 1], "node(s) were unschedulable");
  const decision = await setUp(["a", "b"], [first, second], [], { shortCircuit: false }).decide();
  deepEqual(second.asked[0], [0, 1]);
  ok("failures" in decision);
  deepEqual(decision.failures.get(0)?.reasons, ["Insufficient cpu", "node(s) were unschedulable"]);
});

test("the filter that rejects much for little is asked first, and the reasons still come in the plugins' order", async () => {
  const weak = refusing([0], "weak", { order: 1 });
  const strong = refusing([0, 1, 2, 3], "strong", { order: 2 });
  const { decide, asker } = setUp(["a", "b", "c", "d"], [weak, strong], [], { orderByPower: true });
  asker.power(weak).cost = 50;
  asker.power(strong).cost = 1;
  asker.power(strong).rejects = 1;
  const decision = await decide();
  deepEqual([strong.asked[0]?.length, weak.asked.length], [4, 1]);
  ok("failures" in decision);
  deepEqual([decision.failures.get(0)?.reasons, decision.failures.get(1)?.reasons], [["weak"], ["strong"]]);
});

test("the highest weighted sum wins, and chance decides between equals", async () => {
  const names = ["a", "b", "c"];
  const scores = [scoring({ 0: 50, 1: 60, 2: 60 }), scoring({ 0: 6 }, { name: "t", weight: 2 })];
  deepEqual(await setUp(names, [], scores).decide(), {
    nodes: [0],
    top: 62,
    considered: 3,
    byPlugin: { s: 50, t: 6 },
  });
  const even = [scoring({ 0: 50, 1: 60, 2: 60 })];
  deepEqual(await setUp(names, [], even, { random: () => 0 }).decide(), {
    nodes: [1],
    top: 60,
    considered: 3,
    byPlugin: { s: 60 },
  });
  deepEqual(await setUp(names, [], even, { random: () => 0.99 }).decide(), {
    nodes: [2],
    top: 60,
    considered: 3,
    byPlugin: { s: 60 },
  });
});

test("several pods of one class get different nodes, all of them among the best", async () => {
  const { decide } = setUp(["a", "b", "c"], [], [scoring({ 0: 50, 1: 60, 2: 60 })]);
  const decision = await decide(5);
  deepEqual("nodes" in decision && decision.nodes.toSorted(), [1, 2]);
});

test("normalize sees the scores of the candidates", async () => {
  const normalize = async (s: ArrayLike<number>) => Array.from(s, (v) => (v > 0 ? 100 : 0));
  const plugin = scoring({ 0: -5, 1: 5 }, { normalization: "hook", normalize });
  deepEqual(await setUp(["a", "b"], [], [plugin]).decide(), {
    nodes: [1],
    top: 100,
    considered: 2,
    byPlugin: { s: 100 },
  });
});

test("a plugin that doesn't answer for every node fails the attempt", async () => {
  const broken = filterOf({ name: "x", evaluate: async () => [] });
  await rejects(setUp(["a"], [broken], []).decide(), /did not answer/);
});

test("a pod that is placed makes one node be asked about again, for every class that is shown the same", async () => {
  const filter = refusing([], "x", { scope: "node" });
  const { table, decide } = setUp(["a", "b", "c"], [filter], []);
  await decide();
  table.assume("p", podOf("p"), "b");
  await decide(1, podOf("other", "db"));
  deepEqual(filter.asked, [[0, 1, 2], [1]]);
});

test("what depends on the node's object alone is not asked about again because of pods", async () => {
  const filter = refusing([], "x", { scope: "object" });
  const { table, decide } = setUp(["a", "b"], [filter], []);
  await decide();
  table.assume("p", podOf("p"), "b");
  await decide();
  table.putNode(nodeOf("a"));
  await decide();
  deepEqual(filter.asked, [[0, 1], [0]]);
});

test("a plugin that knows all nodes says what has changed, and everything to who knows nothing", async () => {
  const deltas: NodeDelta[] = [];
  const changes = [
    { whole: true, nodes: [0, 1], codes: [1, 1], outcomes: [{ reasons: ["full"], unresolvable: false }] },
    { whole: false, nodes: [1], codes: [0], outcomes: [] },
  ];
  const filter = refusing([0, 1], "x", {
    scope: "cluster",
    sync: async (delta) => void deltas.push(delta),
    updateVerdicts: async () => changes.shift()!,
  });
  const { table, decide } = setUp(["a", "b"], [filter], []);
  const first = await decide();
  ok("failures" in first);
  deepEqual(first.failures.get(1)?.reasons, ["full"]);
  table.assume("p", podOf("p"), "a");
  deepEqual(await decide(), { nodes: [1], top: 0, considered: 1, byPlugin: {} });
  deepEqual(
    deltas.map(({ whole, pods }) => [whole, pods.length]),
    [
      [true, 2],
      [false, 1],
    ],
  );
  deepEqual(filter.asked, []);
});

test("a plugin without a say about a pod is not asked", async () => {
  const concern = { pod: () => false, pods: ({ metadata }: Pod) => metadata.labels?.["app"] === "db" };
  const filter = refusing([], "x", { filterConcern: concern });
  const { table, decide } = setUp(["a", "b"], [filter], []);
  await decide();
  equal(filter.asked.length, 0);
  table.assume("p", podOf("p", "db"), "a");
  await decide();
  equal(filter.asked.length, 1);
});

test("the search stops when enough nodes are feasible, and starts where the last one stopped", async () => {
  const names = Array.from({ length: 400 }, (_, i) => `n${i}`);
  const filter = refusing([], "x");
  const { search, decide } = setUp(names, [filter], []);
  equal(enoughNodes(400, 0), 188);
  const decision = await decide();
  equal("considered" in decision && decision.considered, 188);
  await decide();
  deepEqual([filter.asked[0]?.[0], filter.asked[1]?.[0]], [0, 188]);
  deepEqual([search.counts.examined, search.counts.spared], [376, 424]);
});

test("enough is as upstream has it", () => {
  deepEqual(
    [enoughNodes(50, 0), enoughNodes(5000, 0), enoughNodes(10_000, 0), enoughNodes(1000, 30), enoughNodes(1000, 100)],
    [50, 500, 500, 300, 1000],
  );
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
