/** What silence and conditions of a node mean for its conditions and taints: pure (upstream: pkg/controller/nodelifecycle). */
import { timeText } from "#platform/base/clock.ts";
import type { Node, NodeCondition, Taint } from "#sdk/api/generated/types.ts";
import { conditionOf } from "../objects.ts";

/** Upstream's defaults: how long a node may be silent, and how long a new one may take to speak. */
export const GRACE_MS = 50_000;
export const STARTUP_GRACE_MS = 60_000;

const FROM_KUBELET = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/** The conditions of a node that has been silent too long; the same array when they say so already. */
export function unknownConditions(node: Node, now: number): NodeCondition[] {
  const conditions = node.status?.conditions ?? [];
  const silent = FROM_KUBELET.map((type): NodeCondition => {
    const old = conditionOf(conditions, type);
    if (!old) {
      return {
        type,
        status: "Unknown",
        reason: "NodeStatusNeverUpdated",
        message: "Kubelet never posted node status.",
        lastHeartbeatTime: node.metadata.creationTimestamp,
        lastTransitionTime: timeText(now),
      };
    }
    if (old.status === "Unknown") return old;
    return {
      ...old,
      status: "Unknown",
      reason: "NodeStatusUnknown",
      message: "Kubelet stopped posting node status.",
      lastTransitionTime: timeText(now),
    };
  });
  const others = conditions.filter((c) => !FROM_KUBELET.includes(c.type));
  return silent.every((c) => conditions.includes(c)) ? conditions : [...silent, ...others];
}

const NOT_READY = "node.kubernetes.io/not-ready";
const UNREACHABLE = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE = "node.kubernetes.io/unschedulable";
const BY_CONDITION: Record<string, string> = {
  MemoryPressure: "node.kubernetes.io/memory-pressure",
  DiskPressure: "node.kubernetes.io/disk-pressure",
  PIDPressure: "node.kubernetes.io/pid-pressure",
  NetworkUnavailable: "node.kubernetes.io/network-unavailable",
};
const OWN = new Set([NOT_READY, UNREACHABLE, UNSCHEDULABLE, ...Object.values(BY_CONDITION)]);

/** It is said to be silent already. */
export const isMarked = (node: Node): boolean =>
  FROM_KUBELET.every((type) => conditionOf(node.status?.conditions, type)?.status === "Unknown");

/** Its pods are being evicted because it is not ready. */
export const isGivenUp = (node: Node): boolean =>
  (node.spec?.taints ?? []).some((t) => t.effect === "NoExecute" && (t.key === NOT_READY || t.key === UNREACHABLE));

export const readyStatus = (node: Node): string => conditionOf(node.status?.conditions, "Ready")?.status ?? "Unknown";

/**
 * All taints the node should have: others' as they are, ours by its conditions. `evict` false: no NoExecute, because
 * when every node seems lost it is more likely that we are.
 */
export function taintsFor(node: Node, evict: boolean, now: number): Taint[] {
  const wanted: Pick<Taint, "key" | "effect">[] = [];
  const ready = readyStatus(node);
  const lost = ready === "True" ? undefined : ready === "False" ? NOT_READY : UNREACHABLE;
  if (lost) wanted.push({ key: lost, effect: "NoSchedule" });
  for (const [type, key] of Object.entries(BY_CONDITION)) {
    if (conditionOf(node.status?.conditions, type)?.status === "True") wanted.push({ key, effect: "NoSchedule" });
  }
  if (node.spec?.unschedulable) wanted.push({ key: UNSCHEDULABLE, effect: "NoSchedule" });
  if (lost && evict) wanted.push({ key: lost, effect: "NoExecute" });

  const present = node.spec?.taints ?? [];
  const isOwn = (taint: Taint) => OWN.has(taint.key) && (taint.effect === "NoSchedule" || taint.effect === "NoExecute");
  const own = wanted.map(
    (w) => present.find((t) => t.key === w.key && t.effect === w.effect) ?? { ...w, timeAdded: timeText(now) },
  );
  return [...present.filter((taint) => !isOwn(taint)), ...own];
}

export const sameTaints = (a: readonly Taint[], b: readonly Taint[]): boolean =>
  a.length === b.length &&
  a.every((t) => b.some((u) => u.key === t.key && u.effect === t.effect && u.value === t.value));
