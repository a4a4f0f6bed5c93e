import type { Node } from "#sdk/api/generated/types.ts";
import { defineFilter, defineNodes } from "#sdk/plugin/define.ts";
import { NodeTable, verdicts } from "#sdk/plugin/scheduling.ts";
import type { NodeLabels } from "../node-affinity/affinity.ts";
import { judge } from "./binding.ts";
import { claimsOf } from "./claims.ts";

const table = new NodeTable<NodeLabels>((object) => {
  const { metadata } = JSON.parse(object) as Partial<Node>;
  return { name: metadata?.name ?? "", labels: metadata?.labels ?? {} };
});

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const filter = defineFilter({
  evaluate: (pods, ids) =>
    pods.map((pod) => {
      const claims = claimsOf(pod.object);
      return verdicts(table, ids, ({ facts }) => judge(claims, facts));
    }),
});
