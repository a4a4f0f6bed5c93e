import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import test from "node:test";
import type { Pod } from "#sdk/api/generated/types.ts";
import { createAsker } from "./answers.ts";
import { createSearch, DEFAULT_SEARCH, questionOf } from "./decide.ts";
import { type FilterPlugin, noPlugins, type ScorePlugin } from "./framework.ts";
import { createNodeTable, demandOf, factsOf } from "./node-table.ts";
import { type Candidate, createPlacer, type Keeper } from "./place.ts";
import { filterOf, scoreOf } from "./testing.ts";
import { createTraces } from "./traces.ts";

const ZONES = ["a", "a", "a", "b", "b", "c"];
const podOf = (name: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default", uid: name },
  spec: { containers: [{ name: "c" }] },
});

function setUp(filters: readonly FilterPlugin[], scores: readonly ScorePlugin[], keeper: Partial<Keeper> = {}) {
  const table = createNodeTable();
  for (const [i, zone] of ZONES.entries()) {
    table.putNode({ metadata: { name: `n${i}`, labels: { zone } }, status: { allocatable: { pods: "10" } } });
  }
  const search = createSearch(table, createAsker(table), { ...DEFAULT_SEARCH, orderByPower: false });
  const plugins = { ...noPlugins, filters: () => filters, scores: () => scores };
  const placer = createPlacer(table, createTraces(), {
    reserve: () => undefined,
    giveUp: ({ item }) => table.forget(item.key),
    ...keeper,
  });
  let made = 0;
  const candidates = (count: number): Candidate[] =>
    Array.from({ length: count }, () => {
      const pod = podOf(`p${made++}`);
      const question = questionOf(
        factsOf(pod, () => ({})),
        demandOf(pod),
        plugins,
        table,
      );
      return { item: { key: pod.metadata.name!, pod, attempts: 1, arrived: 0 }, pod, question, search };
    });
  /** So many, as many at once as it may be. */
  const place = async (count: number) => {
    const nodes: string[] = [];
    const batches: number[] = [];
    while (nodes.length < count) {
      const batch = candidates(1);
      batch.push(...candidates(Math.min(count - nodes.length, placer.size(batch[0]!.question)) - 1));
      const { placed, refusal } = await placer.place(batch);
      nodes.push(...placed.map(([, node]) => node));
      batches.push(placed.length);
      if (refusal) break;
    }
    return { nodes, batches };
  };
  return { table, placer, candidates, place };
}
const pods = (table: ReturnType<typeof createNodeTable>) => ZONES.map((_, id) => table.podsOn(id).length);

test("batches grow while nodes do not become better by being chosen, and spread as one by one", async () => {
  const { table, place } = setUp(
    [],
    [scoreOf({ name: "least", scope: "node", score: async (_, nodes) => [nodes.map((id) => 100 - pods(table)[id]!)] })],
  );
  const { batches } = await place(13);
  deepEqual(batches, [1, 2, 4, 6]);
  const counts = pods(table);
  ok(Math.max(...counts) - Math.min(...counts) <= 1, String(counts));
});

test("where nodes become better by being chosen, each pod is placed by what the one before has changed", async () => {
  const { table, place } = setUp(
    [],
    [scoreOf({ name: "most", scope: "node", score: async (_, nodes) => [nodes.map((id) => pods(table)[id]!)] })],
  );
  await place(8);
  deepEqual(
    pods(table).toSorted((a, b) => b - a),
    [8, 0, 0, 0, 0, 0],
  );
});

test("pods that are kept apart by a label never share its value before their plugin was asked again", async () => {
  /** Since it was last asked: zones that got a pod. */
  const steps: string[][] = [];
  const filter = filterOf({
    name: "zones",
    scope: "cluster",
    apart: () => ["zone"],
    evaluate: async (_: unknown, nodes: readonly number[]) => [{ codes: nodes.map(() => 0), outcomes: [] }],
    updateVerdicts: async () => {
      steps.push([]);
      return { whole: true, nodes: [], codes: [], outcomes: [] };
    },
  });
  const { place } = setUp([filter], [], {
    reserve: (_, node) => void steps.at(-1)!.push(ZONES[node]!),
  });
  const { nodes } = await place(20);
  equal(nodes.length, 20);
  for (const zones of steps) equal(new Set(zones).size, zones.length, String(zones));
  ok(steps.length < 15, `${steps.length} steps`);
});

test("who wants to be alone is placed alone, and asked about after each", async () => {
  const filter = filterOf({
    name: "call",
    evaluate: async (_: unknown, nodes: readonly number[]) => [{ codes: nodes.map(() => 0), outcomes: [] }],
  });
  const { place, placer, candidates } = setUp([filter], []);
  await place(3);
  equal(placer.size(candidates(1)[0]!.question), 1);
});

test("what cannot be kept for one of them gives back what all of them got", async () => {
  let left = 2;
  const { table, placer, candidates } = setUp([], [], {
    reserve() {
      if (left-- === 0) throw new Error("there is no device any more");
    },
  });
  await rejects(placer.place(candidates(3)), /no device/);
  deepEqual(pods(table), [0, 0, 0, 0, 0, 0]);
});
