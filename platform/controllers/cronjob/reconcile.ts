/** What a CronJob's time asks for: pure (upstream: pkg/controller/cronjob). */
import { timeText } from "#platform/base/clock.ts";
import { lastBefore, parseSchedule } from "#platform/rules/cron.ts";
import type { CronJob, CronJobStatus, Job, ObjectReference } from "#sdk/api/generated/types.ts";
import { controllerRef, isTerminating } from "../objects.ts";

const SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp";
const MISSED_MANY = 100;
/** A job is not made before its time because of clocks that differ. */
const SLACK_MS = 100;

export interface Told {
  type: "Normal" | "Warning";
  reason: string;
  message: string;
}

export interface CronPlan {
  status: CronJobStatus;
  events: Told[];
  /** To be made, of this time. */
  start?: number;
  /** Deleted first, where a new one replaces them. */
  replace: ObjectReference[];
  /** Finished jobs beyond what is kept. */
  remove: Job[];
  nextInMs?: number;
}

const finished = (job: Job): "Complete" | "Failed" | undefined =>
  (job.status?.conditions ?? []).find((c) => (c.type === "Complete" || c.type === "Failed") && c.status === "True")
    ?.type as "Complete" | "Failed" | undefined;

export const jobName = (cron: CronJob, scheduled: number): string =>
  `${cron.metadata.name}-${Math.floor(scheduled / 60_000)}`;

export const referenceTo = (job: Job): ObjectReference => ({
  apiVersion: "batch/v1",
  kind: "Job",
  name: job.metadata.name,
  namespace: job.metadata.namespace,
  resourceVersion: job.metadata.resourceVersion,
  uid: job.metadata.uid,
});

export function jobFor(cron: CronJob, scheduled: number): Job {
  const { metadata, spec } = cron.spec.jobTemplate;
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      name: jobName(cron, scheduled),
      namespace: cron.metadata.namespace,
      labels: { ...metadata?.labels },
      annotations: { ...metadata?.annotations, [SCHEDULED]: timeText(scheduled) },
      ownerReferences: [controllerRef(cron)],
    },
    spec,
  };
}

/** `jobs`: those it controls. */
export function planCronJob(cron: CronJob, jobs: readonly Job[], now: number): CronPlan {
  const plan: CronPlan = { status: {}, events: [], replace: [], remove: surplus(cron, jobs) };
  plan.status = followJobs(cron, jobs, plan.events);
  if (isTerminating(cron) || cron.spec.suspend) return plan;
  const active = plan.status.active ?? [];
  const schedule = scheduleOf(cron, plan.events);
  if (!schedule) return plan;
  const { startingDeadlineSeconds, concurrencyPolicy } = cron.spec;
  const last = plan.status.lastScheduleTime ?? cron.metadata.creationTimestamp ?? "";
  let from = Date.parse(last) || now;
  if (startingDeadlineSeconds !== undefined) from = Math.max(from, now - startingDeadlineSeconds * 1000);
  const due = lastBefore(schedule, from, now);
  const next = schedule.next(now);
  if (next !== undefined) plan.nextInMs = next - now + SLACK_MS;
  if (due === undefined) return plan;
  const first = schedule.next(from) ?? due;
  const second = schedule.next(first) ?? due;
  if (second > first && (now - first) / (second - first) > MISSED_MANY) {
    const message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
    plan.events.push({ type: "Warning", reason: "TooManyMissedTimes", message });
  }
  if (active.some((job) => job.name === jobName(cron, due)) || Date.parse(last) === due) return plan;
  if (concurrencyPolicy === "Forbid" && active.length > 0) {
    const message = "Not starting job because prior execution is running and concurrency policy is Forbid";
    plan.events.push({ type: "Normal", reason: "JobAlreadyActive", message });
    return plan;
  }
  if (concurrencyPolicy === "Replace") plan.replace = active;
  plan.start = due;
  return plan;
}

function scheduleOf({ spec }: CronJob, events: Told[]) {
  if (spec.schedule.includes("TZ")) {
    const link = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
    const message = `CRON_TZ or TZ used in schedule ${JSON.stringify(spec.schedule)} is not officially supported, see ${link}`;
    events.push({ type: "Warning", reason: "UnsupportedSchedule", message });
  }
  try {
    return parseSchedule(spec.schedule, spec.timeZone ?? "UTC");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const zone = error instanceof RangeError;
    events.push({
      type: "Warning",
      reason: zone ? "UnknownTimeZone" : "UnparseableSchedule",
      message: zone
        ? `invalid timeZone: ${JSON.stringify(spec.timeZone)}: ${why}`
        : `unparseable schedule: ${JSON.stringify(spec.schedule)} : ${why}`,
    });
    return undefined;
  }
}

/** Which jobs run, and when one last succeeded. */
function followJobs(cron: CronJob, jobs: readonly Job[], events: Told[]): CronJobStatus {
  const before = cron.status?.active ?? [];
  const running = jobs.filter((job) => !finished(job));
  let { lastSuccessfulTime } = cron.status ?? {};
  for (const job of jobs) {
    const known = before.some((reference) => reference.uid === job.metadata.uid);
    const end = finished(job);
    const { name } = job.metadata;
    if (known && end) {
      events.push({
        type: "Normal",
        reason: "SawCompletedJob",
        message: `Saw completed job: ${name}, condition: ${end}`,
      });
    }
    const completed = end === "Complete" ? job.status?.completionTime : undefined;
    if (completed && (!lastSuccessfulTime || Date.parse(completed) > Date.parse(lastSuccessfulTime))) {
      lastSuccessfulTime = completed;
    }
  }
  for (const reference of before) {
    if (jobs.some((job) => job.metadata.uid === reference.uid)) continue;
    events.push({ type: "Normal", reason: "MissingJob", message: `Active job went missing: ${reference.name}` });
  }
  const active = [
    ...before.filter((reference) => running.some((job) => job.metadata.uid === reference.uid)),
    ...running.filter((job) => !before.some((reference) => reference.uid === job.metadata.uid)).map(referenceTo),
  ];
  return {
    ...(active.length > 0 ? { active } : {}),
    ...(cron.status?.lastScheduleTime ? { lastScheduleTime: cron.status.lastScheduleTime } : {}),
    ...(lastSuccessfulTime ? { lastSuccessfulTime } : {}),
  };
}

function surplus({ spec }: CronJob, jobs: readonly Job[]): Job[] {
  const beyond = (end: "Complete" | "Failed", limit: number | undefined): Job[] => {
    if (limit === undefined) return [];
    const ended = jobs.filter((job) => finished(job) === end && !isTerminating(job));
    const start = (job: Job) => Date.parse(job.status?.startTime ?? "") || 0;
    return ended.toSorted((a, b) => start(a) - start(b)).slice(0, Math.max(0, ended.length - limit));
  };
  return [...beyond("Complete", spec.successfulJobsHistoryLimit), ...beyond("Failed", spec.failedJobsHistoryLimit)];
}
