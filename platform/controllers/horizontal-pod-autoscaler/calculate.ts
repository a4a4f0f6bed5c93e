/** How many replicas a metric asks for: pure (upstream: pkg/controller/podautoscaler/replica_calculator.go). Values are thousandths. */

import { resourceAmounts } from "#platform/rules/pod-requests.ts";
import type { Container, Pod } from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityMilliValue } from "#sdk/api/quantity.ts";
import { conditionOf, isLeaving, isReady } from "../objects.ts";
import type { PodMetric, PodMetrics } from "./metrics.ts";

/** Upstream's --horizontal-pod-autoscaler-cpu-initialization-period and …-initial-readiness-delay. */
const CPU_INITIALIZATION_MS = 300_000;
const INITIAL_READINESS_MS = 30_000;
const INT32_MAX = 2 ** 31 - 1;

/** By how much usage may be off its target, as a share of it, before anything is done. */
export interface Tolerances {
  down: number;
  up: number;
}

export const within = ({ down, up }: Tolerances, ratio: number): boolean => 1 - down <= ratio && ratio <= 1 + up;

export interface Proposal {
  replicas: number;
  /** What one pod uses. */
  usage: number;
  /** Percent of what is requested; only where that is the target. */
  utilization?: number;
}

interface Measured {
  ratio: number;
  usage: number;
  utilization?: number;
}

export interface PodsInput {
  pods: readonly Pod[];
  metrics: PodMetrics;
  current: number;
  tolerances: Tolerances;
  now: number;
}

/** Against a share of what the pods request. `container` "": of all containers. */
export function byUtilization(input: PodsInput, target: number, resource: string, container: string): Proposal {
  const requests = () => new Map(input.pods.map((pod) => [nameOf(pod), requestOf(pod, container, resource)]));
  let known: Map<string, number> | undefined;
  const requested = () => {
    known ??= requests();
    return known;
  };
  const measure = (metrics: PodMetrics): Measured => {
    const counted = [...metrics].filter(([name]) => requested().has(name));
    const total = sum(counted.map(([, metric]) => metric.value));
    const asked = sum(counted.map(([name]) => requested().get(name) ?? 0));
    if (asked === 0) throw new Error("no metrics returned matched known pods");
    const utilization = Math.trunc((total * 100) / asked);
    return { ratio: utilization / target, usage: Math.trunc(total / counted.length), utilization };
  };
  const assumed = (name: string) => Math.trunc(((requested().get(name) ?? 0) * Math.max(100, target)) / 100);
  return fromPods(input, resource, measure, assumed);
}

/** Against an amount a pod. `resource` undefined: the metric is no resource, and new pods' values count as any other. */
export function byAmount(input: PodsInput, target: number, resource?: string): Proposal {
  const measure = (metrics: PodMetrics): Measured => {
    const usage = Math.trunc(sum([...metrics.values()].map((m) => m.value)) / metrics.size);
    return { ratio: usage / target, usage };
  };
  return fromPods(input, resource, measure, () => target);
}

/** Pods that say nothing count against what would be done: as idle before growing, as busy (`assumed`) before shrinking. */
function fromPods(
  { pods, metrics: given, current, tolerances, now }: PodsInput,
  resource: string | undefined,
  measure: (metrics: PodMetrics) => Measured,
  assumed: (name: string) => number,
): Proposal {
  if (pods.length === 0) throw new Error("no pods returned by selector while calculating replica count");
  const { ready, unready, missing, ignored } = groupPods(pods, given, resource, now);
  const metrics = new Map([...given].filter(([name]) => !ignored.has(name) && !unready.has(name)));
  if (metrics.size === 0) throw new Error("did not receive metrics for targeted pods (pods might be unready)");
  const { ratio, ...shown } = measure(metrics);
  const growsWithUnready = unready.size > 0 && ratio > 1;
  if (!growsWithUnready && missing.size === 0)
    return { replicas: within(tolerances, ratio) ? current : Math.ceil(ratio * ready), ...shown };
  if (ratio !== 1) for (const name of missing) metrics.set(name, supposed(ratio < 1 ? assumed(name) : 0));
  if (growsWithUnready) for (const name of unready) metrics.set(name, supposed(0));
  const again = measure(metrics).ratio;
  const replicas = Math.ceil(again * metrics.size);
  const turned = (ratio < 1 && again > 1) || (ratio > 1 && again < 1);
  const against = (again < 1 && replicas > current) || (again > 1 && replicas < current);
  return { replicas: within(tolerances, again) || turned || against ? current : replicas, ...shown };
}

