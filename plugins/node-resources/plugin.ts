import { defineFilter, defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable, verdicts } from "#sdk/plugin/scheduling.ts";
import { fit, leastAllocated } from "./resources.ts";

const table = new NodeTable(() => undefined);

export const nodes = defineNodes({ sync: (delta) => table.apply(delta) });

export const filter = defineFilter({
  evaluate: (pods, ids) => pods.map((pod) => verdicts(table, ids, (node) => fit(pod, node))),
});

export const score = defineScore({
  score: (pods, ids) =>
    pods.map((pod) =>
      Array.from(ids, (id) => {
        const node = table.row(id);
        return node ? leastAllocated(pod, node) : 0;
      }),
    ),
});
