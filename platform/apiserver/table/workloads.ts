/** Tables of the apps, batch, autoscaling and policy groups. */
import type {
  CronJob,
  DaemonSet,
  Deployment,
  HorizontalPodAutoscaler,
  Job,
  MetricSpec,
  MetricStatus,
  MetricTarget,
  MetricValueStatus,
  PodDisruptionBudget,
  ReplicaSet,
  ReplicationController,
  StatefulSet,
} from "#sdk/api/generated/types.ts";
import {
  boolText,
  containerCells,
  humanDuration,
  labelsText,
  NONE,
  selectorText,
  since,
  UNKNOWN,
  UNSET,
} from "./format.ts";
import { AGE, boolean, integer, NAME, nameOf, printer, text, wide } from "./printer.ts";

const TEMPLATE = wide("Containers", "Images", "Selector");

export const deployments = printer<Deployment>({
  columns: [NAME, ...text("Ready", "Up-to-date", "Available"), AGE, ...TEMPLATE],
  cells: (o, now) => [
    nameOf(o),
    `${o.status?.readyReplicas ?? 0}/${o.spec?.replicas ?? 0}`,
    o.status?.updatedReplicas ?? 0,
    o.status?.availableReplicas ?? 0,
    since(o.metadata.creationTimestamp, now),
    ...containerCells(o.spec?.template?.spec),
    selectorText(o.spec?.selector, "", "<invalid>"),
  ],
});

export const replicaSets = printer<ReplicaSet>({
  columns: [NAME, ...integer("Desired", "Current", "Ready"), AGE, ...TEMPLATE],
  cells: (o, now) => [
    nameOf(o),
    o.spec?.replicas ?? 0,
    o.status?.replicas ?? 0,
    o.status?.readyReplicas ?? 0,
    since(o.metadata.creationTimestamp, now),
    ...containerCells(o.spec?.template?.spec),
    selectorText(o.spec?.selector, NONE, "<error>"),
  ],
});

export const replicationControllers = printer<ReplicationController>({
  columns: [NAME, ...integer("Desired", "Current", "Ready"), AGE, ...TEMPLATE],
  cells: (o, now) => [
    nameOf(o),
    o.spec?.replicas ?? 0,
    o.status?.replicas ?? 0,
    o.status?.readyReplicas ?? 0,
    since(o.metadata.creationTimestamp, now),
    ...containerCells(o.spec?.template?.spec),
    labelsText(o.spec?.selector),
  ],
});

export const statefulSets = printer<StatefulSet>({
  columns: [NAME, ...text("Ready"), AGE, ...wide("Containers", "Images")],
  cells: (o, now) => [
    nameOf(o),
    `${o.status?.readyReplicas ?? 0}/${o.spec?.replicas ?? 0}`,
    since(o.metadata.creationTimestamp, now),
    ...containerCells(o.spec?.template?.spec),
  ],
});

export const daemonSets = printer<DaemonSet>({
  columns: [
    NAME,
    ...integer("Desired", "Current", "Ready", "Up-to-date", "Available"),
    ...text("Node Selector"),
    AGE,
    ...TEMPLATE,
  ],
  cells: (o, now) => [
    nameOf(o),
    o.status?.desiredNumberScheduled ?? 0,
    o.status?.currentNumberScheduled ?? 0,
    o.status?.numberReady ?? 0,
    o.status?.updatedNumberScheduled ?? 0,
    o.status?.numberAvailable ?? 0,
    labelsText(o.spec?.template?.spec?.nodeSelector),
    since(o.metadata.creationTimestamp, now),
    ...containerCells(o.spec?.template?.spec),
    selectorText(o.spec?.selector, NONE, "<error>"),
  ],
});

function completions({ spec, status }: Job): string {
  const done = status?.succeeded ?? 0;
  if (spec?.completions !== undefined) return `${done}/${spec.completions}`;
  const parallelism = spec?.parallelism ?? 0;
  return parallelism > 1 ? `${done}/1 of ${parallelism}` : `${done}/1`;
}

function jobStatus(job: Job): string {
  const has = (type: string) => job.status?.conditions?.some((c) => c.type === type && c.status === "True");
  if (has("Complete")) return "Complete";
  if (has("Failed")) return "Failed";
  if (job.metadata.deletionTimestamp) return "Terminating";
  return ["Suspended", "FailureTarget", "SuccessCriteriaMet"].find(has) ?? "Running";
}

