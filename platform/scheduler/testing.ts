/** For tests of the scheduler: plugins in memory, and a scheduler that runs as long as a test. */
import type { TestContext } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { FakeApi } from "#sdk/testing/fake-api.ts";
import {
  type FilterPlugin,
  type NodeDelta,
  type NodePlugin,
  noPlugins,
  type SchedulingPlugins,
  type ScorePlugin,
} from "./framework.ts";
import { startScheduler } from "./scheduler.ts";

const unused = () => Promise.reject(new Error("not asked for in this test"));
/** Where nothing else is said, what a pod changes stays on its node, if answers hold at all. */
const apartOf =
  (scope: NodePlugin["scope"] = "call"): NodePlugin["apart"] =>
  () =>
    scope === "call" || scope === "cluster" ? undefined : [];
const always = { pod: () => true, pods: undefined };

type Filter = Pick<FilterPlugin, "name" | "evaluate"> & Partial<FilterPlugin>;

/** A filter that is asked each time. */
export const filterOf = <F extends Filter>(filter: F): F & FilterPlugin => ({
  order: 500,
  scope: "call",
  view: () => "",
  apart: apartOf(filter.scope),
  sync: async () => undefined,
  filterConcern: always,
  updateVerdicts: unused,
  ...filter,
});

type Score = Pick<ScorePlugin, "name" | "score"> & Partial<ScorePlugin>;

/** A score that is asked each time. */
export const scoreOf = <S extends Score>(score: S): S & ScorePlugin => ({
  order: 500,
  weight: 1,
  scope: "call",
  normalization: "none",
  view: () => "",
  apart: apartOf(score.scope),
  sync: async () => undefined,
  scoreConcern: always,
  updateScores: unused,
  normalize: async (scores) => scores,
  ...score,
});

/** As the component node-resources: its own table of what is free, fed by deltas only. */
export function cpuFilter(): FilterPlugin & { deltas: NodeDelta[] } {
  const nodes = new Map<number, { allocatable: number; requested: number }>();
  const deltas: NodeDelta[] = [];
  return filterOf({
    name: "cpu",
    scope: "node",
    deltas,
    async sync(delta: NodeDelta) {
      deltas.push(delta);
      if (delta.whole) nodes.clear();
      for (const id of delta.removed) nodes.delete(id);
      for (const n of delta.nodes)
        nodes.set(n.id, { requested: 0, ...nodes.get(n.id), allocatable: n.allocatable.cpuMilli });
      for (const u of delta.usage) nodes.get(u.id)!.requested = u.requested.cpuMilli;
    },
    async evaluate(pods, ids) {
      const fits = (id: number, wanted: number) => nodes.get(id)!.allocatable - nodes.get(id)!.requested >= wanted;
      return pods.map(({ requests }) => ({
        codes: ids.map((id) => (fits(id, requests.cpuMilli) ? 0 : 1)),
        outcomes: [{ reasons: ["Insufficient cpu"], unresolvable: false }],
      }));
    },
  });
}

/** Runs until the test is over. */
export async function setUp(t: TestContext, api: FakeApi, plugins: SchedulingPlugins = noPlugins): Promise<void> {
  const stop = new AbortController();
  const queue = { firstBackoffMs: 1, lastBackoffMs: 20 };
  const scheduler = startScheduler({ client: api.client, plugins, log: silentLog, signal: stop.signal, queue });
  t.after(async () => {
    stop.abort();
    await scheduler.done;
  });
  await scheduler.ready;
}
