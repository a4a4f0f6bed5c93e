/** One metric of an autoscaler's spec: what it asks for, and what is shown of it (upstream: computeReplicasForMetric). */

import { messageOf } from "#platform/base/log.ts";
import type {
  HorizontalPodAutoscaler,
  LabelSelector,
  MetricIdentifier,
  MetricSpec,
  MetricStatus,
  MetricTarget,
  Pod,
} from "#sdk/api/generated/types.ts";
import { formatLabelSelector, labelRequirements } from "#sdk/api/labels.ts";
import { formatQuantity, parseQuantity, type QuantityFormat, quantityMilliValue } from "#sdk/api/quantity.ts";
import {
  byAmount,
  byRatio,
  byUtilization,
  type PodsInput,
  type Proposal,
  perPod,
  type Tolerances,
} from "./calculate.ts";
import type { MetricsSource } from "./metrics.ts";

/** What all metrics of one autoscaler have in common. */
export interface Scene {
  autoscaler: HorizontalPodAutoscaler;
  metrics: MetricsSource;
  /** "deployments.apps" for a kind; throws where nothing is served under that name. */
  qualified(reference: { apiVersion?: string; kind: string }): Promise<string>;
  /** The target's selector as text, and its pods. */
  selector: string;
  pods: readonly Pod[];
  specReplicas: number;
  statusReplicas: number;
  tolerances: Tolerances;
  now: number;
}

export interface Outcome {
  replicas: number;
  /** "cpu resource utilization (percentage of request)" */
  name: string;
  status: MetricStatus;
}

/** Why a metric says nothing: `reason` and `cause` go into events and the condition, the message into the reconcile's error. */
export class MetricError extends Error {
  readonly reason: string;
  readonly shown: string;
  constructor(reason: string, shown: string, prefix: string) {
    super(`${prefix}: ${shown}`);
    this.reason = reason;
    this.shown = shown;
  }
}

/** Throws MetricError. */
export async function evaluate(scene: Scene, spec: MetricSpec): Promise<Outcome> {
  if (spec.type === "Resource" && spec.resource) {
    const { name, target } = spec.resource;
    return failing("FailedGetResourceMetric", `failed to get ${name} resource metric value`, async () => {
      const { current, name: what, replicas } = await resourceMetric(scene, name, target, "");
      return { replicas, name: what, status: { type: "Resource", resource: { name, current } } };
    });
  }
  if (spec.type === "ContainerResource" && spec.containerResource) {
    const { name, container, target } = spec.containerResource;
    const prefix = `failed to get ${container} container metric value`;
    return failing("FailedGetContainerResourceMetric", prefix, async () => {
      const { current, name: what, replicas } = await resourceMetric(scene, name, target, container);
      return {
        replicas,
        name: what,
        status: { type: "ContainerResource", containerResource: { name, container, current } },
      };
    });
  }
  if (spec.type === "Pods" && spec.pods) {
    const source = spec.pods;
    return failing("FailedGetPodsMetric", "failed to get pods metric value", () => podsMetric(scene, source));
  }
  if (spec.type === "Object" && spec.object) {
    const source = spec.object;
    return failing("FailedGetObjectMetric", "failed to get object metric value", () => objectMetric(scene, source));
  }
  if (spec.type === "External" && spec.external) {
    const source = spec.external;
    const prefix = `failed to get ${source.metric.name} external metric value`;
    return failing("FailedGetExternalMetric", prefix, () => externalMetric(scene, source));
  }
  const unknown = `unknown metric source type ${JSON.stringify(spec.type)}`;
  throw new MetricError("InvalidMetricSourceType", unknown, "failed to get metric value");
}

async function failing(reason: string, prefix: string, ask: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await ask();
  } catch (error) {
    throw new MetricError(reason, messageOf(error), prefix);
  }
}

/** Runs with the text before its failure that upstream puts there. */
async function saying<T>(text: string, ask: () => T | Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw new Error(`${text}: ${messageOf(error)}`);
  }
}

const milli = (quantity: string | number): number => quantityMilliValue(parseQuantity(quantity));
const shown = (value: number, format: QuantityFormat = "DecimalSI"): string =>
  formatQuantity({ nano: BigInt(value) * 1_000_000n, format });
const podsOf = (scene: Scene, metrics: PodsInput["metrics"]): PodsInput => ({
  pods: scene.pods,
  metrics,
  current: scene.specReplicas,
  tolerances: scene.tolerances,
  now: scene.now,
});
const identifier = ({ name, selector }: MetricIdentifier): MetricIdentifier => ({
  name,
  ...(selector ? { selector } : {}),
});
const selectorText = (selector: LabelSelector | undefined): string =>
  // Upstream's "nothing", which an unset selector is, has an empty text: no selector at all.
  formatLabelSelector(labelRequirements(selector) ?? []);

