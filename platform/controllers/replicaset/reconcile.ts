/** What a ReplicaSet's status must say and which of its pods go first: pure (upstream: pkg/controller/replicaset). */
import { timeText } from "#platform/base/clock.ts";
import type { Pod, ReplicaSetSpec, ReplicaSetStatus } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import {
  availability,
  conditionOf,
  isActive,
  isFinished,
  isLeaving,
  isReady,
  readyCondition,
  withCondition,
  withoutCondition,
  withoutZeros,
} from "../objects.ts";

const phaseOrder: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 };
const time = (text: string | undefined): number => (text ? Date.parse(text) : 0);
const deletionCost = (pod: Pod): number => {
  const cost = Number(pod.metadata.annotations?.["controller.kubernetes.io/pod-deletion-cost"] ?? 0);
  return Number.isInteger(cost) ? cost : 0;
};
const restarts = (pod: Pod): number => Math.max(0, ...(pod.status?.containerStatuses ?? []).map((c) => c.restartCount));
/** Younger than twice counts as older; powers of two keep the order coarse, so that old pods are not a fixed target. */
const ageRank = (since: number, now: number): number => {
  const ms = now - since;
  return since === 0 || ms <= 0 ? -1 : Math.floor(Math.log2(ms * 1e6));
};

/**
 * The pods to delete, worst first: unassigned, pending, unknown, not ready, cheap, sharing a node with many, recently
 * ready, often restarted, young.
 */
export function podsToDelete(pods: readonly Pod[], related: readonly Pod[], count: number, now: number): Pod[] {
  if (count >= pods.length) return [...pods];
  const perNode = new Map<string, number>();
  for (const pod of related.filter(isActive)) {
    const node = pod.spec?.nodeName ?? "";
    perNode.set(node, (perNode.get(node) ?? 0) + 1);
  }
  const ranked = pods.map((pod) => ({
    pod,
    rank: [
      pod.spec?.nodeName ? 1 : 0,
      phaseOrder[pod.status?.phase ?? "Pending"] ?? 0,
      isReady(pod) ? 1 : 0,
      deletionCost(pod),
      -(perNode.get(pod.spec?.nodeName ?? "") ?? 0),
      isReady(pod) ? ageRank(time(readyCondition(pod)?.lastTransitionTime), now) : 0,
      -restarts(pod),
      ageRank(time(pod.metadata.creationTimestamp), now),
    ],
  }));
  ranked.sort((a, b) => {
    const at = a.rank.findIndex((value, i) => value !== b.rank[i]);
    if (at >= 0) return a.rank[at]! - b.rank[at]!;
    return (a.pod.metadata.uid ?? "") < (b.pod.metadata.uid ?? "") ? -1 : 1;
  });
  return ranked.slice(0, count).map((r) => r.pod);
}

export interface Failure {
  reason: "FailedCreate" | "FailedDelete";
  message: string;
}

/** ReplicationControllers have the same but for the pods that end. */
export type ReplicaStatus = ReplicaSetStatus;

/** `pods`: all it controls, finished and terminating ones too. `failure`: what the last attempt to create or delete met. */
export function replicaSetStatus(
  rs: KubeObject & { spec?: Partial<ReplicaSetSpec>; status?: ReplicaStatus },
  pods: readonly Pod[],
  failure: Failure | undefined,
  now: number,
): { status: ReplicaStatus; recheckMs?: number } {
  const active = pods.filter(isActive);
  const labels = Object.entries(rs.spec?.template?.metadata?.labels ?? {});
  const minReadySeconds = rs.spec?.minReadySeconds ?? 0;
  const availabilities = active.map((pod) => availability(pod, minReadySeconds, now));
  const waits = availabilities.flatMap((a) => (a.inMs === undefined ? [] : [a.inMs]));
  let conditions = rs.status?.conditions ?? [];
  if (failure) {
    const condition = { type: "ReplicaFailure", status: "True", ...failure, lastTransitionTime: timeText(now) };
    conditions = withCondition(conditions, condition);
  } else if (conditionOf(conditions, "ReplicaFailure")) conditions = withoutCondition(conditions, "ReplicaFailure");
  return {
    status: {
      replicas: active.length,
      ...withoutZeros({
        fullyLabeledReplicas: active.filter((pod) => labels.every(([k, v]) => pod.metadata.labels?.[k] === v)).length,
        readyReplicas: active.filter(isReady).length,
        availableReplicas: availabilities.filter((a) => a.available).length,
      }),
      terminatingReplicas: pods.filter((pod) => isLeaving(pod) && !isFinished(pod)).length,
      observedGeneration: rs.metadata.generation,
      ...(conditions.length > 0 ? { conditions } : {}),
    },
    ...(waits.length > 0 ? { recheckMs: Math.min(...waits) } : {}),
  };
}
