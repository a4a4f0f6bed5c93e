/**
 * What a StatefulSet's pods need next, and its status: pure (upstream: pkg/controller/statefulset/stateful_set_control.go).
 * Ordered sets take one step a reconcile and wait for it to show; parallel sets take all steps there are.
 */
import type { ControllerRevision, Pod, StatefulSet, StatefulSetStatus } from "#sdk/api/generated/types.ts";
import { scaledValue } from "#sdk/api/intstr.ts";
import { availability, isFinished, isReady, isTerminating } from "../objects.ts";
import { ordinalOf, replicasOf, revisionOf, startOf } from "./identity.ts";

export type Step =
  | { type: "create"; ordinal: number; revision: ControllerRevision }
  /** `again`: a finished pod is deleted to be made anew. */
  | { type: "delete"; pod: Pod; why: "finished" | "scale" | "update" };

export interface Plan {
  steps: Step[];
  status: StatefulSetStatus;
  /** Pods beyond the wanted ordinals, highest first. */
  condemned: Pod[];
  /** When a pod could become available. */
  recheckMs?: number;
}

export interface PlanInput {
  set: StatefulSet;
  pods: readonly Pod[];
  current: ControllerRevision;
  update: ControllerRevision;
  collisions: number;
  now: number;
}

const isRunningReady = (pod: Pod): boolean => pod.status?.phase === "Running" && isReady(pod);

export function planStatefulSet(input: PlanInput): Plan {
  const { set, now } = input;
  const start = startOf(set);
  const end = start + replicasOf(set);
  const replicas = new Map<number, Pod>();
  const condemned: Pod[] = [];
  for (const pod of input.pods) {
    const ordinal = ordinalOf(set, pod);
    if (ordinal >= start && ordinal < end) replicas.set(ordinal, pod);
    else if (ordinal >= 0) condemned.push(pod);
  }
  condemned.sort((a, b) => ordinalOf(set, b) - ordinalOf(set, a));
  const waits = input.pods.flatMap((pod) => availability(pod, set.spec?.minReadySeconds ?? 0, now).inMs ?? []);
  const steps = isTerminating(set) ? [] : nextSteps(input, replicas, condemned);
  return {
    steps,
    status: statusOf(input),
    condemned,
    ...(waits.length > 0 ? { recheckMs: Math.min(...waits) } : {}),
  };
}

function nextSteps(input: PlanInput, replicas: Map<number, Pod>, condemned: readonly Pod[]): Step[] {
  const { set } = input;
  const ordered = set.spec?.podManagementPolicy !== "Parallel";
  const isAvailable = (pod: Pod) =>
    isRunningReady(pod) && availability(pod, set.spec?.minReadySeconds ?? 0, input.now).available;
  const steps: Step[] = [];
  const [start, end] = [startOf(set), startOf(set) + replicasOf(set)];
  for (let ordinal = start; ordinal < end; ordinal++) {
    const pod = replicas.get(ordinal);
    if (!pod) steps.push({ type: "create", ordinal, revision: revisionFor(input, ordinal) });
    else if (isFinished(pod) && !isTerminating(pod)) steps.push({ type: "delete", pod, why: "finished" });
    else if (!ordered || (!isTerminating(pod) && isAvailable(pod))) continue;
    if (ordered) return steps;
  }
  const unhealthy = firstUnhealthy(set, replicas, condemned);
  for (const pod of condemned) {
    if (isTerminating(pod)) {
      if (ordered) return steps;
      continue;
    }
    if (ordered && !isAvailable(pod) && pod !== unhealthy) return steps;
    steps.push({ type: "delete", pod, why: "scale" });
    if (ordered) return steps;
  }
  if (set.spec?.updateStrategy?.type === "OnDelete" || steps.some((step) => step.type === "create")) return steps;
  return [...steps, ...updateSteps(input, replicas, isAvailable)];
}

/** Of all pods that are not healthy, the one with the lowest ordinal: a set that shrinks may lose it while others wait. */
function firstUnhealthy(set: StatefulSet, replicas: Map<number, Pod>, condemned: readonly Pod[]): Pod | undefined {
  const all = [...replicas.values(), ...condemned].toSorted((a, b) => ordinalOf(set, a) - ordinalOf(set, b));
  return all.find((pod) => !isRunningReady(pod) || isTerminating(pod));
}

/** From the highest ordinal down to the partition, no more at once than may be unavailable (one, if nothing is said). */
function updateSteps(input: PlanInput, replicas: Map<number, Pod>, isAvailable: (pod: Pod) => boolean): Step[] {
  const { set, update } = input;
  const { partition = 0, maxUnavailable } = set.spec?.updateStrategy?.rollingUpdate ?? {};
  const [start, end] = [startOf(set), startOf(set) + replicasOf(set)];
  const allowed = Math.max(1, maxUnavailable === undefined ? 1 : scaledValue(maxUnavailable, replicasOf(set), false));
  const steps: Step[] = [];
  let unavailable = [...replicas.values()].filter((pod) => isTerminating(pod) || !isAvailable(pod)).length;
  for (let ordinal = end - 1; ordinal >= start + partition; ordinal--) {
    const pod = replicas.get(ordinal);
    if (!pod) continue;
    const healthy = !isTerminating(pod) && isAvailable(pod);
    const outdated = revisionOf(pod) !== update.metadata.name && !isTerminating(pod);
    if (outdated && (!healthy || unavailable < allowed)) {
      steps.push({ type: "delete", pod, why: "update" });
      if (healthy) unavailable++;
      if (allowed === 1) return steps;
    } else if (!healthy && allowed === 1) return steps;
  }
  return steps;
}

/** Below the partition pods keep the revision the set came from. */
function revisionFor({ set, current, update }: PlanInput, ordinal: number): ControllerRevision {
  const strategy = set.spec?.updateStrategy;
  if (strategy?.type === "OnDelete") return update;
  const partition = strategy?.rollingUpdate?.partition;
  const kept = partition === undefined ? (set.status?.currentReplicas ?? 0) : partition;
  return ordinal < startOf(set) + kept ? current : update;
}

function statusOf({ set, pods, current, update, collisions, now }: PlanInput): StatefulSetStatus {
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const created = pods.filter((pod) => ordinalOf(set, pod) >= 0);
  const ready = created.filter(isRunningReady);
  const [currentName, updateName] = [current.metadata.name ?? "", update.metadata.name ?? ""];
  const settled = created.filter((pod) => !isTerminating(pod));
  const counts = {
    replicas: created.length,
    readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => availability(pod, minReadySeconds, now).available).length,
    currentReplicas: settled.filter((pod) => revisionOf(pod) === currentName).length,
    updatedReplicas: settled.filter((pod) => revisionOf(pod) === updateName).length,
  };
  // All are of the new revision: it becomes the current one.
  const done =
    set.spec?.updateStrategy?.type !== "OnDelete" &&
    counts.updatedReplicas === counts.replicas &&
    counts.readyReplicas === counts.replicas;
  const { replicas, availableReplicas, ...others } = done
    ? { ...counts, currentReplicas: counts.updatedReplicas }
    : counts;
  return {
    observedGeneration: set.metadata.generation,
    replicas,
    availableReplicas,
    ...Object.fromEntries(Object.entries(others).filter(([, count]) => count > 0)),
    currentRevision: done ? updateName : currentName,
    updateRevision: updateName,
    collisionCount: collisions,
    ...(set.status?.conditions ? { conditions: set.status.conditions } : {}),
  };
}
