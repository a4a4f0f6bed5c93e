/** Which pod goes first when a node is short of something, and what is said of it (kubernetes/pkg/kubelet/eviction/helpers.go). Pure. */
import type { Container } from "#sdk/api/generated/types.ts";
import { formatQuantity, parseQuantity, quantityOf, quantityValue } from "#sdk/api/quantity.ts";
import { memoryBytes, podRequest, qosClass } from "../cgroups.ts";
import type { NodePod } from "../context.ts";
import type { Met, PressureType, Scarce } from "./thresholds.ts";

/** Bytes. */
export interface PodUsage {
  memory: number;
  processes: number;
  /** What it wrote: containers' layers, logs and emptyDirs. */
  disk: number;
  containers: ReadonlyMap<string, { memory: number; disk: number }>;
  emptyDirs: ReadonlyMap<string, number>;
}

const STORAGE = "ephemeral-storage";
export const CRITICAL_PRIORITY = 2_000_000_000;
export const isCritical = (pod: NodePod): boolean => (pod.spec.priority ?? 0) >= CRITICAL_PRIORITY;

export const storageBytes = (container: Container, side: "requests" | "limits"): number => {
  const value = container.resources?.[side]?.[STORAGE];
  return value === undefined ? 0 : quantityValue(parseQuantity(value));
};

export const bytesText = (bytes: number): string => formatQuantity(quantityOf(bytes, "BinarySI"));

type Order = (a: NodePod, b: NodePod) => number;

/** Beyond what it asked for first, then by priority, then by how much it is beyond. */
export function rank(
  pods: readonly NodePod[],
  scarce: Scarce,
  usageOf: (pod: NodePod) => PodUsage | undefined,
): NodePod[] {
  const beyond = (pod: NodePod): number => {
    const usage = usageOf(pod);
    if (usage === undefined) return Number.POSITIVE_INFINITY;
    if (scarce === "memory") return usage.memory - podRequest(pod, memoryBytes);
    if (scarce === "pids") return usage.processes;
    return usage.disk - podRequest(pod, storageBytes);
  };
  const exceeds: Order = (a, b) => (scarce === "pids" ? 0 : Number(beyond(b) > 0) - Number(beyond(a) > 0));
  const priority: Order = (a, b) => (a.spec.priority ?? 0) - (b.spec.priority ?? 0);
  const amount: Order = (a, b) => {
    const [more, less] = [beyond(b), beyond(a)];
    return more === less ? 0 : more > less ? 1 : -1;
  };
  return [...pods].sort((a, b) => exceeds(a, b) || priority(a, b) || amount(a, b));
}

const requestOf = (container: Container, scarce: Scarce): number =>
  scarce === "memory" ? memoryBytes(container, "requests") : storageBytes(container, "requests");

/** status.message and the event of an evicted pod. */
export function evictionMessage(pod: NodePod, scarce: Scarce, met: Met, usage: PodUsage | undefined): string {
  const amount = (value: number) => (scarce === "inodes" || scarce === "pids" ? String(value) : bytesText(value));
  let text = `The node was low on resource: ${scarce}. Threshold quantity: ${amount(met.quantity)}, available: ${amount(met.available)}. `;
  if (scarce !== "memory" && scarce !== "ephemeral-storage") return text;
  for (const container of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]) {
    const used = usage?.containers.get(container.name);
    const amountUsed = scarce === "memory" ? used?.memory : used?.disk;
    const requested = requestOf(container, scarce);
    if (amountUsed === undefined || amountUsed <= requested) continue;
    text += `Container ${container.name} was using ${bytesText(amountUsed)}, request is ${requested === 0 ? "0" : bytesText(requested)}, has larger consumption of ${scarce}. `;
  }
  return text;
}

/** A pod that wrote more than it may (localStorageEviction): why, or undefined. */
export function storageExcess(pod: NodePod, usage: PodUsage): string | undefined {
  for (const { name, emptyDir } of pod.spec.volumes ?? []) {
    const limit = emptyDir?.sizeLimit === undefined ? 0 : quantityValue(parseQuantity(emptyDir.sizeLimit));
    const used = usage.emptyDirs.get(name);
    if (limit > 0 && used !== undefined && used > limit)
      return `Usage of EmptyDir volume ${JSON.stringify(name)} exceeds the limit ${JSON.stringify(String(emptyDir?.sizeLimit))}. `;
  }
  const limited = pod.spec.containers.some((container) => storageBytes(container, "limits") > 0);
  const all = podRequest(pod, storageBytes, "limits");
  if (limited && pod.spec.containers.every((container) => storageBytes(container, "limits") > 0) && usage.disk > all)
    return `Pod ephemeral local storage usage exceeds the total limit of containers ${bytesText(all)}. `;
  for (const container of pod.spec.containers) {
    const limit = storageBytes(container, "limits");
    const used = usage.containers.get(container.name)?.disk ?? 0;
    if (limit > 0 && used > limit)
      return `Container ${container.name} exceeded its local ephemeral storage limit ${JSON.stringify(String(container.resources?.limits?.[STORAGE]))}. `;
  }
  return undefined;
}

/** Whether disk use of a pod has to be looked at when the node is not short of it. */
export const hasStorageLimits = (pod: NodePod): boolean =>
  pod.spec.volumes?.some(({ emptyDir }) => emptyDir?.sizeLimit !== undefined && emptyDir.medium !== "Memory") ===
    true || pod.spec.containers.some((container) => storageBytes(container, "limits") > 0);

/** Why a node under pressure refuses a pod; undefined: it takes it. */
export function refusalUnder(pressures: ReadonlySet<PressureType>, pod: NodePod): string | undefined {
  if (pressures.size === 0 || isCritical(pod)) return undefined;
  if (pressures.size === 1 && pressures.has("MemoryPressure")) {
    if (qosClass(pod) !== "BestEffort") return undefined;
    const key = "node.kubernetes.io/memory-pressure";
    const tolerates = pod.spec.tolerations?.some(
      (one) =>
        (one.key === key || (one.key === undefined && one.operator === "Exists")) &&
        (!one.effect || one.effect === "NoSchedule"),
    );
    if (tolerates === true) return undefined;
  }
  return `The node had condition: [${[...pressures].sort().join(" ")}]. `;
}
