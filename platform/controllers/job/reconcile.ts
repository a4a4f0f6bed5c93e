/**
 * What a Job needs next: pure (upstream: pkg/controller/job/job_controller.go). Each finished pod is counted exactly once:
 *   1. its uid is written to status.uncountedTerminatedPods (or its index to completedIndexes),
 *   2. its finalizer is removed,
 *   3. seen without finalizer, it moves from uncounted into the counters.
 * A job that is to end says so first (SuccessCriteriaMet, FailureTarget), and is Complete or Failed when all pods have ended
 * and are counted.
 */
import { timeText } from "#platform/base/clock.ts";
import type { Job, JobCondition, JobStatus, Pod } from "#sdk/api/generated/types.ts";
import { conditionOf, isActive, isFinished, isReady, isTerminating, withoutZeros } from "../objects.ts";
import { delayMs } from "./backoff.ts";
import { failuresBefore, formatIndexes, indexOf, parseIndexes } from "./indexes.ts";
import { isTracked } from "./pods.ts";
import { hasFailed, judgeFailure, replacesOnlyFailed, successMessage } from "./policies.ts";

/** So many pods are counted at a time: the status stays small. */
const UNCOUNTED_MAX = 500;
const CHANGES_MAX = 500;

export interface JobPlan {
  /** To be written before finalizers are removed. */
  status: JobStatus;
  /** Undefined for a job without indexes; with what failed before. */
  create: { index?: number; failures: number }[];
  /** Active pods that are not wanted any more. */
  remove: Pod[];
  /** Their finalizer goes with them: they count for nothing. */
  forgetRemoved: boolean;
  /** Pods whose finalizer goes. */
  release: Pod[];
  recheckMs?: number;
}

export const isJobFinished = (job: Job): boolean =>
  (job.status?.conditions ?? []).some((c) => (c.type === "Complete" || c.type === "Failed") && c.status === "True");

interface View {
  job: Job;
  pods: readonly Pod[];
  now: number;
  active: Pod[];
  terminating: Pod[];
  indexed: boolean;
  completions: number | undefined;
  /** Including what is not in the counters yet. */
  succeeded: number;
  failed: number;
  succeededIndexes: Set<number>;
  failedIndexes: Set<number> | undefined;
}

function viewOf(job: Job, pods: readonly Pod[], now: number): View {
  const { spec, status } = job;
  const indexed = spec?.completionMode === "Indexed";
  const completions = spec?.completions;
  const uncounted = status?.uncountedTerminatedPods;
  const known = new Set([...(uncounted?.succeeded ?? []), ...(uncounted?.failed ?? [])]);
  const fresh = pods.filter((pod) => isTracked(pod) && !known.has(pod.metadata.uid ?? ""));
  const inRange = (pod: Pod) => !indexed || (indexOf(pod) ?? Number.POSITIVE_INFINITY) < (completions ?? 0);
  const newSucceeded = fresh.filter((pod) => pod.status?.phase === "Succeeded" && inRange(pod));
  const newFailed = fresh.filter((pod) => hasFailed(job, pod) && inRange(pod) && judgeFailure(job, pod).counts);
  const succeededIndexes = parseIndexes(status?.completedIndexes, completions ?? 0);
  if (indexed) for (const pod of newSucceeded) succeededIndexes.add(indexOf(pod)!);
  const succeeded = (status?.succeeded ?? 0) + newSucceeded.length + (uncounted?.succeeded?.length ?? 0);
  return {
    job,
    pods,
    now,
    active: pods.filter(isActive),
    terminating: pods.filter((pod) => isTerminating(pod) && !isFinished(pod)),
    indexed,
    completions,
    succeeded: indexed ? succeededIndexes.size : succeeded,
    failed: (status?.failed ?? 0) + newFailed.length + (uncounted?.failed?.length ?? 0),
    succeededIndexes,
    failedIndexes: indexed ? failedIndexesOf(job, fresh) : undefined,
  };
}

function failedIndexesOf(job: Job, fresh: readonly Pod[]): Set<number> | undefined {
  const { backoffLimitPerIndex, completions = 0 } = job.spec ?? {};
  if (backoffLimitPerIndex === undefined) return undefined;
  const failed = parseIndexes(job.status?.failedIndexes, completions);
  for (const pod of fresh) {
    const index = indexOf(pod);
    if (index === undefined || index >= completions || !hasFailed(job, pod)) continue;
    const { action, counts } = judgeFailure(job, pod);
    if (action === "FailIndex" || (counts && failuresBefore(pod) >= backoffLimitPerIndex)) failed.add(index);
  }
  return failed;
}