const supposed = (value: number): PodMetric => ({ at: 0, windowMs: 0, value });
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const nameOf = (pod: Pod): string => pod.metadata.name ?? "";

/** For a metric of something else than the pods: `usage` against `target`, times the pods that are ready. */
export function byRatio(
  usage: number,
  target: number,
  pods: readonly Pod[],
  current: number,
  tolerances: Tolerances,
): Proposal {
  const ratio = usage / target;
  if (current === 0) return { replicas: Math.ceil(ratio), usage };
  if (within(tolerances, ratio)) return { replicas: current, usage };
  if (pods.length === 0) {
    const why = "no pods returned by selector while calculating replica count";
    throw new Error(`unable to calculate ready pods: ${why}`);
  }
  const ready = pods.filter((pod) => pod.status?.phase === "Running" && isReady(pod)).length;
  return { replicas: Math.min(INT32_MAX, Math.ceil(ratio * ready)), usage };
}

/** For a metric of something else, shared by the pods: `target` is what one of them should have of it. */
export function perPod(usage: number, target: number, replicas: number, tolerances: Tolerances): Proposal {
  const ratio = usage / (target * replicas);
  const wanted = within(tolerances, ratio) ? replicas : Math.min(INT32_MAX, Math.ceil(usage / target));
  return { replicas: wanted, usage: replicas === 0 ? 0 : Math.ceil(usage / replicas) };
}

interface Groups {
  ready: number;
  unready: Set<string>;
  missing: Set<string>;
  ignored: Set<string>;
}

function groupPods(pods: readonly Pod[], metrics: PodMetrics, resource: string | undefined, now: number): Groups {
  const groups: Groups = { ready: 0, unready: new Set(), missing: new Set(), ignored: new Set() };
  for (const pod of pods) {
    const name = nameOf(pod);
    const metric = metrics.get(name);
    if (isLeaving(pod) || pod.status?.phase === "Failed") groups.ignored.add(name);
    else if (pod.status?.phase === "Pending") groups.unready.add(name);
    else if (!metric) groups.missing.add(name);
    else if (resource === "cpu" && isStarting(pod, metric, now)) groups.unready.add(name);
    else groups.ready += 1;
  }
  return groups;
}

/** Its processor time says nothing yet: it is not ready, or was measured before it was. */
function isStarting(pod: Pod, metric: PodMetric, now: number): boolean {
  const condition = conditionOf(pod.status?.conditions, "Ready");
  const started = Date.parse(pod.status?.startTime ?? "");
  if (!condition || Number.isNaN(started)) return true;
  const turned = Date.parse(condition.lastTransitionTime ?? "") || 0;
  if (started + CPU_INITIALIZATION_MS > now)
    return condition.status === "False" || metric.at < turned + metric.windowMs;
  return condition.status === "False" && started + INITIAL_READINESS_MS > turned;
}

/** Of the pod as a whole where it says so and no container is asked about; else of its containers and sidecars. */
function requestOf(pod: Pod, container: string, resource: string): number {
  const { spec } = pod;
  if (container === "" && spec?.resources?.requests && Object.keys(spec.resources.requests).length > 0)
    return wholeRequest(pod, resource);
  const sidecars = (spec?.initContainers ?? []).filter((c) => c.restartPolicy === "Always");
  const all: Container[] = [...(spec?.containers ?? []), ...sidecars];
  const asked = container === "" ? all : all.filter((c) => c.name === container);
  if (container !== "" && asked.length === 0)
    throw new Error(`container ${container} not found in Pod ${pod.metadata.name}`);
  return sum(
    asked.map((c) => {
      const request = c.resources?.requests?.[resource];
      if (request === undefined)
        throw new Error(`missing request for ${resource} in container ${c.name} of Pod ${pod.metadata.name}`);
      return quantityMilliValue(parseQuantity(request));
    }),
  );
}

function wholeRequest(pod: Pod, resource: string): number {
  const request = pod.spec?.resources?.requests?.[resource];
  if (request !== undefined) return quantityMilliValue(parseQuantity(request)) + overheadOf(pod, resource);
  throw new Error(`missing pod-level request for ${resource} in Pod ${pod.metadata.name}`);
}

function overheadOf(pod: Pod, resource: string): number {
  const amount = resourceAmounts(pod.spec?.overhead)[resource] ?? 0;
  return resource === "cpu" ? amount : amount * 1000;
}
