/** Jobs and CronJobs. */
import type { CronJob, Job, JobSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, notSupported, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { defaultTemplate, immutableField, nonNegative } from "../apps/workloads.ts";
import { as } from "../as.ts";
import { mayResize, validateJobSpec, validateJobTemplate } from "./validation.ts";

function defaultJobSpec(spec: JobSpec): void {
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : 2 ** 31 - 1;
  spec.completionMode ??= "NonIndexed";
  spec.suspend ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? "Failed" : "TerminatingOrFailed";
  spec.manualSelector ??= false;
}

/** The server's own labels tie pods to their job; a selector is only the user's with manualSelector. */
function generateSelector(job: Job): void {
  const { spec } = job;
  if (!spec || spec.manualSelector) return;
  const { uid = "", name = "" } = job.metadata;
  const own: Record<string, string> = {
    "batch.kubernetes.io/controller-uid": uid,
    "batch.kubernetes.io/job-name": name,
    "controller-uid": uid,
    "job-name": name,
  };
  spec.template.metadata ??= {};
  spec.template.metadata.labels ??= {};
  // In place: a job that took its template's labels for want of its own gets the server's with them, as upstream's does.
  Object.assign(spec.template.metadata.labels, own);
  spec.selector = {
    ...spec.selector,
    matchLabels: { ...spec.selector?.matchLabels, "batch.kubernetes.io/controller-uid": uid },
  };
}

const FIXED = ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] as const;

export const jobStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    propagationPolicy: "Orphan",
    applyDefaults(object) {
      const job = as<Job>(object);
      job.spec ??= {} as JobSpec;
      defaultJobSpec(job.spec);
      defaultTemplate(job.spec);
      const labels = job.spec.template?.metadata?.labels;
      if (labels && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = labels;
    },
    prepareForCreate(object) {
      const job = as<Job>(object);
      generateSelector(job);
      // Without labels of its own a job is read with its template's, which are the server's by now.
      job.metadata.labels ??= { ...job.spec?.template?.metadata?.labels };
    },
    validate: (object) => validateJobSpec(as<Job>(object).spec, "spec"),
    validateUpdate: (next, old) => {
      const [spec, before] = [as<Job>(next).spec, as<Job>(old).spec];
      return [
        ...validateJobSpec(spec, "spec"),
        ...immutableField("spec.selector", spec?.selector, before?.selector),
        ...(before?.suspend ? [] : immutableField("spec.template", spec?.template, before?.template)),
        ...(spec && before && mayResize(spec, before)
          ? []
          : immutableField("spec.completions", spec?.completions, before?.completions)),
        ...FIXED.flatMap((field) => immutableField(`spec.${field}`, spec?.[field], before?.[field])),
      ];
    },
    fieldNames: ["status.successful"],
    fields: (object) => ({ "status.successful": String(as<Job>(object).status?.succeeded ?? 0) }),
  });

const CONCURRENCY = ["Allow", "Forbid", "Replace"];

function validateTimeZone(zone: string): Causes {
  const field = "spec.timeZone";
  if (zone === "") return [invalidValue(field, zone, "timeZone must be nil or non-empty string")];
  if (zone.toLowerCase() === "local")
    return [
      invalidValue(field, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"),
    ];
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return [];
  } catch {
    return [invalidValue(field, zone, `unknown time zone ${zone}`)];
  }
}

function validateCronJob({ spec }: CronJob): Causes {
  const causes: Causes = [];
  if (!spec?.schedule) causes.push(required("spec.schedule"));
  else if (!/^(@\S+( \S+)?|(\S+\s+){4}\S+)$/.test(spec.schedule.trim())) {
    const { length } = spec.schedule.trim().split(/\s+/);
    causes.push(
      invalidValue("spec.schedule", spec.schedule, `expected exactly 5 fields, found ${length}: [${spec.schedule}]`),
    );
  }
  if (spec?.timeZone !== undefined) causes.push(...validateTimeZone(spec.timeZone));
  const policy = spec?.concurrencyPolicy;
  if (policy && !CONCURRENCY.includes(policy)) causes.push(notSupported("spec.concurrencyPolicy", policy, CONCURRENCY));
  for (const field of ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] as const) {
    causes.push(...nonNegative(spec?.[field], `spec.${field}`));
  }
  causes.push(...validateJobTemplate(spec?.jobTemplate?.spec, "spec.jobTemplate.spec"));
  return causes;
}

export const cronJobStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults(object) {
      const { spec } = as<CronJob>(object);
      if (!spec) return;
      spec.concurrencyPolicy ||= "Allow";
      spec.suspend ??= false;
      spec.successfulJobsHistoryLimit ??= 3;
      spec.failedJobsHistoryLimit ??= 1;
      if (spec.jobTemplate?.spec) defaultTemplate(spec.jobTemplate.spec);
    },
    validate: (object) => validateCronJob(as<CronJob>(object)),
  });
