/** One look at one autoscaler: reads its target and metrics, and says what its size and status should be (upstream: reconcileAutoscaler). */

import { timeText } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerStatus,
  MetricStatus,
  Pod,
} from "#sdk/api/generated/types.ts";
import { matchesLabels, parseLabelSelector } from "#sdk/api/labels.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import type { Tolerances } from "./calculate.ts";
import { Conditions } from "./conditions.ts";
import { type History, newHistory, rememberScale } from "./history.ts";
import { limit } from "./limits.ts";
import type { MetricsSource } from "./metrics.ts";
import type { Scale, Scales } from "./scale.ts";
import { evaluate, MetricError } from "./sources.ts";

export interface Event {
  type: "Normal" | "Warning";
  reason: string;
  message: string;
}

export interface Input {
  autoscaler: HorizontalPodAutoscaler;
  scales: Scales;
  metrics: MetricsSource;
  /** The pods of the autoscaler's namespace. */
  podsInNamespace(): readonly Pod[];
  /** Other autoscalers whose targets' selectors select one of these pods: "{name namespace}", as Go prints keys. */
  rivals(pods: readonly Pod[], selector: string): readonly string[];
  history: History | undefined;
  now: number;
}

export interface Look {
  status: HorizontalPodAutoscalerStatus;
  events: Event[];
  history: History | undefined;
  /** Told in the log. What could be done was done nevertheless. */
  error?: string;
}

/** Upstream's --horizontal-pod-autoscaler-tolerance. */
const TOLERANCE = 0.1;

/** What the metrics say; `why` is undefined where the size is as it should be. */
interface Wish {
  replicas: number;
  why: string;
  metrics?: MetricStatus[];
  error?: string;
}

export async function look(input: Input): Promise<Look> {
  const { autoscaler, scales, now } = input;
  const { spec, metadata } = autoscaler;
  const { kind, name } = spec.scaleTargetRef;
  const conditions = new Conditions(autoscaler.status?.conditions, now);
  const events: Event[] = [];
  let target: { resource: GroupVersionResource; scale: Scale };
  try {
    const resource = await scales.resourceFor(spec.scaleTargetRef);
    target = { resource, scale: await scales.get(resource, metadata.namespace ?? "", name) };
  } catch (error) {
    const why = messageOf(error);
    const message = `the HPA controller was unable to get the target's current scale: ${why}`;
    events.push({ type: "Warning", reason: "FailedGetScale", message: why });
    conditions.set("AbleToScale", false, "FailedGetScale", message);
    // Nothing else is known of the target: the rest of the status stays.
    const status = { ...statusBase(autoscaler), conditions: conditions.list() };
    return { status, events, history: input.history, error: why };
  }
  conditions.set(
    "AbleToScale",
    true,
    "SucceededGetScale",
    "the HPA controller was able to get the target's current scale",
  );
  const { specReplicas: current } = target.scale;
  const history = input.history ?? newHistory(current, now);
  const show = (desired: number, metrics: MetricStatus[] | undefined, rescaled: boolean) =>
    statusOf(autoscaler, conditions, current, desired, metrics, rescaled ? now : undefined);

  let wish: Wish;
  try {
    wish = await wishOf(input, target.scale, conditions, history, events);
  } catch (error) {
    if (!(error instanceof NoWish)) throw error;
    events.push({ type: "Warning", reason: "FailedComputeMetricsReplicas", message: error.message });
    const status = show(autoscaler.status?.desiredReplicas ?? 0, error.metrics, false);
    const reference = `${kind}/${metadata.namespace}/${name}`;
    const said = `failed to compute desired number of replicas based on listed metrics for ${reference}: ${error.message}`;
    return { status, events, history, error: said };
  }

  const failure = wish.error === undefined ? {} : { error: wish.error };
  if (wish.replicas === current) return { status: show(current, wish.metrics, false), events, history, ...failure };
  try {
    const { resource, scale } = target;
    await scales.set(resource, metadata.namespace ?? "", name, wish.replicas, scale.resourceVersion);
  } catch (error) {
    const why = messageOf(error);
    const message = `New size: ${wish.replicas}; reason: ${wish.why}; error: ${why}`;
    events.push({ type: "Warning", reason: "FailedRescale", message });
    const told = `the HPA controller was unable to update the target scale: ${why}`;
    conditions.set("AbleToScale", false, "FailedUpdateScale", told);
    const status = show(autoscaler.status?.desiredReplicas ?? 0, wish.metrics, false);
    return { status, events, history, error: `failed to rescale ${kind}/${metadata.namespace}/${name}: ${why}` };
  }
  const told = `the HPA controller was able to update the target scale to ${wish.replicas}`;
  conditions.set("AbleToScale", true, "SucceededRescale", told);
  const message = `New size: ${wish.replicas}; reason: ${wish.why}`;
  events.push({ type: "Normal", reason: "SuccessfulRescale", message });
  rememberScale(history, spec.behavior, current, wish.replicas, now);
  return { status: show(wish.replicas, wish.metrics, true), events, history, ...failure };
}

/** No size can be told: the conditions say why. */
class NoWish extends Error {
  readonly metrics: MetricStatus[];
  constructor(message: string, metrics: MetricStatus[]) {
    super(message);
    this.metrics = metrics;
  }
}

