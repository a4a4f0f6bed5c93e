/** How idle nodes are, by NodeMetrics (metrics.k8s.io/v1beta1); pure. */

import type { KubeObject } from "#sdk/api/object.ts";
import { parseQuantity, quantityMilliValue, quantityValue } from "#sdk/api/quantity.ts";
import type { Amounts, PodClass } from "#sdk/plugin/types.ts";

export interface NodeMetrics extends KubeObject {
  /** RFC 3339: the end of the window that was measured. */
  timestamp: string;
  usage: { cpu?: string; memory?: string };
}

/** cpu in millicores, memory in bytes. */
export interface Usage {
  cpuMilli: number;
  memory: number;
}

/** Those that are not older than `staleMs`, by name. `now`: milliseconds since the epoch. */
export function usageOf(metrics: readonly NodeMetrics[], now: number, staleMs: number): Map<string, Usage> {
  const fresh = metrics.filter(({ timestamp }) => now - Date.parse(timestamp) <= staleMs);
  return new Map(
    fresh.map(({ metadata, usage }) => [
      metadata.name ?? "",
      {
        cpuMilli: quantityMilliValue(parseQuantity(usage.cpu ?? "0")),
        memory: quantityValue(parseQuantity(usage.memory ?? "0")),
      },
    ]),
  );
}

/**
 * 0–100: what is left of the scarcer resource once the pod's requests are there too. Of a node nobody has measured, what is left of its
 * allocatable by requests.
 */
export function idleness(
  pod: Pick<PodClass, "nonzeroCpuMilli" | "nonzeroMemory">,
  node: { name: string; allocatable: Amounts; nonzeroCpuMilli: number; nonzeroMemory: number },
  usage: ReadonlyMap<string, Usage>,
): number {
  const used = usage.get(node.name) ?? { cpuMilli: node.nonzeroCpuMilli, memory: node.nonzeroMemory };
  const left = (all: number, taken: number) => (all <= 0 ? 0 : Math.max(0, 1 - taken / all));
  const cpu = left(node.allocatable.cpuMilli, used.cpuMilli + pod.nonzeroCpuMilli);
  const memory = left(node.allocatable.memory, used.memory + pod.nonzeroMemory);
  return Math.floor(100 * Math.min(cpu, memory));
}