/** `satisfied`: what was created and deleted before has been seen. */
export function planJob(job: Job, pods: readonly Pod[], satisfied: boolean, now: number): JobPlan {
  const view = viewOf(job, pods, now);
  const conditions = [...(job.status?.conditions ?? [])];
  let ending = conditionOf(conditions, "SuccessCriteriaMet") ?? conditionOf(conditions, "FailureTarget");
  if (!ending) {
    ending = reasonToEnd(view);
    if (ending) conditions.push(ending);
  }
  const plan: JobPlan = { status: {}, create: [], remove: [], forgetRemoved: false, release: [] };
  let { startTime } = job.status ?? {};
  if (ending) plan.remove = view.active;
  else if (satisfied && !isTerminating(job)) {
    manage(view, plan);
    const left = view.active.length - plan.remove.length + plan.create.length;
    if (isComplete(view, left)) {
      ending = condition("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods", now);
      conditions.push(ending);
    } else startTime = suspendOrResume(view, conditions, startTime);
  }
  if (!job.spec?.suspend) startTime ??= timeText(now);
  plan.status = countFinished(view, plan, ending, satisfied, { ...job.status, startTime, conditions });
  const deadline = deadlineInMs(job, startTime, now);
  if (!ending && deadline !== undefined && deadline > 0)
    plan.recheckMs = Math.min(plan.recheckMs ?? deadline, deadline);
  return plan;
}

const condition = (type: string, reason: string, message: string, now: number): JobCondition => {
  const time = timeText(now);
  return { type, status: "True", lastProbeTime: time, lastTransitionTime: time, reason, message };
};

function deadlineInMs({ spec }: Job, startTime: string | undefined, now: number): number | undefined {
  if (spec?.activeDeadlineSeconds === undefined || spec.suspend || !startTime) return undefined;
  return Date.parse(startTime) + spec.activeDeadlineSeconds * 1000 - now;
}

