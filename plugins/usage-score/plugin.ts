import * as api from "#sdk/plugin/api.ts";
import { monotonic, now } from "#sdk/plugin/clock.ts";
import { readConfig } from "#sdk/plugin/config.ts";
import { defineNodes, defineScore } from "#sdk/plugin/define.ts";
import { NodeTable, scores } from "#sdk/plugin/scheduling.ts";
import { idleness, type NodeMetrics, type Usage, usageOf } from "./usage.ts";

const METRICS = { group: "metrics.k8s.io", version: "v1beta1", resource: "nodes" };
const table = new NodeTable(() => undefined);
let read: { usage: Map<string, Usage>; at: number } | undefined;

/** As it was read last, and read anew when that is too long ago. Undefined where there are no metrics. */
function usage(): Map<string, Usage> | undefined {
  const { refreshSeconds = 15, staleSeconds = 120 } = readConfig<{ refreshSeconds?: number; staleSeconds?: number }>();
  if (read && monotonic() - read.at < refreshSeconds * 1000) return read.usage.size > 0 ? read.usage : undefined;
  let found = new Map<string, Usage>();
  try {
    found = usageOf(api.list<NodeMetrics>(METRICS).items, now(), staleSeconds * 1000);
  } catch (error) {
    console.warn(`what nodes use cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  read = { usage: found, at: monotonic() };
  return found.size > 0 ? found : undefined;
}

export const nodes = defineNodes({ sync: (delta) => void table.apply(delta) });

export const score = defineScore({
  score(pods, ids) {
    const known = usage();
    return pods.map((pod) =>
      known ? scores(table, ids, (node) => idleness(pod, node, known)) : new Array(ids.length).fill(0),
    );
  },
});
