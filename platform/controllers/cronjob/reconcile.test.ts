import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { CronJob, CronJobSpec, CronJobStatus, Job } from "#sdk/api/generated/types.ts";
import { jobFor, planCronJob } from "./reconcile.ts";

const NOW = Date.parse("2026-01-01T12:00:30Z");
const cronOf = (spec: Partial<CronJobSpec> = {}, status?: CronJobStatus): CronJob => ({
  apiVersion: "batch/v1",
  kind: "CronJob",
  metadata: { name: "cron", namespace: "default", uid: "u", creationTimestamp: "2026-01-01T10:00:00Z" },
  spec: { schedule: "0 * * * *", jobTemplate: {}, ...spec },
  ...(status ? { status } : {}),
});
const jobOf = (name: string, end?: "Complete" | "Failed"): Job => ({
  metadata: { name, uid: name, namespace: "default" },
  status: {
    startTime: `2026-01-01T11:00:0${name.at(-1)}Z`,
    completionTime: end === "Complete" ? "2026-01-01T11:30:00Z" : undefined,
    conditions: end ? [{ type: end, status: "True" }] : [],
  },
});
const start = (cron: CronJob, jobs: Job[] = []) => {
  const due = planCronJob(cron, jobs, NOW).start;
  return due === undefined ? undefined : new Date(due).toISOString().slice(11, 16);
};
const active = [{ name: "j1", uid: "j1", namespace: "default" }];

test("the last time that was missed is made up for, once", () => {
  equal(start(cronOf()), "12:00");
  equal(start(cronOf({}, { lastScheduleTime: "2026-01-01T12:00:00Z" })), undefined);
  equal(start(cronOf({ suspend: true })), undefined);
  equal(start(cronOf({ startingDeadlineSeconds: 10 })), undefined);
  equal(start(cronOf({ startingDeadlineSeconds: 60 })), "12:00");
  equal(planCronJob(cronOf(), [], NOW).nextInMs, 3_570_100);
  equal(start(cronOf({ schedule: "30 17 * * *", timeZone: "Asia/Kolkata" })), "12:00");
});

test("the concurrency policy decides what a running job means", () => {
  const jobs = [jobOf("j1")];
  equal(start(cronOf({ concurrencyPolicy: "Allow" }, { active }), jobs), "12:00");
  equal(start(cronOf({ concurrencyPolicy: "Forbid" }, { active }), jobs), undefined);
  deepEqual(planCronJob(cronOf({ concurrencyPolicy: "Replace" }, { active }), jobs, NOW).replace, active);
});

test("the status follows the jobs, and finished ones beyond the limits go", () => {
  const jobs = [jobOf("j1", "Complete"), jobOf("j2", "Complete"), jobOf("j3", "Failed"), jobOf("j4")];
  const plan = planCronJob(cronOf({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 1 }, { active }), jobs, NOW);
  deepEqual(
    plan.remove.map((job) => job.metadata.name),
    ["j1"],
  );
  deepEqual(
    plan.status.active?.map((r) => r.name),
    ["j4"],
  );
  equal(plan.status.lastSuccessfulTime, "2026-01-01T11:30:00Z");
  deepEqual(
    plan.events.map((e) => e.message),
    ["Saw completed job: j1, condition: Complete"],
  );
  deepEqual(
    planCronJob(cronOf({}, { active }), [], NOW).events.map((e) => e.reason),
    ["MissingJob"],
  );
});

test("a job is named after its time, so that making it twice is harmless", () => {
  const job = jobFor(cronOf(), Date.parse("2026-01-01T12:00:00Z"));
  equal(job.metadata.name, "cron-29454480");
  equal(job.metadata.ownerReferences?.[0]?.uid, "u");
});

test("what is no schedule is told", () => {
  deepEqual(
    planCronJob(cronOf({ schedule: "never" }), [], NOW).events.map((e) => e.reason),
    ["UnparseableSchedule"],
  );
  deepEqual(
    planCronJob(cronOf({ timeZone: "No/Where" }), [], NOW).events.map((e) => e.reason),
    ["UnknownTimeZone"],
  );
});

test("a time zone in the schedule itself works, and is told to be no good idea", () => {
  const zoned = cronOf({ schedule: "TZ=Asia/Kolkata 30 17 * * *" });
  equal(start(zoned), "12:00");
  deepEqual(
    planCronJob(zoned, [], NOW).events.map((event) => event.reason),
    ["UnsupportedSchedule"],
  );
});