/** The condition that announces the end, failures first. */
function reasonToEnd(view: View): JobCondition | undefined {
  const { job, pods, now, failedIndexes } = view;
  const { spec } = job;
  const fail = (reason: string, message: string) => condition("FailureTarget", reason, message, now);
  if (spec?.podFailurePolicy) {
    const judged = pods.filter((pod) => hasFailed(job, pod)).map((pod) => judgeFailure(job, pod).message);
    const message = judged.find((text) => text !== undefined);
    if (message !== undefined) return fail("PodFailurePolicy", message);
  }
  if (view.failed > (spec?.backoffLimit ?? 6) || restartedTooOften(view)) {
    return fail("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  }
  if ((deadlineInMs(job, job.status?.startTime, now) ?? 1) <= 0) {
    return fail("DeadlineExceeded", "Job was active longer than specified deadline");
  }
  if (failedIndexes) {
    const { size } = failedIndexes;
    if (spec?.maxFailedIndexes !== undefined && size > spec.maxFailedIndexes) {
      return fail("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
    }
    if (size > 0 && size + view.succeededIndexes.size >= (view.completions ?? 0)) {
      return fail("FailedIndexes", "Job has failed indexes");
    }
  }
  const met = view.indexed ? successMessage(job, view.succeededIndexes) : undefined;
  return met === undefined ? undefined : condition("SuccessCriteriaMet", "SuccessPolicy", met, now);
}

function restartedTooOften({ job, pods }: View): boolean {
  if (job.spec?.template?.spec?.restartPolicy !== "OnFailure") return false;
  const limit = job.spec.backoffLimit ?? 6;
  let restarts = 0;
  for (const { status } of pods.filter((pod) => !isFinished(pod))) {
    for (const c of [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]) {
      restarts += c.restartCount;
    }
  }
  return limit === 0 ? restarts > 0 : restarts >= limit;
}

const isComplete = (view: View, active: number): boolean =>
  active === 0 && (view.completions === undefined ? view.succeeded > 0 : view.succeeded >= view.completions);

/** Which pods to make or to remove; never both in one step. */
function manage(view: View, plan: JobPlan): void {
  const { job, active } = view;
  const { parallelism = 1, suspend } = job.spec ?? {};
  plan.forgetRemoved = true;
  if (suspend) {
    plan.remove = active;
    return;
  }
  let wanted = view.succeeded > 0 ? active.length : parallelism;
  if (view.completions !== undefined) wanted = Math.max(0, Math.min(parallelism, view.completions - view.succeeded));
  plan.remove = surplus(view, active.length - wanted).slice(0, CHANGES_MAX);
  if (plan.remove.length > 0) return;
  const ending = replacesOnlyFailed(job) ? view.terminating.length : 0;
  const missing = Math.min(wanted - active.length - ending, CHANGES_MAX);
  if (missing <= 0) return;
  if (view.indexed) {
    createIndexes(view, missing, plan);
    return;
  }
  const waitMs = delayMs(
    view.pods.filter((pod) => hasFailed(job, pod)),
    newestSuccess(view),
    view.now,
  );
  if (waitMs > 0) plan.recheckMs = waitMs;
  else plan.create = Array.from({ length: missing }, () => ({ failures: 0 }));
}

const newestSuccess = (view: View): Pod[] => view.pods.filter((pod) => pod.status?.phase === "Succeeded");

/** Pods that share an index or have one too many, then the least advanced ones. */
function surplus(view: View, least: number): Pod[] {
  const removed: Pod[] = [];
  const taken = new Set<number>();
  const rank = (pod: Pod) => (isReady(pod) ? 0 : pod.status?.phase === "Running" ? 1 : pod.spec?.nodeName ? 2 : 3);
  const best = view.active.toSorted((a, b) => rank(a) - rank(b));
  if (view.indexed) {
    for (const pod of best) {
      const index = indexOf(pod);
      const fits = index !== undefined && index < (view.completions ?? 0) && !taken.has(index);
      if (fits) taken.add(index);
      else removed.push(pod);
    }
  }
  const left = best.filter((pod) => !removed.includes(pod));
  while (removed.length < least && left.length > 0) removed.push(left.pop()!);
  return removed;
}

/** The lowest indexes that neither run nor have ended; those that failed before wait for their own delay. */
function createIndexes(view: View, missing: number, plan: JobPlan): void {
  const { job, completions = 0 } = view;
  const busy = new Set([...view.active, ...(replacesOnlyFailed(job) ? view.terminating : [])].map(indexOf));
  const perIndex = view.failedIndexes !== undefined;
  const failedBefore = view.pods.filter((pod) => hasFailed(job, pod));
  if (!perIndex) {
    const waitMs = delayMs(failedBefore, newestSuccess(view), view.now);
    if (waitMs > 0) {
      plan.recheckMs = waitMs;
      return;
    }
  }
  for (let index = 0; index < completions && plan.create.length < missing; index++) {
    if (busy.has(index) || view.succeededIndexes.has(index) || view.failedIndexes?.has(index)) continue;
    const own = perIndex ? failedBefore.filter((pod) => indexOf(pod) === index) : [];
    const waitMs = delayMs(own, [], view.now);
    if (waitMs > 0) plan.recheckMs = Math.min(plan.recheckMs ?? waitMs, waitMs);
    else plan.create.push({ index, failures: nextFailures(job, own) });
  }
}

/** Ignored failures are not counted. */
function nextFailures(job: Job, failed: readonly Pod[]): number {
  return Math.max(0, ...failed.map((pod) => failuresBefore(pod) + (judgeFailure(job, pod).counts ? 1 : 0)));
}

/** Answers the new start time: a job that is resumed starts anew. */
function suspendOrResume(view: View, conditions: JobCondition[], startTime: string | undefined): string | undefined {
  const { job, now } = view;
  const present = conditionOf(conditions, "Suspended");
  const set = (next: JobCondition) => {
    if (present) conditions.splice(conditions.indexOf(present), 1, next);
    else conditions.push(next);
  };
  if (job.spec?.suspend) {
    if (present?.status !== "True") set(condition("Suspended", "JobSuspended", "Job suspended", now));
    return undefined;
  }
  if (present?.status !== "True") return startTime;
  set({ ...condition("Suspended", "JobResumed", "Job resumed", now), status: "False" });
  return timeText(now);
}

/** Steps 1 and 3 of counting, what may be released, and the end when nothing is left to count. */
function countFinished(
  view: View,
  plan: JobPlan,
  ending: JobCondition | undefined,
  satisfied: boolean,
  status: JobStatus,
): JobStatus {
  const { job, indexed, completions = 0 } = view;
  const tracked = new Set(view.pods.filter(isTracked).map((pod) => pod.metadata.uid ?? ""));
  const before = status.uncountedTerminatedPods;
  const succeeded = (before?.succeeded ?? []).filter((uid) => tracked.has(uid));
  const failed = (before?.failed ?? []).filter((uid) => tracked.has(uid));
  const counted = {
    succeeded: (status.succeeded ?? 0) + (before?.succeeded?.length ?? 0) - succeeded.length,
    failed: (status.failed ?? 0) + (before?.failed?.length ?? 0) - failed.length,
  };
  const held = heldForTheirIndex(view, ending !== undefined);
  let newIndexes = 0;
  const completed = parseIndexes(status.completedIndexes, completions);
  for (const pod of view.pods) {
    if (!isTracked(pod) || succeeded.length + failed.length + newIndexes >= UNCOUNTED_MAX) continue;
    const uid = pod.metadata.uid ?? "";
    const [isSuccess, isFailure] = [pod.status?.phase === "Succeeded", hasFailed(job, pod)];
    const mayGo = isTerminating(job) || ending !== undefined || isSuccess || (isFailure && !held.has(pod));
    if (!mayGo) continue;
    plan.release.push(pod);
    const index = indexOf(pod);
    const valid = !indexed || (index !== undefined && index < completions);
    if (isSuccess) {
      if (!indexed && !succeeded.includes(uid)) succeeded.push(uid);
      if (indexed && valid && !completed.has(index!)) {
        completed.add(index!);
        newIndexes++;
      }
    } else if ((isFailure || ending?.type === "FailureTarget") && valid && !failed.includes(uid)) {
      if (judgeFailure(job, pod).counts) failed.push(uid);
    }
  }
  const removed = new Set(plan.remove);
  const activeLeft = view.active.length - removed.size + plan.create.length;
  const terminating = view.terminating.length + removed.size;
  const conditions = [...(status.conditions ?? [])];
  const over =
    ending !== undefined && satisfied && succeeded.length + failed.length + terminating + plan.release.length === 0;
  if (over) conditions.push(finalCondition(ending, view.now));
  const { completionTime } = status;
  const completionTime_ = over && ending.type === "SuccessCriteriaMet" ? timeText(view.now) : completionTime;
  return {
    ...withoutZeros({
      active: activeLeft,
      succeeded: indexed ? completed.size : counted.succeeded,
      failed: counted.failed,
    }),
    ready: view.active.filter((pod) => isReady(pod) && !removed.has(pod)).length,
    terminating,
    ...(completed.size > 0 && indexed ? { completedIndexes: formatIndexes(completed) } : {}),
    ...(view.failedIndexes ? { failedIndexes: formatIndexes(view.failedIndexes) } : {}),
    ...(status.startTime ? { startTime: status.startTime } : {}),
    ...(completionTime_ ? { completionTime: completionTime_ } : {}),
    ...(conditions.length > 0 ? { conditions } : {}),
    uncountedTerminatedPods: {
      ...(succeeded.length > 0 ? { succeeded } : {}),
      ...(failed.length > 0 ? { failed } : {}),
    },
  };
}

const finalCondition = ({ type, reason = "", message = "" }: JobCondition, now: number): JobCondition =>
  condition(type === "SuccessCriteriaMet" ? "Complete" : "Failed", reason, message, now);

/** The last failed pod of an index stays until its successor is there, which takes over how often it failed. */
function heldForTheirIndex(view: View, ending: boolean): Set<Pod> {
  if (!view.failedIndexes || ending) return new Set();
  const active = new Set(view.active.map(indexOf));
  const last = new Map<number, Pod>();
  for (const pod of view.pods) {
    const index = indexOf(pod);
    if (index === undefined || !hasFailed(view.job, pod) || !isTracked(pod)) continue;
    if (active.has(index) || view.succeededIndexes.has(index) || view.failedIndexes.has(index)) continue;
    const present = last.get(index);
    if (!present || failuresBefore(present) <= failuresBefore(pod)) last.set(index, pod);
  }
  return new Set(last.values());
}
