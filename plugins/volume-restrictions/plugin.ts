import { defineFilter, defineNodes } from "#sdk/plugin/define.ts";
import { NodeTable, verdicts } from "#sdk/plugin/scheduling.ts";
import { judge, type VolumePod } from "./restrictions.ts";

const podOf = (object: string) => JSON.parse(object) as VolumePod;
const table = new NodeTable<undefined, VolumePod>(() => undefined, podOf);

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const filter = defineFilter({
  evaluate: (pods, ids) =>
    pods.map((pod) => {
      const wanted = podOf(pod.object);
      return verdicts(table, ids, (node) =>
        judge(
          wanted,
          [...table.podsOn(node)].map(([present]) => present),
        ),
      );
    }),
});
