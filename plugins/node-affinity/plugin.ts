import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { defineFilter, defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable, normalizeByMaximum, verdicts } from "#sdk/plugin/scheduling.ts";
import { judgeOf, type NodeLabels, preference } from "./affinity.ts";

const table = new NodeTable<NodeLabels>((object) => {
  const { metadata } = JSON.parse(object) as Partial<Node>;
  return { name: metadata?.name ?? "", labels: metadata?.labels ?? {} };
});

const specOf = (object: string) => (JSON.parse(object) as Partial<Pod>).spec ?? { containers: [] };

export const nodes = defineNodes({ sync: (delta) => table.apply(delta) });

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
      return Array.from(ids, (id) => {
        const node = table.row(id);
        return node ? preference(spec, node.facts) : 0;
      });
    }),
  normalize: (scores) => normalizeByMaximum(scores, false),
});
