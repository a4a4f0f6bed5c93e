import type { Pod } from "#sdk/api/generated/types.ts";
import { defineFilter, defineNodes } from "#sdk/plugin/define.ts";
import { NodeTable, verdicts } from "#sdk/plugin/scheduling.ts";
import { type HostPort, hostPorts, judge } from "./ports.ts";

const table = new NodeTable<HostPort[]>((object) => {
  const { pods } = JSON.parse(object) as { pods?: Partial<Pod>[] };
  return (pods ?? []).flatMap(({ spec }) => hostPorts(spec));
});

export const nodes = defineNodes({ sync: (delta) => table.apply(delta) });

export const filter = defineFilter({
  evaluate: (pods, ids) =>
    pods.map((pod) => {
      const wanted = hostPorts((JSON.parse(pod.object) as Partial<Pod>).spec);
      return verdicts(table, ids, (node) => judge(wanted, node.facts));
    }),
});
