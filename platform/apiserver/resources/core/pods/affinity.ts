/** Where a pod may and would rather run: node selectors, affinity and topology spread (pkg/apis/core/validation). */
import type {
  Affinity,
  NodeSelector,
  NodeSelectorRequirement,
  PodAffinityTerm,
  PodSpec,
  TopologySpreadConstraint,
  WeightedPodAffinityTerm,
} from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import { isDNS1123Label, isDNS1123Subdomain, isQualifiedName } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
} from "../../../registry/causes.ts";
import { each, oneOf } from "../../checks.ts";

const WEIGHT = { min: 1, max: 100 };

function validateExpression({ key = "", operator, values = [] }: NodeSelectorRequirement, at: string): Causes {
  const causes: Causes = [];
  if (operator === "In" || operator === "NotIn") {
    if (values.length === 0)
      causes.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    if (values.length > 0)
      causes.push(forbiddenField(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
  } else if (operator === "Gt" || operator === "Lt") {
    if (values.length !== 1)
      causes.push(required(`${at}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
  } else causes.push(invalidValue(`${at}.operator`, operator ?? "", "not a valid selector operator"));
  return [...causes, ...each(isQualifiedName(key), `${at}.key`, key)];
}

function validateField({ key = "", operator, values = [] }: NodeSelectorRequirement, at: string): Causes {
  const causes: Causes = [];
  if (operator === "In" || operator === "NotIn") {
    if (values.length !== 1)
      causes.push(
        required(`${at}.values`, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"),
      );
  } else causes.push(invalidValue(`${at}.operator`, operator ?? "", "not a valid selector operator"));
  if (key !== "metadata.name") return [...causes, invalidValue(`${at}.key`, key, "not a valid field selector key")];
  return [...causes, ...values.flatMap((v, i) => each(isDNS1123Subdomain(v), `${at}.values[${i}]`, v))];
}

type Term = NonNullable<NodeSelector["nodeSelectorTerms"]>[number];

const validateTerm = (term: Term, at: string): Causes => [
  ...(term.matchExpressions ?? []).flatMap((e, i) => validateExpression(e, `${at}.matchExpressions[${i}]`)),
  ...(term.matchFields ?? []).flatMap((e, i) => validateField(e, `${at}.matchFields[${i}]`)),
];

export function validateNodeSelector(selector: NodeSelector, at: string): Causes {
  const field = `${at}.nodeSelectorTerms`;
  const terms = selector.nodeSelectorTerms ?? [];
  if (terms.length === 0) return [required(field, "must have at least one node selector term")];
  return terms.flatMap((term, i) => validateTerm(term, `${field}[${i}]`));
}

function validateWeight(weight: number | undefined, at: string): Causes {
  const value = weight ?? 0;
  return value < WEIGHT.min || value > WEIGHT.max
    ? [invalidValue(`${at}.weight`, value, "must be in the range 1-100")]
    : [];
}

function validateTopologyKey(key: string | undefined, field: string): Causes {
  return key ? each(isQualifiedName(key), field, key) : [required(field, "can not be empty")];
}

const validateAffinityTerm = (term: PodAffinityTerm, at: string): Causes => [
  ...validateLabelSelector(term.labelSelector, `${at}.labelSelector`),
  ...validateLabelSelector(term.namespaceSelector, `${at}.namespaceSelector`),
  ...(term.namespaces ?? []).flatMap((n) => each(isDNS1123Label(n), `${at}.namespace`, n)),
  ...(term.topologyKey
    ? validateTopologyKey(term.topologyKey, `${at}.topologyKey`)
    : [required(`${at}.topologyKey`, "can not be empty"), ...each(isQualifiedName(""), `${at}.topologyKey`, "")]),
];

function validatePodTerms(
  affinity: {
    requiredDuringSchedulingIgnoredDuringExecution?: PodAffinityTerm[];
    preferredDuringSchedulingIgnoredDuringExecution?: WeightedPodAffinityTerm[];
  },
  at: string,
): Causes {
  const [must, should] = [
    `${at}.requiredDuringSchedulingIgnoredDuringExecution`,
    `${at}.preferredDuringSchedulingIgnoredDuringExecution`,
  ];
  return [
    ...(affinity.requiredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((t, i) =>
      validateAffinityTerm(t, `${must}[${i}]`),
    ),
    ...(affinity.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((t, i) => [
      ...validateWeight(t.weight, `${should}[${i}]`),
      ...validateAffinityTerm(t.podAffinityTerm ?? {}, `${should}[${i}].podAffinityTerm`),
    ]),
  ];
}

function validateAffinity(affinity: Affinity, at: string): Causes {
  const causes: Causes = [];
  const node = affinity.nodeAffinity;
  const must = `${at}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`;
  const should = `${at}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution`;
  if (node?.requiredDuringSchedulingIgnoredDuringExecution)
    causes.push(...validateNodeSelector(node.requiredDuringSchedulingIgnoredDuringExecution, must));
  for (const [i, term] of (node?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries())
    causes.push(
      ...validateWeight(term.weight, `${should}[${i}]`),
      ...validateTerm(term.preference ?? {}, `${should}[${i}].preference`),
    );
  if (affinity.podAffinity) causes.push(...validatePodTerms(affinity.podAffinity, `${at}.podAffinity`));
  if (affinity.podAntiAffinity) causes.push(...validatePodTerms(affinity.podAntiAffinity, `${at}.podAntiAffinity`));
  return causes;
}

function validateSpread(c: TopologySpreadConstraint, at: string, before: readonly TopologySpreadConstraint[]): Causes {
  const causes: Causes = [];
  if ((c.maxSkew ?? 0) <= 0) causes.push(invalidValue(`${at}.maxSkew`, c.maxSkew ?? 0, "must be greater than zero"));
  causes.push(...validateTopologyKey(c.topologyKey, `${at}.topologyKey`));
  const actions = ["DoNotSchedule", "ScheduleAnyway"];
  if (!actions.includes(c.whenUnsatisfiable ?? ""))
    causes.push(notSupported(`${at}.whenUnsatisfiable`, c.whenUnsatisfiable ?? "", actions));
  if (before.some((b) => b.topologyKey === c.topologyKey && b.whenUnsatisfiable === c.whenUnsatisfiable))
    causes.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${c.topologyKey}, ${c.whenUnsatisfiable}}`));
  if (c.minDomains !== undefined) {
    if (c.minDomains <= 0) causes.push(invalidValue(`${at}.minDomains`, c.minDomains, "must be greater than 0"));
    if (c.whenUnsatisfiable !== "DoNotSchedule")
      causes.push(
        invalidValue(
          `${at}.minDomains`,
          c.minDomains,
          `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${c.whenUnsatisfiable ?? ""}`,
        ),
      );
  }
  for (const field of ["nodeAffinityPolicy", "nodeTaintsPolicy"] as const)
    causes.push(...oneOf(c[field], `${at}.${field}`, ["Honor", "Ignore"]));
  const selected = new Set([
    ...Object.keys(c.labelSelector?.matchLabels ?? {}),
    ...(c.labelSelector?.matchExpressions ?? []).map((e) => e.key),
  ]);
  for (const [i, key] of (c.matchLabelKeys ?? []).entries()) {
    if (!c.labelSelector) {
      causes.push(forbiddenField(`${at}.matchLabelKeys`, "must not be specified when labelSelector is not set"));
      break;
    }
    causes.push(...each(isQualifiedName(key), `${at}.matchLabelKeys[${i}]`, key));
    if (selected.has(key))
      causes.push(invalidValue(`${at}.matchLabelKeys[${i}]`, key, "exists in both matchLabelKeys and labelSelector"));
  }
  return [...causes, ...validateLabelSelector(c.labelSelector, `${at}.labelSelector`)];
}

export const validateAttraction = ({ affinity }: PodSpec, path: string): Causes =>
  affinity ? validateAffinity(affinity, `${path}.affinity`) : [];

export const validateSpreading = ({ topologySpreadConstraints: constraints = [] }: PodSpec, path: string): Causes =>
  constraints.flatMap((c, i) => validateSpread(c, `${path}.topologySpreadConstraints[${i}]`, constraints.slice(0, i)));
