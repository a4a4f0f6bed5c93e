/** Plugins in memory, for tests of the scheduler. */
import type { FilterPlugin, NodePlugin, ScorePlugin } from "./framework.ts";

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
