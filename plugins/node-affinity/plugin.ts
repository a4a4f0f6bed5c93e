import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { defineFilter, defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable, scores, verdicts } from "#sdk/plugin/scheduling.ts";
import { judgeOf, type NodeLabels, preference } from "./affinity.ts";

const table = new NodeTable<NodeLabels>((object) => {
  const { metadata } = JSON.parse(object) as Partial<Node>;
  return { name: metadata?.name ?? "", labels: metadata?.labels ?? {} };
});

const specOf = (object: string) => (JSON.parse(object) as Partial<Pod>).spec ?? { containers: [] };

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const filter = defineFilter({
  evaluate: (pods, ids) =>
    pods.map((pod) => {
      const judge = judgeOf(specOf(pod.object));
      return verdicts(table, ids, (node) => judge(node.facts));
    }),
});

export const score = defineScore({
  score: (pods, ids) =>
    pods.map((pod) => {
      const spec = specOf(pod.object);
      return scores(table, ids, (node) => preference(spec, node.facts));
    }),
});
