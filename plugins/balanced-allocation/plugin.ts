import { readConfig } from "#sdk/plugin/config.ts";
import { defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable, scores } from "#sdk/plugin/scheduling.ts";
import { balancedScorer, CPU_AND_MEMORY, type Scorer, type WeightedResource } from "../node-resources/scoring.ts";

const table = new NodeTable(() => undefined);
/** Made at the first call: an instance has one configuration for its life. */
let scorer: Scorer | undefined;

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const score = defineScore({
  score(pods, ids) {
    scorer ??= balancedScorer(readConfig<{ resources?: WeightedResource[] }>().resources ?? CPU_AND_MEMORY);
    const scoreOf = scorer;
    return pods.map((pod) => scores(table, ids, (node) => scoreOf(pod, node)));
  },
});
