import type { Node } from "#sdk/api/generated/types.ts";
import { defineFilter, defineNodes } from "#sdk/plugin/define.ts";
import { NodeTable, verdicts } from "#sdk/plugin/scheduling.ts";
import { claimsOf } from "../volume-binding/claims.ts";
import { judge } from "./zones.ts";

const table = new NodeTable((object) => (JSON.parse(object) as Partial<Node>).metadata?.labels ?? {});

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const filter = defineFilter({
  evaluate: (pods, ids) =>
    pods.map((pod) => {
      const claims = claimsOf(pod.object);
      return verdicts(table, ids, ({ facts }) => judge(claims, facts));
    }),
});
