import type { Node, Pod, Toleration } from "#sdk/api/generated/types.ts";
import { defineFilter, defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable, scores, verdicts } from "#sdk/plugin/scheduling.ts";
import { countAvoided, judge, type NodeTaints } from "./taints.ts";

const table = new NodeTable<NodeTaints>((object) => {
  const { spec } = JSON.parse(object) as Partial<Node>;
  return { taints: spec?.taints ?? [], unschedulable: spec?.unschedulable ?? false };
});

const tolerationsOf = (object: string): Toleration[] => (JSON.parse(object) as Partial<Pod>).spec?.tolerations ?? [];

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const filter = defineFilter({
  evaluate: (pods, ids) =>
    pods.map((pod) => {
      const tolerations = tolerationsOf(pod.object);
      return verdicts(table, ids, (node) => judge(tolerations, node.facts));
    }),
});

export const score = defineScore({
  score: (pods, ids) =>
    pods.map((pod) => {
      const tolerations = tolerationsOf(pod.object);
      return scores(table, ids, (node) => countAvoided(tolerations, node.facts));
    }),
});
