import { readConfig } from "#sdk/plugin/config.ts";
import { defineFilter, defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable, scores, verdicts } from "#sdk/plugin/scheduling.ts";
import { fit, type Ignored } from "./resources.ts";
import { type Scorer, type ScoringStrategy, scorerOf } from "./scoring.ts";

const table = new NodeTable(() => undefined);
/** Read at the first call: an instance has one configuration for its life. */
let scorer: Scorer | undefined;
let ignored: Ignored | undefined;

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const filter = defineFilter({
  evaluate(pods, ids) {
    ignored ??= readConfig<Ignored>();
    const without = ignored;
    return pods.map((pod) => verdicts(table, ids, (node) => fit(pod, node, without)));
  },
});

export const score = defineScore({
  score(pods, ids) {
    scorer ??= scorerOf(readConfig<{ scoringStrategy?: ScoringStrategy }>().scoringStrategy ?? {});
    const scoreOf = scorer;
    return pods.map((pod) => scores(table, ids, (node) => scoreOf(pod, node)));
  },
});
