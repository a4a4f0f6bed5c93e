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
import { isDNS1123Label, isDNS1123Subdomain, isLabelValue, isQualifiedName } from "#sdk/api/names.ts";
import { type Causes, duplicate, forbiddenField, invalidValue, required } from "../../../registry/causes.ts";
import { each, oneOf } from "../../checks.ts";

const WEIGHT = { min: 1, max: 100 };

function validateExpression(
  { key = "", operator, values = [] }: NodeSelectorRequirement,
  at: string,
  anyValues: boolean,
): Causes {
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
  causes.push(...each(isQualifiedName(key), `${at}.key`, key));
  if (anyValues) return causes;
  return [...causes, ...values.flatMap((value, i) => each(isLabelValue(value), `${at}.values[${i}]`, value))];
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

/** Of what must be so the values are labels'; of what would rather be so upstream never looked at them. */
const validateTerm = (term: Term, at: string, anyValues: boolean): Causes => [
  ...(term.matchExpressions ?? []).flatMap((e, i) => validateExpression(e, `${at}.matchExpressions[${i}]`, anyValues)),
  ...(term.matchFields ?? []).flatMap((e, i) => validateField(e, `${at}.matchFields[${i}]`)),
];

/** True when a value is none that a label can have. */
export const hasInvalidValue = (term: Term): boolean =>
  (term.matchExpressions ?? []).some(({ values = [] }) => values.some((value) => isLabelValue(value).length > 0));

/** `anyValues`: the object has had values that no label can have, and may keep them. */
export function validateNodeSelector(selector: NodeSelector, at: string, anyValues = false): Causes {
  const field = `${at}.nodeSelectorTerms`;
  const terms = selector.nodeSelectorTerms ?? [];
  if (terms.length === 0) return [required(field, "must have at least one node selector term")];
  return terms.flatMap((term, i) => validateTerm(term, `${field}[${i}]`, anyValues));
}

function validateWeight(weight: number | undefined, at: string): Causes {
  const value = weight ?? 0;
  return value < WEIGHT.min || value > WEIGHT.max
    ? [invalidValue(`${at}.weight`, value, "must be in the range 1-100")]
    : [];
}

type LabelSelector = PodAffinityTerm["labelSelector"];

/** Keys whose values come from the pod itself (KEP-3633): `at` is of the term. */
function validateLabelKeys(keys: readonly string[], selector: LabelSelector, at: string): Causes {
  if (keys.length === 0) return [];
  if (!selector) return [forbiddenField(at, "must not be specified when labelSelector is not set")];
  return keys.flatMap((key, i) => each(isQualifiedName(key), `${at}[${i}]`, key));
}

function validateMatchKeys(
  selector: LabelSelector,
  match: readonly string[],
  mismatch: readonly string[],
  at: string,
): Causes {
  const causes = [
    ...validateLabelKeys(match, selector, `${at}.matchLabelKeys`),
    ...validateLabelKeys(mismatch, selector, `${at}.mismatchLabelKeys`),
  ];
  // What the server has added for a key stands there once; a second time it is the user's.
  const seen = new Set(Object.keys(selector?.matchLabels ?? {}));
  for (const { key } of selector?.matchExpressions ?? []) {
    const index = match.lastIndexOf(key);
    if (index >= 0 && seen.has(key))
      causes.push(invalidValue(`${at}[${index}]`, key, "exists in both matchLabelKeys and labelSelector"));
    seen.add(key);
  }
  for (const [i, key] of match.entries())
    if (mismatch.includes(key))
      causes.push(
        invalidValue(`${at}.matchLabelKeys[${i}]`, key, "exists in both matchLabelKeys and mismatchLabelKeys"),
      );
  return causes;
}

const validateAffinityTerm = (term: PodAffinityTerm, at: string, { selectorValues }: Tolerated): Causes => [
  ...validateLabelSelector(term.labelSelector, `${at}.labelSelector`, selectorValues),
  ...validateLabelSelector(term.namespaceSelector, `${at}.namespaceSelector`, selectorValues),
  ...(term.namespaces ?? []).flatMap((n) => each(isDNS1123Label(n), `${at}.namespace`, n)),
  ...validateMatchKeys(term.labelSelector, term.matchLabelKeys ?? [], term.mismatchLabelKeys ?? [], at),
  ...(term.topologyKey ? [] : [required(`${at}.topologyKey`, "can not be empty")]),
  ...each(isQualifiedName(term.topologyKey ?? ""), `${at}.topologyKey`, term.topologyKey ?? ""),
];

function validatePodTerms(
  affinity: {
    requiredDuringSchedulingIgnoredDuringExecution?: PodAffinityTerm[];
    preferredDuringSchedulingIgnoredDuringExecution?: WeightedPodAffinityTerm[];
  },
  at: string,
  tolerated: Tolerated,
): Causes {
  const [must, should] = [
    `${at}.requiredDuringSchedulingIgnoredDuringExecution`,
    `${at}.preferredDuringSchedulingIgnoredDuringExecution`,
  ];
  return [
    ...(affinity.requiredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((t, i) =>
      validateAffinityTerm(t, `${must}[${i}]`, tolerated),
    ),
    ...(affinity.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((t, i) => [
      ...validateWeight(t.weight, `${should}[${i}]`),
      ...validateAffinityTerm(t.podAffinityTerm ?? { topologyKey: "" }, `${should}[${i}].podAffinityTerm`, tolerated),
    ]),
  ];
}

function validateAffinity(affinity: Affinity, at: string, tolerated: Tolerated): Causes {
  const causes: Causes = [];
  const node = affinity.nodeAffinity;
  const must = `${at}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`;
  const should = `${at}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution`;
  if (node?.requiredDuringSchedulingIgnoredDuringExecution)
    causes.push(
      ...validateNodeSelector(node.requiredDuringSchedulingIgnoredDuringExecution, must, tolerated.nodeValues),
    );
  for (const [i, term] of (node?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries())
    causes.push(
      ...validateWeight(term.weight, `${should}[${i}]`),
      ...validateTerm(term.preference ?? {}, `${should}[${i}].preference`, true),
    );
  if (affinity.podAffinity) causes.push(...validatePodTerms(affinity.podAffinity, `${at}.podAffinity`, tolerated));
  if (affinity.podAntiAffinity)
    causes.push(...validatePodTerms(affinity.podAntiAffinity, `${at}.podAntiAffinity`, tolerated));
  return causes;
}

const ACTIONS = ["DoNotSchedule", "ScheduleAnyway"];

function validateMinDomains({ minDomains, whenUnsatisfiable = "" }: TopologySpreadConstraint, at: string): Causes {
  if (minDomains === undefined) return [];
  return [
    ...(minDomains <= 0 ? [invalidValue(at, minDomains, "must be greater than zero")] : []),
    ...(whenUnsatisfiable === "DoNotSchedule"
      ? []
      : [
          invalidValue(
            at,
            minDomains,
            `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`,
          ),
        ]),
  ];
}

/** As before keys were merged into the selector: for those who break today's rule already. */
function validateUnmergedKeys({ matchLabelKeys = [], labelSelector }: TopologySpreadConstraint, at: string): Causes {
  if (matchLabelKeys.length === 0) return [];
  const selected = new Set([
    ...Object.keys(labelSelector?.matchLabels ?? {}),
    ...(labelSelector?.matchExpressions ?? []).map((e) => e.key),
  ]);
  return [
    ...(labelSelector ? [] : [forbiddenField(at, "must not be specified when labelSelector is not set")]),
    ...matchLabelKeys.flatMap((key, i) => [
      ...each(isQualifiedName(key), `${at}[${i}]`, key),
      ...(selected.has(key)
        ? [invalidValue(`${at}[${i}]`, key, "exists in both matchLabelKeys and labelSelector")]
        : []),
    ]),
  ];
}

function validateSpread(
  c: TopologySpreadConstraint,
  at: string,
  later: readonly TopologySpreadConstraint[],
  tolerated: Tolerated,
): Causes {
  const { maxSkew = 0, topologyKey = "", whenUnsatisfiable: action = "", labelSelector } = c;
  const causes: Causes = [];
  if (maxSkew <= 0) causes.push(invalidValue(`${at}.maxSkew`, maxSkew, "must be greater than zero"));
  if (!topologyKey) causes.push(required(`${at}.topologyKey`, "can not be empty"));
  causes.push(...oneOf(action, `${at}.whenUnsatisfiable`, ACTIONS));
  if (later.some((l) => (l.topologyKey ?? "") === topologyKey && (l.whenUnsatisfiable ?? "") === action))
    causes.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${action}}`));
  return [
    ...causes,
    ...validateMinDomains(c, `${at}.minDomains`),
    ...oneOf(c.nodeAffinityPolicy, `${at}.nodeAffinityPolicy`, ["Honor", "Ignore"]),
    ...oneOf(c.nodeTaintsPolicy, `${at}.nodeTaintsPolicy`, ["Honor", "Ignore"]),
    ...(tolerated.spreadKeys
      ? validateUnmergedKeys(c, `${at}.matchLabelKeys`)
      : validateMatchKeys(labelSelector, c.matchLabelKeys ?? [], [], at)),
    ...(tolerated.spreadSelectors ? [] : validateLabelSelector(labelSelector, `${at}.labelSelector`)),
  ];
}

/** What is wrong with an object since before it was looked at: a change may leave it so. */
export interface Tolerated {
  selectorValues: boolean;
  nodeValues: boolean;
  spreadKeys: boolean;
  spreadSelectors: boolean;
}

const NOTHING: Tolerated = { selectorValues: false, nodeValues: false, spreadKeys: false, spreadSelectors: false };

export function toleratedIn({ affinity, topologySpreadConstraints: constraints = [] }: PodSpec): Tolerated {
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const terms = [affinity?.podAffinity, affinity?.podAntiAffinity].flatMap((of) => [
    ...(of?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(of?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((t) => t.podAffinityTerm),
  ]);
  const isWrong = (selector: LabelSelector) => validateLabelSelector(selector, "").length > 0;
  return {
    selectorValues: terms.some((term) => isWrong(term?.labelSelector) || isWrong(term?.namespaceSelector)),
    nodeValues: required.some(hasInvalidValue),
    spreadKeys: constraints.some((c) => validateMatchKeys(c.labelSelector, c.matchLabelKeys ?? [], [], "").length > 0),
    spreadSelectors: constraints.some((c) => isWrong(c.labelSelector)),
  };
}

export const validateAttraction = ({ affinity }: PodSpec, path: string, tolerated = NOTHING): Causes =>
  affinity ? validateAffinity(affinity, `${path}.affinity`, tolerated) : [];

export const validateSpreading = (
  { topologySpreadConstraints: constraints = [] }: PodSpec,
  path: string,
  tolerated = NOTHING,
): Causes =>
  constraints.flatMap((c, i) =>
    validateSpread(c, `${path}.topologySpreadConstraints[${i}]`, constraints.slice(i + 1), tolerated),
  );
