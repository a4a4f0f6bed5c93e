/** The pods of a job: pure. */
import type { Container, Job, Pod } from "#sdk/api/generated/types.ts";
import { podFrom } from "../pods.ts";
import { INDEX, INDEX_FAILURES } from "./indexes.ts";

/** Keeps a finished pod until the job has counted it. */
export const TRACKING = "batch.kubernetes.io/job-tracking";
export const isTracked = (pod: Pod): boolean => pod.metadata.finalizers?.includes(TRACKING) ?? false;

const GENERATED_PREFIX_MAX = 58;
const INDEX_VARIABLE = "JOB_COMPLETION_INDEX";

/** `failures`: how often its index has failed before, where the job counts that. */
export function jobPod(job: Job, index?: number, failures = 0): Pod {
  const base = `${job.metadata.name}-${index === undefined ? "" : `${index}-`}`;
  const pod = podFrom(job.spec?.template, job, { generateName: base.slice(0, GENERATED_PREFIX_MAX) });
  pod.metadata.finalizers = [...(pod.metadata.finalizers ?? []).filter((f) => f !== TRACKING), TRACKING];
  if (index === undefined) return pod;
  const perIndex = job.spec?.backoffLimitPerIndex !== undefined;
  pod.metadata.annotations = {
    ...pod.metadata.annotations,
    [INDEX]: String(index),
    ...(perIndex ? { [INDEX_FAILURES]: String(failures) } : {}),
  };
  pod.metadata.labels = { ...pod.metadata.labels, [INDEX]: String(index) };
  const spec = pod.spec ?? { containers: [] };
  pod.spec = {
    ...spec,
    hostname: `${job.metadata.name}-${index}`,
    containers: spec.containers.map(withIndex),
    ...(spec.initContainers ? { initContainers: spec.initContainers.map(withIndex) } : {}),
  };
  return pod;
}

function withIndex(container: Container): Container {
  if (container.env?.some((variable) => variable.name === INDEX_VARIABLE)) return container;
  const valueFrom = { fieldRef: { fieldPath: `metadata.labels['${INDEX}']` } };
  return { ...container, env: [...(container.env ?? []), { name: INDEX_VARIABLE, valueFrom }] };
}

/** When its last container ended; 0 where nothing says so. */
export function finishedAt(pod: Pod): number {
  const times = (pod.status?.containerStatuses ?? []).map((c) => Date.parse(c.state?.terminated?.finishedAt ?? ""));
  const known = times.filter((time) => !Number.isNaN(time));
  if (known.length > 0) return Math.max(...known);
  return Date.parse(pod.metadata.deletionTimestamp ?? pod.metadata.creationTimestamp ?? "") || 0;
}
