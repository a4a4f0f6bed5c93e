import type { Pod } from "#sdk/api/generated/types.ts";
import { defineFilter, defineNodes } from "#sdk/plugin/define.ts";
import { NodeTable, verdicts } from "#sdk/plugin/scheduling.ts";
import { type HostPort, hostPorts, judge } from "./ports.ts";

const portsOf = (object: string): HostPort[] => hostPorts((JSON.parse(object) as Partial<Pod>).spec);
const table = new NodeTable<undefined, HostPort[]>(() => undefined, portsOf);

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const filter = defineFilter({
  evaluate: (pods, ids) =>
    pods.map((pod) => {
      const wanted = portsOf(pod.object);
      return verdicts(table, ids, (node) =>
        judge(
          wanted,
          [...table.podsOn(node)].flatMap(([ports]) => ports),
        ),
      );
    }),
});