async function wishOf(
  input: Input,
  scale: Scale,
  conditions: Conditions,
  history: History,
  events: Event[],
): Promise<Wish> {
  const { spec } = input.autoscaler;
  const { specReplicas: current } = scale;
  const { minReplicas: min = 1, maxReplicas: max } = spec;
  if (current === 0) {
    const message = "scaling is disabled since the replica count of the target is zero";
    conditions.set("ScalingActive", false, "ScalingDisabled", message);
    return { replicas: 0, why: "" };
  }
  if (current > max) return { replicas: max, why: "Current number of replicas above Spec.MaxReplicas" };
  if (current < min) return { replicas: min, why: "Current number of replicas below Spec.MinReplicas" };

  const asked = await askMetrics(input, scale, conditions, events);
  const { behavior } = spec;
  const limited = limit({ min, max, current, behavior }, asked.replicas, history, input.now);
  conditions.set("AbleToScale", true, limited.able.reason, limited.able.message);
  conditions.set("ScalingLimited", limited.limited.isLimited, limited.limited.reason, limited.limited.message);
  const why =
    asked.replicas > current
      ? `${asked.name} above target`
      : asked.replicas < current
        ? "All metrics below target"
        : "";
  return {
    replicas: limited.replicas,
    why,
    metrics: asked.metrics,
    ...(asked.error === undefined ? {} : { error: asked.error }),
  };
}

interface Asked {
  replicas: number;
  name: string;
  metrics: MetricStatus[];
  error?: string;
}

/** The largest size that a metric asks for. Throws NoWish when none says anything, or one is silent and the others would shrink. */
async function askMetrics(input: Input, scale: Scale, conditions: Conditions, events: Event[]): Promise<Asked> {
  const { autoscaler, metrics, scales, now } = input;
  const specs = autoscaler.spec.metrics ?? [];
  const pods = podsOf(input, scale.selector, conditions, events);
  const statuses: MetricStatus[] = specs.map(() => ({ type: "" }));
  const failures: MetricError[] = [];
  let best: { replicas: number; name: string } | undefined;
  for (const [i, spec] of specs.entries()) {
    try {
      const outcome = await evaluate(
        {
          autoscaler,
          metrics,
          qualified: async (reference) => {
            const { group, resource } = await scales.resourceFor(reference);
            return group === "" ? resource : `${resource}.${group}`;
          },
          selector: scale.selector,
          pods,
          specReplicas: scale.specReplicas,
          statusReplicas: scale.statusReplicas,
          tolerances: tolerancesOf(autoscaler),
          now,
        },
        spec,
      );
      statuses[i] = outcome.status;
      if (!best || outcome.replicas > best.replicas) best = outcome;
    } catch (error) {
      if (!(error instanceof MetricError)) throw error;
      events.push({ type: "Warning", reason: error.reason, message: error.shown });
      failures.push(error);
    }
  }
  const [first] = failures;
  const error =
    first && `invalid metrics (${failures.length} invalid out of ${specs.length}), first error is: ${first.message}`;
  if (first && error && (!best || best.replicas < scale.specReplicas)) {
    conditions.set(
      "ScalingActive",
      false,
      first.reason,
      `the HPA was unable to compute the replica count: ${first.shown}`,
    );
    throw new NoWish(error, statuses);
  }
  const { replicas, name } = best ?? { replicas: scale.specReplicas, name: "" };
  const message = `the HPA was able to successfully calculate a replica count from ${name}`;
  conditions.set("ScalingActive", true, "ValidMetricFound", message);
  return { replicas, name, metrics: statuses, ...(error === undefined ? {} : { error }) };
}

/** The target's pods. Throws NoWish where its selector selects nothing that is this autoscaler's alone. */
function podsOf(input: Input, selector: string, conditions: Conditions, events: Event[]): Pod[] {
  const refuse = (reason: string, eventReason: string, message: string, shown = message): never => {
    events.push({ type: "Warning", reason: eventReason, message });
    conditions.set("ScalingActive", false, reason, shown);
    throw new NoWish(message, []);
  };
  if (selector === "") {
    const shown = "the HPA target's scale is missing a selector";
    return refuse("InvalidSelector", "SelectorRequired", "selector is required", shown);
  }
  let pods: Pod[];
  try {
    const parsed = parseLabelSelector(selector);
    pods = input.podsInNamespace().filter((pod) => matchesLabels(parsed, pod.metadata.labels));
  } catch (error) {
    const why = `couldn't convert selector into a corresponding internal selector object: ${messageOf(error)}`;
    return refuse("InvalidSelector", "InvalidSelector", why);
  }
  const rivals = input.rivals(pods, selector);
  if (rivals.length > 0) {
    const { name = "", namespace = "" } = input.autoscaler.metadata;
    const all = [`{${name} ${namespace}}`, ...rivals].sort().join(" ");
    const why = `pods by selector ${selector} are controlled by multiple HPAs: [${all}]`;
    return refuse("AmbiguousSelector", "AmbiguousSelector", why);
  }
  return pods;
}

function tolerancesOf({ spec }: HorizontalPodAutoscaler): Tolerances {
  const share = (quantity: string | number | undefined) =>
    quantity === undefined ? TOLERANCE : Number(parseQuantity(quantity).nano) / 1e9;
  return { up: share(spec.behavior?.scaleUp?.tolerance), down: share(spec.behavior?.scaleDown?.tolerance) };
}

const statusBase = ({ status }: HorizontalPodAutoscaler): HorizontalPodAutoscalerStatus =>
  status ?? { desiredReplicas: 0 };

function statusOf(
  autoscaler: HorizontalPodAutoscaler,
  conditions: Conditions,
  current: number,
  desiredReplicas: number,
  metrics: MetricStatus[] | undefined,
  rescaledAt: number | undefined,
): HorizontalPodAutoscalerStatus {
  const lastScaleTime = rescaledAt === undefined ? autoscaler.status?.lastScaleTime : timeText(rescaledAt);
  return {
    ...(lastScaleTime === undefined ? {} : { lastScaleTime }),
    ...(current === 0 ? {} : { currentReplicas: current }),
    desiredReplicas,
    ...(metrics?.length ? { currentMetrics: metrics } : {}),
    conditions: conditions.list(),
  };
}
