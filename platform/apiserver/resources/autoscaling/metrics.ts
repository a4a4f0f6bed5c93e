/** Validation of HorizontalPodAutoscalers in their newest form (pkg/apis/autoscaling/validation). */
import type {
  HorizontalPodAutoscalerSpec,
  HPAScalingRules,
  MetricIdentifier,
  MetricSpec,
  MetricTarget,
} from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isPathSegmentName } from "#sdk/api/names.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required } from "../../registry/causes.ts";
import { each, nonNegativeQuantity, oneOf, segment } from "../checks.ts";
import { validateContainerResourceName } from "../resourceNames.ts";

const WINDOW_SECONDS_MAX = 3600;
const PERIOD_SECONDS_MAX = 1800;
const SELECT_POLICIES = ["Disabled", "Max", "Min"];
const POLICY_TYPES = ["Percent", "Pods"];
const TARGET_TYPES = ["AverageValue", "Utilization", "Value"];
/** In the order in which upstream looks at them. */
const SOURCES = {
  object: "Object",
  external: "External",
  pods: "Pods",
  resource: "Resource",
  containerResource: "ContainerResource",
} as const;
type Source = keyof typeof SOURCES;
const SOURCE_TYPES = [...Object.values(SOURCES)].sort();

interface Reference {
  apiVersion?: string;
  kind?: string;
  name?: string;
}

function validateReference(ref: Reference | undefined, at: string, needsGroup: boolean): Causes {
  const causes = [...segment(ref?.kind, `${at}.kind`), ...segment(ref?.name, `${at}.name`)];
  const version = ref?.apiVersion ?? "";
  const slashes = version.split("/").length - 1;
  if (slashes > 1) causes.push(invalidValue(`${at}.apiVersion`, version, `unexpected GroupVersion string: ${version}`));
  else if (needsGroup && (slashes === 0 || version.startsWith("/")))
    causes.push(invalidValue(`${at}.apiVersion`, version, "apiVersion must specify API group"));
  return causes;
}

function validateTarget(target: MetricTarget | undefined, at: string): Causes {
  const causes: Causes = [];
  const type = target?.type ?? "";
  if (!type) causes.push(required(`${at}.type`, "must specify a metric target type"));
  if (!TARGET_TYPES.includes(type))
    causes.push(invalidValue(`${at}.type`, type, "must be either Utilization, Value, or AverageValue"));
  for (const field of ["value", "averageValue"] as const) {
    const amount = target?.[field];
    if (amount !== undefined && parseQuantity(amount).nano <= 0n)
      causes.push(invalidValue(`${at}.${field}`, String(amount), "must be positive"));
  }
  const utilization = target?.averageUtilization;
  if (utilization !== undefined && utilization < 1)
    causes.push(invalidValue(`${at}.averageUtilization`, utilization, "must be greater than 0"));
  return causes;
}

function validateIdentifier(metric: MetricIdentifier | undefined, at: string): Causes {
  const name = metric?.name ?? "";
  return [
    ...(name
      ? each(isPathSegmentName(name), `${at}.name`, name)
      : [required(`${at}.name`, "must specify a metric name")]),
  ];
}

const averageMissing = (at: string, detail: string) => required(`${at}.target.averageValue`, detail);

function validateUtilization(target: MetricTarget | undefined, at: string): Causes {
  const causes = validateTarget(target, `${at}.target`);
  const { averageUtilization: utilization, averageValue: value } = target ?? {};
  if (utilization === undefined && value === undefined)
    causes.push(
      required(`${at}.target.averageUtilization`, "must set either a target raw value or a target utilization"),
    );
  if (utilization !== undefined && value !== undefined)
    causes.push(
      forbiddenField(`${at}.target.averageValue`, "may not set both a target raw value and a target utilization"),
    );
  return causes;
}

const SOURCE_RULES: Record<Source, (metric: MetricSpec, at: string) => Causes> = {
  object({ object }, at) {
    const { value, averageValue } = object?.target ?? {};
    return [
      ...validateReference(object?.describedObject, `${at}.describedObject`, false),
      ...validateIdentifier(object?.metric, `${at}.metric`),
      ...validateTarget(object?.target, `${at}.target`),
      ...(value === undefined && averageValue === undefined
        ? [averageMissing(at, "must set either a target value or averageValue")]
        : []),
    ];
  },
  external({ external }, at) {
    const { value, averageValue } = external?.target ?? {};
    const both = value !== undefined && averageValue !== undefined;
    return [
      ...validateIdentifier(external?.metric, `${at}.metric`),
      ...validateTarget(external?.target, `${at}.target`),
      ...(value === undefined && averageValue === undefined
        ? [averageMissing(at, "must set either a target value for metric or a per-pod target")]
        : []),
      ...(both
        ? [forbiddenField(`${at}.target.value`, "may not set both a target value for metric and a per-pod target")]
        : []),
    ];
  },
  pods: ({ pods }, at) => [
    ...validateIdentifier(pods?.metric, `${at}.metric`),
    ...validateTarget(pods?.target, `${at}.target`),
    ...(pods?.target?.averageValue === undefined
      ? [averageMissing(at, "must specify a positive target averageValue")]
      : []),
  ],
  resource: ({ resource }, at) => [
    ...(resource?.name ? [] : [required(`${at}.name`, "must specify a resource name")]),
    ...validateUtilization(resource?.target, at),
  ],
  containerResource: ({ containerResource: source }, at) => [
    ...(source?.name
      ? validateContainerResourceName(source.name, `${at}.name`)
      : [required(`${at}.name`, "must specify a resource name")]),
    ...(source?.container
      ? each(isDNS1123Label(source.container), `${at}.container`, source.container)
      : [required(`${at}.container`, "must specify a container")]),
    ...validateUtilization(source?.target, at),
  ],
};

