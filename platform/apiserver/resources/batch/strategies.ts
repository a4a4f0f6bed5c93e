/** Jobs and CronJobs. */
import { parseSchedule } from "#platform/rules/cron.ts";
import type { CronJob, CronJobSpec, Job, JobSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, notSupportedInOrder, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { defaultTemplate, nonNegative } from "../apps/workloads.ts";
import { as } from "../as.ts";
import { dropDisabled } from "../core/pods/prepare.ts";
import { NAME_LABELS, UID_LABELS, validateJob, validateJobUpdate } from "./jobs.ts";
import { validateJobTemplate } from "./validation.ts";

function defaultJobSpec(spec: JobSpec): void {
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : 2 ** 31 - 1;
  spec.completionMode ??= "NonIndexed";
  spec.suspend ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? "Failed" : "TerminatingOrFailed";
  spec.manualSelector ??= false;
}

/** The server's own labels tie pods to their job; a selector is only the user's with manualSelector. What is there is judged later. */
function generateSelector(job: Job): void {
  const { spec } = job;
  if (!spec || spec.manualSelector) return;
  const { uid = "", name = "" } = job.metadata;
  spec.template.metadata ??= {};
  spec.template.metadata.labels ??= {};
  // In place: a job that took its template's labels for want of its own gets the server's with them, as upstream's does.
  const { labels } = spec.template.metadata;
  for (const label of UID_LABELS) labels[label] ??= uid;
  for (const label of NAME_LABELS) labels[label] ??= name;
  const selected = spec.selector?.matchLabels;
  spec.selector = { ...spec.selector, matchLabels: { [UID_LABELS[1]]: uid, ...selected } };
}

function defaultPatterns(spec: JobSpec | undefined): void {
  for (const rule of spec?.podFailurePolicy?.rules ?? [])
    for (const pattern of rule.onPodConditions ?? []) pattern.status ||= "True";
}

export const jobStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    propagationPolicy: "Orphan",
    applyDefaults(object) {
      const job = as<Job>(object);
      job.spec ??= {} as JobSpec;
      defaultJobSpec(job.spec);
      defaultTemplate(job.spec);
      defaultPatterns(job.spec);
      const labels = job.spec.template?.metadata?.labels;
      if (labels && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = labels;
    },
    prepareForCreate(object) {
      const job = as<Job>(object);
      generateSelector(job);
      dropDisabled(job.spec?.template?.spec);
    },
    // Without labels of its own a job is read with its template's, which are the server's by now; they are judged there only.
    async effects({ operation, object }) {
      if (operation === "create") object.metadata.labels ??= { ...as<Job>(object).spec?.template?.metadata?.labels };
      return {};
    },
    prepareForUpdate: (next, old) =>
      dropDisabled(as<Job>(next).spec?.template?.spec, as<Job>(old).spec?.template?.spec),
    validate: (object) => validateJob(as<Job>(object)),
    validateUpdate: (next, old) => validateJobUpdate(as<Job>(next), as<Job>(old)),
    fieldNames: ["status.successful"],
    fields: (object) => ({ "status.successful": String(as<Job>(object).status?.succeeded ?? 0) }),
  });

const CONCURRENCY = ["Allow", "Forbid", "Replace"];
const CRON_JOB_NAME_MAX = 52;
const ZONE_PART = /^[A-Za-z._0-9+-]{1,14}$/;

const isKnownZone = (zone: string): boolean => {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
};

function validateTimeZone(zone: string | undefined): Causes {
  const field = "spec.timeZone";
  if (zone === undefined) return [];
  if (zone === "") return [invalidValue(field, zone, "timeZone must be nil or non-empty string")];
  const unknown = [invalidValue(field, zone, `unknown time zone ${zone}`)];
  const parts = zone.split("/");
  if (parts.some((part) => part === "." || part === ".." || part.startsWith("-") || !ZONE_PART.test(part)))
    return unknown;
  const detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
  // Go knows its own machine's zone by this name alone.
  if (zone.toLowerCase() === "local")
    return zone === "Local" ? [invalidValue(field, zone, detail)] : [invalidValue(field, zone, detail), ...unknown];
  return isKnownZone(zone) ? [] : unknown;
}

/** `zoned`: a schedule that names its zone itself has been let in before. */
function validateSchedule(schedule: string, zoned: boolean, zone: string | undefined): Causes {
  const field = "spec.schedule";
  if (schedule === "") return [required(field)];
  const causes: Causes = [];
  try {
    parseSchedule(schedule);
  } catch (error) {
    causes.push(invalidValue(field, schedule, (error as Error).message));
  }
  if (!schedule.includes("TZ")) return causes;
  if (!zoned)
    causes.push(invalidValue(field, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"));
  else if (zone !== undefined)
    causes.push(invalidValue(field, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"));
  return causes;
}

function validateConcurrency(policy: string | undefined): Causes {
  const field = "spec.concurrencyPolicy";
  if (!policy) return [required(field)];
  return CONCURRENCY.includes(policy) ? [] : [notSupportedInOrder(field, policy, CONCURRENCY)];
}

function validateCronJob({ spec }: CronJob, old?: CronJob): Causes {
  const template = old?.spec?.jobTemplate?.spec?.template;
  const sameZone = old !== undefined && old.spec?.timeZone === spec?.timeZone;
  return [
    ...validateSchedule(spec?.schedule ?? "", (old?.spec?.schedule ?? "").includes("TZ"), spec?.timeZone),
    ...(sameZone ? [] : validateTimeZone(spec?.timeZone)),
    ...validateConcurrency(spec?.concurrencyPolicy),
    ...(["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] as const).flatMap((field) =>
      nonNegative(spec?.[field], `spec.${field}`),
    ),
    ...validateJobTemplate(spec?.jobTemplate?.spec, "spec.jobTemplate.spec", template),
  ];
}

/** Its jobs' names are longer by when they were due. */
const validateName = (name = ""): Causes =>
  Buffer.byteLength(name) > CRON_JOB_NAME_MAX
    ? [invalidValue("metadata.name", name, `must be no more than ${CRON_JOB_NAME_MAX} characters`)]
    : [];

export const cronJobStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults(object) {
      const job = as<CronJob>(object);
      job.spec ??= {} as CronJobSpec;
      const { spec } = job;
      spec.concurrencyPolicy ||= "Allow";
      spec.suspend ??= false;
      spec.successfulJobsHistoryLimit ??= 3;
      spec.failedJobsHistoryLimit ??= 1;
      spec.jobTemplate ??= {};
      spec.jobTemplate.spec ??= {} as JobSpec;
      defaultTemplate(spec.jobTemplate.spec);
      defaultPatterns(spec.jobTemplate.spec);
    },
    prepareForCreate: (object) => dropDisabled(as<CronJob>(object).spec?.jobTemplate?.spec?.template?.spec),
    prepareForUpdate: (next, old) =>
      dropDisabled(
        as<CronJob>(next).spec?.jobTemplate?.spec?.template?.spec,
        as<CronJob>(old).spec?.jobTemplate?.spec?.template?.spec,
      ),
    validate: (object) => [...validateCronJob(as<CronJob>(object)), ...validateName(object.metadata.name)],
    validateUpdate: (next, old) => validateCronJob(as<CronJob>(next), as<CronJob>(old)),
  });
