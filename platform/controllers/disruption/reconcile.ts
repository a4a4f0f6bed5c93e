/** How many pods a PodDisruptionBudget lets go: pure (upstream: pkg/controller/disruption). */
import { timeText } from "#platform/base/clock.ts";
import type { Condition, Pod, PodDisruptionBudget, PodDisruptionBudgetStatus } from "#sdk/api/generated/types.ts";
import { scaledValue } from "#sdk/api/intstr.ts";
import { conditionOf, isFinished, isLeaving, isReady, isTerminating } from "../objects.ts";

/** An eviction that was granted counts so long as its pod has not begun to end. */
const DISRUPTED_MS = 120_000;

/** The scale of each controller of the pods, by its uid; undefined where it is not known. */
export type Scales = ReadonlyMap<string, number | undefined>;

export interface Outcome {
  status: PodDisruptionBudgetStatus;
  /** What keeps the budget from being worked out. */
  failure?: string;
  recheckMs?: number;
}

/** The condition's transition time stays while its status does. */
function allowed(budget: PodDisruptionBudget, is: boolean, reason: string, message: string, now: number): Condition[] {
  const status = is ? "True" : "False";
  const present = budget.status?.conditions ?? [];
  const old = conditionOf(present, "DisruptionAllowed");
  const lastTransitionTime = old?.status === status ? old.lastTransitionTime : timeText(now);
  const observedGeneration = budget.metadata.generation;
  return [
    ...present.filter((c) => c.type !== "DisruptionAllowed"),
    { type: "DisruptionAllowed", status, reason, message, lastTransitionTime, observedGeneration },
  ];
}

/** `pods`: those the selector finds. `controllerUid`: of each pod's controller. */
export function planBudget(
  budget: PodDisruptionBudget,
  pods: readonly Pod[],
  scales: Scales,
  controllerUid: (pod: Pod) => string | undefined,
  now: number,
): Outcome {
  const counted = pods.filter((pod) => !isFinished(pod));
  const expected = expectedPods(budget, counted, scales, controllerUid);
  if ("failure" in expected) {
    const { failure } = expected;
    const conditions = allowed(budget, false, "SyncFailed", failure, now);
    const counts = { currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
    const status = { ...counts, ...budget.status, disruptionsAllowed: 0, conditions };
    return { failure, status };
  }
  const { disruptedPods, recheckMs } = stillDisrupted(budget, counted, now);
  const healthy = counted.filter(
    (pod) => !isLeaving(pod) && disruptedPods[pod.metadata.name ?? ""] === undefined && isReady(pod),
  ).length;
  const room = healthy - expected.desiredHealthy;
  const disruptionsAllowed = expected.count > 0 ? Math.max(0, room) : 0;
  const conditions =
    disruptionsAllowed > 0
      ? allowed(budget, true, "SufficientPods", "", now)
      : allowed(budget, false, "InsufficientPods", "", now);
  return {
    status: {
      observedGeneration: budget.metadata.generation,
      ...(Object.keys(disruptedPods).length > 0 ? { disruptedPods } : {}),
      disruptionsAllowed,
      currentHealthy: healthy,
      desiredHealthy: expected.desiredHealthy,
      expectedPods: expected.count,
      conditions,
    },
    ...(recheckMs === undefined ? {} : { recheckMs }),
  };
}

/** A count of available pods needs only the pods; anything else how many their controllers want. */
function expectedPods(
  { spec }: PodDisruptionBudget,
  pods: readonly Pod[],
  scales: Scales,
  controllerUid: (pod: Pod) => string | undefined,
): { count: number; desiredHealthy: number } | { failure: string } {
  const { minAvailable, maxUnavailable } = spec ?? {};
  if (maxUnavailable === undefined && typeof minAvailable === "number") {
    return { count: pods.length, desiredHealthy: minAvailable };
  }
  if (maxUnavailable === undefined && minAvailable === undefined) return { count: pods.length, desiredHealthy: 0 };
  const wanted = new Map<string, number>();
  for (const pod of pods) {
    const uid = controllerUid(pod);
    const scale = uid === undefined ? undefined : scales.get(uid);
    if (uid === undefined) return { failure: `found no controller ref for pod "${pod.metadata.name}"` };
    if (scale === undefined) return { failure: `found no controllers for pod "${pod.metadata.name}"` };
    wanted.set(uid, scale);
  }
  const count = [...wanted.values()].reduce((sum, scale) => sum + scale, 0);
  try {
    if (maxUnavailable === undefined) return { count, desiredHealthy: scaledValue(minAvailable ?? 0, count, true) };
    return { count, desiredHealthy: Math.max(0, count - scaledValue(maxUnavailable, count, true)) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

function stillDisrupted(
  { status }: PodDisruptionBudget,
  pods: readonly Pod[],
  now: number,
): { disruptedPods: Record<string, string>; recheckMs?: number } {
  const disruptedPods: Record<string, string> = {};
  let recheckMs: number | undefined;
  for (const pod of pods) {
    const name = pod.metadata.name ?? "";
    const since = status?.disruptedPods?.[name];
    if (since === undefined || isTerminating(pod)) continue;
    const leftMs = Date.parse(since) + DISRUPTED_MS - now;
    if (leftMs <= 0) continue;
    disruptedPods[name] = since;
    recheckMs = Math.min(recheckMs ?? leftMs, leftMs);
  }
  return { disruptedPods, ...(recheckMs === undefined ? {} : { recheckMs }) };
}