function validateMetric(metric: MetricSpec, at: string): Causes {
  const causes: Causes = [];
  const type = metric.type ?? "";
  const present = (Object.keys(SOURCES) as Source[]).filter((source) => metric[source] !== undefined);
  const expected = (Object.keys(SOURCES) as Source[]).find((source) => SOURCES[source] === type);
  if (!type) causes.push(required(`${at}.type`, "must specify a metric source type"));
  if (!expected) causes.push(notSupported(`${at}.type`, type, SOURCE_TYPES));
  const [first] = present;
  if (first) causes.push(...SOURCE_RULES[first](metric, `${at}.${first}`));
  if (expected && metric[expected] === undefined)
    causes.push(required(`${at}.${expected}`, "must populate information for the given metric source"));
  if (!expected) causes.push(notSupported(`${at}.type`, type, SOURCE_TYPES));
  if (present.length !== 1)
    for (const source of present)
      if (source !== expected)
        causes.push(forbiddenField(`${at}.${source}`, "must populate the given metric source only"));
  return causes;
}

function validateRules(rules: HPAScalingRules | undefined, at: string): Causes {
  if (!rules) return [];
  const causes: Causes = [];
  const window = rules.stabilizationWindowSeconds ?? 0;
  const windowField = `${at}.stabilizationWindowSeconds`;
  if (window < 0) causes.push(invalidValue(windowField, window, "must be greater than or equal to zero"));
  if (window > WINDOW_SECONDS_MAX)
    causes.push(invalidValue(windowField, window, `must be less than or equal to ${WINDOW_SECONDS_MAX}`));
  causes.push(...oneOf(rules.selectPolicy, `${at}.selectPolicy`, SELECT_POLICIES));
  if (!rules.policies?.length) causes.push(required(`${at}.policies`, "must specify at least one Policy"));
  for (const [i, { type, value = 0, periodSeconds = 0 }] of (rules.policies ?? []).entries()) {
    const field = `${at}.policies[${i}]`;
    causes.push(...oneOf(type ?? "", `${field}.type`, POLICY_TYPES));
    if (value <= 0) causes.push(invalidValue(`${field}.value`, value, "must be greater than zero"));
    if (periodSeconds <= 0)
      causes.push(invalidValue(`${field}.periodSeconds`, periodSeconds, "must be greater than zero"));
    if (periodSeconds > PERIOD_SECONDS_MAX)
      causes.push(
        invalidValue(`${field}.periodSeconds`, periodSeconds, `must be less than or equal to ${PERIOD_SECONDS_MAX}`),
      );
  }
  return [...causes, ...nonNegativeQuantity(rules.tolerance, `${at}.tolerance`)];
}

export function validateAutoscaler(spec: Partial<HorizontalPodAutoscalerSpec>): Causes {
  const { minReplicas = 1, maxReplicas = 0 } = spec;
  const causes: Causes = [];
  if (minReplicas < 1) causes.push(invalidValue("spec.minReplicas", minReplicas, "must be greater than or equal to 1"));
  if (maxReplicas === 0) causes.push(required("spec.maxReplicas", "must be set and greater than 0"));
  else if (maxReplicas < 0)
    causes.push(invalidValue("spec.maxReplicas", maxReplicas, "must be greater than or equal to 1"));
  if (maxReplicas < minReplicas)
    causes.push(invalidValue("spec.maxReplicas", maxReplicas, "must be greater than or equal to `minReplicas`"));
  causes.push(...validateReference(spec.scaleTargetRef, "spec.scaleTargetRef", true));
  causes.push(...(spec.metrics ?? []).flatMap((m, i) => validateMetric(m, `spec.metrics[${i}]`)));
  if (minReplicas === 0 && !spec.metrics?.some(({ type }) => type === "Object" || type === "External"))
    causes.push(
      forbiddenField(
        "spec.metrics",
        "must specify at least one Object or External metric to support scaling to zero replicas",
      ),
    );
  for (const direction of ["scaleUp", "scaleDown"] as const)
    causes.push(...validateRules(spec.behavior?.[direction], `spec.behavior.${direction}`));
  return causes;
}