function jobDuration({ status }: Job, now: number): string {
  if (!status?.startTime) return "";
  return humanDuration(
    (status.completionTime ? Date.parse(status.completionTime) : now) - Date.parse(status.startTime),
  );
}

export const jobs = printer<Job>({
  columns: [NAME, ...text("Status", "Completions", "Duration"), AGE, ...TEMPLATE],
  cells: (o, now) => [
    nameOf(o),
    jobStatus(o),
    completions(o),
    jobDuration(o, now),
    since(o.metadata.creationTimestamp, now),
    ...containerCells(o.spec?.template?.spec),
    selectorText(o.spec?.selector, NONE, "<error>"),
  ],
});

export const cronJobs = printer<CronJob>({
  columns: [
    NAME,
    ...text("Schedule", "Timezone"),
    ...boolean("Suspend"),
    ...integer("Active"),
    ...text("Last Schedule"),
    AGE,
    ...TEMPLATE,
  ],
  cells: (o, now) => [
    nameOf(o),
    o.spec?.schedule ?? "",
    o.spec?.timeZone ?? NONE,
    boolText(o.spec?.suspend),
    o.status?.active?.length ?? 0,
    o.status?.lastScheduleTime ? since(o.status.lastScheduleTime, now) : NONE,
    since(o.metadata.creationTimestamp, now),
    ...containerCells(o.spec?.jobTemplate?.spec?.template?.spec),
    selectorText(o.spec?.jobTemplate?.spec?.selector, NONE, "<error>"),
  ],
});

/** "current/target" of one metric; `resource` is set for the metrics that are told in percent. */
function metricText(target: MetricTarget, current: MetricValueStatus | undefined, resource?: string): string {
  if (resource !== undefined) {
    if (target.averageValue !== undefined)
      return `${resource}: ${current?.averageValue ?? UNKNOWN}/${target.averageValue}`;
    const percent = (value: number | undefined, none: string) => (value === undefined ? none : `${value}%`);
    return `${resource}: ${percent(current?.averageUtilization, UNKNOWN)}/${percent(target.averageUtilization, "<auto>")}`;
  }
  if (target.averageValue !== undefined) return `${current?.averageValue ?? UNKNOWN}/${target.averageValue} (avg)`;
  return `${current?.value ?? UNKNOWN}/${target.value ?? "0"}`;
}

function metric(spec: MetricSpec, status: MetricStatus | undefined): string {
  if (spec.external) return metricText(spec.external.target, status?.external?.current);
  if (spec.object) return metricText(spec.object.target, status?.object?.current);
  if (spec.pods) return `${status?.pods?.current.averageValue ?? UNKNOWN}/${spec.pods.target.averageValue ?? "0"}`;
  if (spec.resource) return metricText(spec.resource.target, status?.resource?.current, spec.resource.name);
  const container = spec.containerResource;
  if (!container) return "<unknown type>";
  return metricText(container.target, status?.containerResource?.current, container.name);
}

export const horizontalPodAutoscalers = printer<HorizontalPodAutoscaler>({
  columns: [NAME, ...text("Reference", "Targets", "MinPods", "MaxPods", "Replicas"), AGE],
  cells(o, now) {
    const metrics = (o.spec?.metrics ?? []).map((spec, i) => metric(spec, o.status?.currentMetrics?.[i]));
    const more = metrics.length > 2 ? ` + ${metrics.length - 2} more...` : "";
    const target = o.spec?.scaleTargetRef;
    return [
      nameOf(o),
      `${target?.kind ?? ""}/${target?.name ?? ""}`,
      metrics.length === 0 ? NONE : `${metrics.slice(0, 2).join(", ")}${more}`,
      o.spec?.minReplicas === undefined ? UNSET : String(o.spec.minReplicas),
      o.spec?.maxReplicas ?? 0,
      o.status?.currentReplicas ?? 0,
      since(o.metadata.creationTimestamp, now),
    ];
  },
});

export const podDisruptionBudgets = printer<PodDisruptionBudget>({
  columns: [NAME, ...text("Min Available", "Max Unavailable"), ...integer("Allowed Disruptions"), AGE],
  cells: (o, now) => [
    nameOf(o),
    String(o.spec?.minAvailable ?? "N/A"),
    String(o.spec?.maxUnavailable ?? "N/A"),
    o.status?.disruptionsAllowed ?? 0,
    since(o.metadata.creationTimestamp, now),
  ],
});
