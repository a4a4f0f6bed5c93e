/** A Deployment's status and conditions, with upstream's reasons and messages: pure (pkg/controller/deployment/progress.go). */
import { timeText } from "#platform/base/clock.ts";
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from "#sdk/api/generated/types.ts";
import { conditionOf, withCondition, withoutCondition, withoutZeros } from "../objects.ts";
import { availableSum, desired, maxUnavailable, specSum, sum } from "./replicas.ts";

export const TIMED_OUT = "ProgressDeadlineExceeded";
export const AVAILABLE = "NewReplicaSetAvailable";
/** A rollout by steps is where it should be, and does not go on yet. */
const WAITING = "RolloutStepWaiting";
const FOREVER_SECONDS = 2 ** 31 - 1;

export const hasDeadline = (d: Deployment): boolean =>
  d.spec?.progressDeadlineSeconds !== undefined && d.spec.progressDeadlineSeconds !== FOREVER_SECONDS;

export function condition(
  type: "Progressing" | "Available" | "ReplicaFailure",
  status: "True" | "False" | "Unknown",
  reason: string,
  message: string,
  now: number,
): DeploymentCondition {
  const time = timeText(now);
  return { type, status, reason, message, lastUpdateTime: time, lastTransitionTime: time };
}

/** Counts and the condition Available; the other conditions stay as they are. */
export function baseStatus(
  d: Deployment,
  all: readonly ReplicaSet[],
  newSet: ReplicaSet | undefined,
  now: number,
): DeploymentStatus {
  const available = availableSum(all);
  const enough = available >= desired(d) - maxUnavailable(d);
  const availability = enough
    ? condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    : condition(
        "Available",
        "False",
        "MinimumReplicasUnavailable",
        "Deployment does not have minimum availability.",
        now,
      );
  const { collisionCount } = d.status ?? {};
  const counts = withoutZeros({
    replicas: sum(all, (rs) => rs.status?.replicas),
    updatedReplicas: newSet?.status?.replicas ?? 0,
    readyReplicas: sum(all, (rs) => rs.status?.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, specSum(all) - available),
  });
  return {
    observedGeneration: d.metadata.generation,
    ...counts,
    terminatingReplicas: sum(all, (rs) => rs.status?.terminatingReplicas),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    conditions: withCondition(d.status?.conditions, availability),
  };
}

export const isComplete = (d: Deployment, status: DeploymentStatus | undefined): boolean =>
  (status?.updatedReplicas ?? 0) === desired(d) &&
  (status?.replicas ?? 0) === desired(d) &&
  (status?.availableReplicas ?? 0) === desired(d) &&
  (status?.observedGeneration ?? 0) >= (d.metadata.generation ?? 0);

/** More of the new, fewer of the old, or more ready or available than the status before says. */
function hasProgressed(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const count = (
    status: DeploymentStatus,
    name: "replicas" | "updatedReplicas" | "readyReplicas" | "availableReplicas",
  ) => status[name] ?? 0;
  const old = (status: DeploymentStatus) => count(status, "replicas") - count(status, "updatedReplicas");
  return (
    count(after, "updatedReplicas") > count(before, "updatedReplicas") ||
    old(after) < old(before) ||
    count(after, "readyReplicas") > count(before, "readyReplicas") ||
    count(after, "availableReplicas") > count(before, "availableReplicas")
  );
}

function hasTimedOut(d: Deployment, status: DeploymentStatus, now: number): boolean {
  const progressing = conditionOf(status.conditions, "Progressing");
  if (!progressing || progressing.reason === AVAILABLE) return false;
  if (progressing.reason === TIMED_OUT) return true;
  const since = Date.parse(progressing.lastUpdateTime ?? progressing.lastTransitionTime ?? "");
  return since + (d.spec?.progressDeadlineSeconds ?? 600) * 1000 < now;
}

