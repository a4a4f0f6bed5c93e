import { defineFilter, defineNodes } from "#sdk/plugin/define.ts";
import { NodeTable, verdicts } from "#sdk/plugin/scheduling.ts";
import { type ClaimFact, claimsOf } from "../volume-binding/claims.ts";
import { judge, type VolumeLimits } from "./limits.ts";

const table = new NodeTable<VolumeLimits, ClaimFact[]>(
  (object) => (JSON.parse(object) as { volumeLimits?: VolumeLimits }).volumeLimits ?? {},
  claimsOf,
);

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const filter = defineFilter({
  evaluate: (pods, ids) =>
    pods.map((pod) => {
      const claims = claimsOf(pod.object);
      return verdicts(table, ids, (node) =>
        judge(
          claims,
          [...table.podsOn(node)].map(([present]) => present),
          node.facts,
        ),
      );
    }),
});
