/**
 * Label selectors, as text ("app=web,tier in (a,b),!canary") and as LabelSelector objects: one form inside,
 * the syntax and messages of apimachinery's `labels`.
 */
import type { LabelSelector } from "./generated/types.ts";
import {
  INTEGER,
  type LabelOperator,
  type LabelRequirement,
  type LabelRequirements,
  requirement,
} from "./labels-parse.ts";
import { isLabelValue, isQualifiedName } from "./names.ts";
import type { StatusCause } from "./status.ts";

export type Labels = Readonly<Record<string, string>>;

const own = (labels: Labels, key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined);

const integer = (text: string | undefined): bigint | undefined =>
  text !== undefined && INTEGER.test(text) ? BigInt(text.replace(/^\+/, "")) : undefined;

export function matchesRequirement({ key, operator, values }: LabelRequirement, labels: Labels): boolean {
  const value = own(labels, key);
  switch (operator) {
    case "=":
    case "==":
    case "in":
      return value !== undefined && values.includes(value);
    case "!=":
    case "notin":
      return value === undefined || !values.includes(value);
    case "exists":
      return value !== undefined;
    case "!":
      return value === undefined;
    case "gt":
    case "lt": {
      const left = integer(value);
      const right = integer(values[0]);
      if (left === undefined || right === undefined) return false;
      return operator === "gt" ? left > right : left < right;
    }
  }
}

export const matchesLabels = (selector: LabelRequirements, labels: Labels | undefined): boolean =>
  selector.every((requirement) => matchesRequirement(requirement, labels ?? {}));

const quote = (text: string): string => JSON.stringify(text);
const byKey = (a: LabelRequirement, b: LabelRequirement): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);

/**
 * A selector object's requirements; an unset one matches nothing (undefined), an empty one everything.
 * Throws an Error for what `validateLabelSelector` finds wrong.
 */
export function labelRequirements(selector: LabelSelector | undefined | null): LabelRequirements | undefined {
  if (selector === undefined || selector === null) return undefined;
  const equal = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => requirement(key, "=", [value]));
  const operators: Record<string, LabelOperator> = { In: "in", NotIn: "notin", Exists: "exists", DoesNotExist: "!" };
  const expressions = (selector.matchExpressions ?? []).map(({ key, operator, values }) => {
    const known = Object.hasOwn(operators, operator) ? operators[operator] : undefined;
    if (known === undefined) throw new Error(`${quote(operator)} is not a valid label selector operator`);
    return requirement(key, known, values ?? []);
  });
  return [...equal, ...expressions].sort(byKey);
}

/** Whether a selector object selects these labels; unset selects nothing. */
export function selectsLabels(selector: LabelSelector | undefined | null, labels: Labels | undefined): boolean {
  const requirements = labelRequirements(selector);
  return requirements !== undefined && matchesLabels(requirements, labels);
}

export function formatLabelSelector(selector: LabelRequirements): string {
  return selector
    .map(({ key, operator, values }) => {
      const text = [...values].sort().join(",");
      if (operator === "exists") return key;
      if (operator === "!") return `!${key}`;
      if (operator === "in" || operator === "notin") return `${key} ${operator} (${text})`;
      return `${key}${operator === "gt" ? ">" : operator === "lt" ? "<" : operator}${text}`;
    })
    .join(",");
}

const cause = (reason: string, field: string, message: string): StatusCause => ({ reason, message, field });

/**
 * What upstream's ValidateLabelSelector finds, as causes of a 422. `path` is where the selector stands; with `anyValues` the expressions' values
 * are not looked at (an older version let them in).
 */
export function validateLabelSelector(
  selector: LabelSelector | undefined,
  path: string,
  anyValues = false,
): StatusCause[] {
  return [
    ...validateLabels(selector?.matchLabels, `${path}.matchLabels`),
    ...(selector?.matchExpressions ?? []).flatMap((expression, i) => {
      const at = `${path}.matchExpressions[${i}]`;
      return [
        ...validateOperator(expression, at, false),
        ...invalidEach(expression.key, isQualifiedName(expression.key), `${at}.key`),
        ...(anyValues ? [] : labelValues(expression.values, at)),
      ];
    }),
  ];
}

/** One requirement of a selector that may come from a newer client: operators that nobody here knows are let in. */
export const validateLabelRequirement = (requirement: SelectorRequirement, path: string): StatusCause[] => [
  ...validateOperator(requirement, path, true),
  ...invalidEach(requirement.key ?? "", isQualifiedName(requirement.key ?? ""), `${path}.key`),
  ...labelValues(requirement.values, path),
];

/** The same of a field selector. */
export const validateFieldRequirement = (requirement: SelectorRequirement, path: string): StatusCause[] => [
  ...(requirement.key ? [] : [cause("FieldValueRequired", `${path}.key`, "Required value: must be specified")]),
  ...validateOperator(requirement, path, true),
];

export interface SelectorRequirement {
  key?: string;
  operator?: string;
  values?: readonly string[] | null;
}

function validateOperator({ operator, values }: SelectorRequirement, at: string, anyOperator: boolean): StatusCause[] {
  const count = values?.length ?? 0;
  if (operator === "In" || operator === "NotIn") {
    const message = "Required value: must be specified when `operator` is 'In' or 'NotIn'";
    return count === 0 ? [cause("FieldValueRequired", `${at}.values`, message)] : [];
  }
  if (operator === "Exists" || operator === "DoesNotExist") {
    const message = "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
    return count > 0 ? [cause("FieldValueForbidden", `${at}.values`, message)] : [];
  }
  const message = `Invalid value: ${quote(operator ?? "")}: not a valid selector operator`;
  return anyOperator ? [] : [cause("FieldValueInvalid", `${at}.operator`, message)];
}

const labelValues = (values: readonly string[] | null | undefined, at: string): StatusCause[] =>
  (values ?? []).flatMap((value, i) => invalidEach(value, isLabelValue(value), `${at}.values[${i}]`));

const invalidEach = (value: string, messages: string[], field: string): StatusCause[] =>
  messages.map((message) => cause("FieldValueInvalid", field, `Invalid value: ${quote(value)}: ${message}`));

/** What upstream's ValidateLabels finds in metadata.labels, matchLabels, a nodeSelector … */
export function validateLabels(labels: Labels | undefined, path: string): StatusCause[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...invalidEach(key, isQualifiedName(key), path),
    ...invalidEach(value, isLabelValue(value), path),
  ]);
}

export {
  type LabelOperator,
  type LabelRequirement,
  type LabelRequirements,
  parseLabelSelector,
} from "./labels-parse.ts";