async function resourceMetric(scene: Scene, name: string, target: MetricTarget, container: string) {
  const namespace = scene.autoscaler.metadata.namespace ?? "";
  const format = name === "memory" ? "BinarySI" : "DecimalSI";
  const get = () =>
    saying(`unable to get metrics for resource ${name}`, () =>
      scene.metrics.resource(name, namespace, scene.selector, container),
    );
  const { averageValue, averageUtilization } = target;
  if (averageValue !== undefined) {
    const found = await saying(`failed to get ${name} usage`, async () =>
      byAmount(podsOf(scene, await get()), milli(averageValue), name),
    );
    return {
      replicas: found.replicas,
      name: `${name} resource`,
      current: { averageValue: shown(found.usage, format) },
    };
  }
  if (averageUtilization === undefined) {
    throw new Error(
      "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set",
    );
  }
  const found = await saying(`failed to get ${name} utilization`, async () =>
    byUtilization(podsOf(scene, await get()), averageUtilization, name, container),
  );
  const what = container === "" ? "resource" : "container resource";
  return {
    replicas: found.replicas,
    name: `${name} ${what} utilization (percentage of request)`,
    current: { averageUtilization: found.utilization, averageValue: shown(found.usage, format) },
  };
}

async function podsMetric(scene: Scene, { metric, target }: NonNullable<MetricSpec["pods"]>): Promise<Outcome> {
  const namespace = scene.autoscaler.metadata.namespace ?? "";
  const metrics = await saying(`unable to get metric ${metric.name}`, () =>
    scene.metrics.pods(metric.name, namespace, scene.selector, selectorText(metric.selector)),
  );
  const found = byAmount(podsOf(scene, metrics), milli(target.averageValue ?? 0));
  const current = { averageValue: shown(found.usage) };
  return {
    replicas: found.replicas,
    name: `pods metric ${metric.name}`,
    status: { type: "Pods", pods: { metric: identifier(metric), current } },
  };
}

async function objectMetric(scene: Scene, source: NonNullable<MetricSpec["object"]>): Promise<Outcome> {
  const { describedObject, metric, target } = source;
  const namespace = scene.autoscaler.metadata.namespace ?? "";
  const { kind, name } = describedObject;
  const get = () =>
    saying(`unable to get metric ${metric.name}`, async () => {
      try {
        const isNamespace = kind === "Namespace" && !describedObject.apiVersion?.includes("/");
        const resource = isNamespace ? undefined : await scene.qualified(describedObject);
        return await scene.metrics.object(metric.name, namespace, resource, name, selectorText(metric.selector));
      } catch (error) {
        throw new Error(`${messageOf(error)} on ${kind} ${namespace}/${name}`);
      }
    });
  const outcome = (found: Proposal, what: string, current: { value: string } | { averageValue: string }): Outcome => ({
    replicas: found.replicas,
    name: what,
    status: { type: "Object", object: { metric: identifier(metric), current, describedObject } },
  });
  if (target.type === "Value" && target.value !== undefined) {
    const found = byRatio(await get(), milli(target.value), scene.pods, scene.specReplicas, scene.tolerances);
    return outcome(found, `${kind} metric ${metric.name}`, { value: shown(found.usage) });
  }
  const { averageValue } = target;
  if (target.type === "AverageValue" && averageValue !== undefined) {
    const found = await saying(`failed to get ${metric.name} object metric`, async () =>
      perPod(await get(), milli(averageValue), scene.statusReplicas, scene.tolerances),
    );
    const what = `external metric ${metric.name}(${goSelector(metric.selector)})`;
    return outcome(found, what, { averageValue: shown(found.usage) });
  }
  throw new Error("invalid object metric source: neither a value target nor an average value target was set");
}

async function externalMetric(scene: Scene, source: NonNullable<MetricSpec["external"]>): Promise<Outcome> {
  const { metric, target } = source;
  const namespace = scene.autoscaler.metadata.namespace ?? "";
  const get = () =>
    saying(`unable to get external metric ${namespace}/${metric.name}/${goSelector(metric.selector)}`, async () =>
      (await scene.metrics.external(metric.name, namespace, selectorText(metric.selector))).reduce(
        (sum, value) => sum + value,
        0,
      ),
    );
  const name = `external metric ${metric.name}(${goSelector(metric.selector)})`;
  const outcome = (found: Proposal, current: { value: string } | { averageValue: string }): Outcome => ({
    replicas: found.replicas,
    name,
    status: { type: "External", external: { metric: identifier(metric), current } },
  });
  const { averageValue, value } = target;
  if (averageValue !== undefined) {
    const found = await saying(`failed to get ${metric.name} external metric`, async () =>
      perPod(await get(), milli(averageValue), scene.statusReplicas, scene.tolerances),
    );
    return outcome(found, { averageValue: shown(found.usage) });
  }
  if (value !== undefined) {
    const found = await saying(`failed to get external metric ${metric.name}`, async () =>
      byRatio(await get(), milli(value), scene.pods, scene.specReplicas, scene.tolerances),
    );
    return outcome(found, { value: shown(found.usage) });
  }
  throw new Error("invalid external metric source: neither a value target nor an average value target was set");
}

/** As Go prints a selector into events and errors. */
function goSelector(selector: LabelSelector | undefined): string {
  if (!selector) return "nil";
  const labels = Object.entries(selector.matchLabels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}: ${value},`)
    .join("");
  const expressions = (selector.matchExpressions ?? [])
    .map(
      (e) => `LabelSelectorRequirement{Key:${e.key},Operator:${e.operator},Values:[${(e.values ?? []).join(" ")}],},`,
    )
    .join("");
  return `&LabelSelector{MatchLabels:map[string]string{${labels}},MatchExpressions:[]LabelSelectorRequirement{${expressions}},}`;
}