/** The status during a rollout: how far it is, and whether it has got stuck. `waiting`: why it is meant to stand still. */
export function rolloutStatus(
  d: Deployment,
  all: readonly ReplicaSet[],
  newSet: ReplicaSet | undefined,
  now: number,
  waiting?: string,
): DeploymentStatus {
  const status = baseStatus(d, all, newSet, now);
  const current = conditionOf(d.status?.conditions, "Progressing");
  const over = (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && current?.reason === AVAILABLE;
  if (!hasDeadline(d)) status.conditions = withoutCondition(status.conditions, "Progressing");
  else if (!over) status.conditions = progress(d, status, newSet, current, now, waiting);
  const failure = failureOf(all, newSet);
  status.conditions = failure
    ? withCondition(status.conditions, failure)
    : withoutCondition(status.conditions, "ReplicaFailure");
  return status;
}

function progress(
  d: Deployment,
  status: DeploymentStatus,
  newSet: ReplicaSet | undefined,
  current: DeploymentCondition | undefined,
  now: number,
  waiting: string | undefined,
): DeploymentCondition[] {
  const subject = newSet ? `ReplicaSet "${newSet.metadata.name}"` : `Deployment "${d.metadata.name}"`;
  const make = (is: "True" | "False", reason: string, text: string) =>
    condition("Progressing", is, reason, `${subject} ${text}`, now);
  if (isComplete(d, status)) {
    return withCondition(status.conditions, make("True", AVAILABLE, "has successfully progressed."));
  }
  if (waiting !== undefined && !hasProgressed(d.status ?? {}, status)) {
    const told = make("True", WAITING, `waits: ${waiting}`);
    const isSame = current?.reason === WAITING && current.message === told.message;
    return isSame ? (status.conditions ?? []) : [...withoutCondition(status.conditions, "Progressing"), told];
  }
  // The time of waiting does not count towards the deadline.
  if (hasProgressed(d.status ?? {}, status) || current?.reason === WAITING) {
    const next = make("True", "ReplicaSetUpdated", "is progressing.");
    // The update time is what the deadline counts from: it moves even when nothing else of the condition does.
    if (current?.status === "True") next.lastTransitionTime = current.lastTransitionTime;
    return [...withoutCondition(status.conditions, "Progressing"), next];
  }
  if (hasTimedOut(d, status, now)) {
    return withCondition(status.conditions, make("False", TIMED_OUT, "has timed out progressing."));
  }
  return status.conditions ?? [];
}

function failureOf(all: readonly ReplicaSet[], newSet: ReplicaSet | undefined): DeploymentCondition | undefined {
  for (const rs of newSet ? [newSet, ...all] : all) {
    const failure = conditionOf(rs.status?.conditions, "ReplicaFailure");
    if (failure) return { ...failure, lastUpdateTime: failure.lastTransitionTime };
  }
  return undefined;
}

/** When to look again whether the deadline has passed; undefined when nothing is under way. */
export function deadlineCheckMs(d: Deployment, status: DeploymentStatus, now: number): number | undefined {
  const current = conditionOf(status.conditions, "Progressing");
  if (!hasDeadline(d) || !current || isComplete(d, status)) return undefined;
  if (current.reason === TIMED_OUT || current.reason === WAITING) return undefined;
  const since = Date.parse(current.lastUpdateTime ?? "");
  return Math.max(1000, since + (d.spec?.progressDeadlineSeconds ?? 600) * 1000 - now + 1000);
}

/** Paused and resumed are told by the condition Progressing, so that a pause does not count towards the deadline. */
export function pausedCondition(d: Deployment, now: number): DeploymentCondition | undefined {
  const current = conditionOf(d.status?.conditions, "Progressing");
  if (!hasDeadline(d) || current?.reason === TIMED_OUT) return undefined;
  const told = current?.reason === "DeploymentPaused";
  if (d.spec?.paused && !told)
    return condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now);
  if (!d.spec?.paused && told)
    return condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now);
  return undefined;
}
