import { readConfig } from "#sdk/plugin/config.ts";
import { defineFilter, defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { type NodeRow, NodeTable, scores, verdicts, verdictsOfRoom } from "#sdk/plugin/scheduling.ts";
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
    return pods.map((pod) => {
      const judge = (node: NodeRow<unknown>) => fit(pod, node, without);
      const { ephemeralStorage, others } = pod.requests;
      const usual = ephemeralStorage <= 0 && others.length === 0;
      return usual ? verdictsOfRoom(table, pod.requests, ids, judge) : verdicts(table, ids, judge);
    });
  },
});

export const score = defineScore({
  score(pods, ids) {
    scorer ??= scorerOf(readConfig<{ scoringStrategy?: ScoringStrategy }>().scoringStrategy ?? {});
    const scoreOf = scorer;
    return pods.map((pod) => scores(table, ids, (node) => scoreOf(pod, node)));
  },
});
