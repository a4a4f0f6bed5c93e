/** What webhook configurations and admission policies have in common: rules, selectors, conditions, expressions (pkg/apis/admissionregistration). */
import { BOOL, type CelType } from "#platform/rules/cel/index.ts";
import type {
  LabelSelector,
  MatchCondition,
  MatchResources,
  NamedRuleWithOperations,
} from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import { isPathSegmentName, isQualifiedName } from "#sdk/api/names.ts";
import { checkWritten, type WrittenDialect } from "../../admission/expressions.ts";
import { type Causes, duplicate, invalidValue, required, tooMany } from "../../registry/causes.ts";
import { each, oneOf } from "../checks.ts";

export const FAILURE_POLICIES = ["Fail", "Ignore"];
export const MATCH_POLICIES = ["Equivalent", "Exact"];
export const REINVOCATION_POLICIES = ["IfNeeded", "Never"];
const OPERATIONS = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES = ["*", "Cluster", "Namespaced"];
const CONDITIONS_MAX = 64;

/** A list in which "*" stands alone. */
function wildcardAlone(values: readonly string[] | undefined, field: string, what: string): Causes {
  if (!values?.length) return [required(field)];
  return values.length > 1 && values.includes("*")
    ? [invalidValue(field, values, `if '*' is present, must not specify other ${what}`)]
    : [];
}

function validateResources(resources: readonly string[] | undefined, field: string): Causes {
  if (!resources?.length) return [required(field)];
  const causes: Causes = [];
  const allOf = new Set<string>();
  const ofAll = new Set<string>();
  let plain = false;
  for (const [i, resource] of resources.entries()) {
    const at = `${field}[${i}]`;
    if (resource === "") {
      causes.push(required(at));
      continue;
    }
    const slash = resource.indexOf("/");
    if (slash < 0) {
      plain = resource !== "*";
      continue;
    }
    const [name, sub] = [resource.slice(0, slash), resource.slice(slash + 1)];
    if (allOf.has(name))
      causes.push(invalidValue(at, resource, `if '${name}/*' is present, must not specify ${resource}`));
    if (ofAll.has(sub))
      causes.push(invalidValue(at, resource, `if '*/${sub}' is present, must not specify ${resource}`));
    if (sub === "*") allOf.add(name);
    if (name === "*") ofAll.add(sub);
  }
  if (resources.length > 1 && resources.includes("*/*"))
    causes.push(invalidValue(field, resources, "if '*/*' is present, must not specify other resources"));
  if (resources.includes("*") && plain) {
    const message = "if '*' is present, must not specify other resources without subresources";
    causes.push(invalidValue(field, resources, message));
  }
  return causes;
}

export function validateRule(rule: NamedRuleWithOperations, at: string): Causes {
  return [
    ...wildcardAlone(rule.operations, `${at}.operations`, "operations"),
    ...(rule.operations ?? []).flatMap((o, i) => oneOf(o, `${at}.operations[${i}]`, OPERATIONS)),
    ...wildcardAlone(rule.apiGroups, `${at}.apiGroups`, "API groups"),
    ...wildcardAlone(rule.apiVersions, `${at}.apiVersions`, "API versions"),
    ...(rule.apiVersions ?? []).flatMap((v, i) => (v === "" ? [required(`${at}.apiVersions[${i}]`)] : [])),
    ...validateResources(rule.resources, `${at}.resources`),
    ...oneOf(rule.scope, `${at}.scope`, SCOPES),
  ];
}

export const defaultRule = (rule: NamedRuleWithOperations): void => {
  rule.scope ??= "*";
};

function validateNamedRule(rule: NamedRuleWithOperations, at: string): Causes {
  const names = rule.resourceNames ?? [];
  return [
    ...names.flatMap((name, i) => {
      const field = `${at}.resourceNames[${i}]`;
      const again = names.indexOf(name) < i ? [duplicate(field, name)] : [];
      return [...each(isPathSegmentName(name), field, name), ...again];
    }),
    ...validateRule(rule, at),
  ];
}

const validateSelector = (selector: LabelSelector | undefined, field: string): Causes =>
  selector ? validateLabelSelector(selector, field) : [required(field)];

export function defaultMatchResources(match: MatchResources | undefined): void {
  if (!match) return;
  match.matchPolicy ??= "Equivalent";
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  for (const rule of [...(match.resourceRules ?? []), ...(match.excludeResourceRules ?? [])]) defaultRule(rule);
}

export function validateMatchResources(match: MatchResources | undefined, at: string): Causes {
  if (!match) return [];
  return [
    ...(match.matchPolicy
      ? oneOf(match.matchPolicy, `${at}.matchPolicy`, MATCH_POLICIES)
      : [required(`${at}.matchPolicy`)]),
    ...validateSelector(match.namespaceSelector, `${at}.namespaceSelector`),
    ...validateSelector(match.objectSelector, `${at}.objectSelector`),
    ...(match.resourceRules ?? []).flatMap((rule, i) => validateNamedRule(rule, `${at}.resourceRules[${i}]`)),
    ...(match.excludeResourceRules ?? []).flatMap((rule, i) =>
      validateNamedRule(rule, `${at}.excludeResourceRules[${i}]`),
    ),
  ];
}

/** What is wrong with an expression, as the Status words it. */
export function validateExpression(
  source: string,
  field: string,
  dialect: WrittenDialect,
  wanted: readonly CelType[] = [],
): Causes {
  const checked = checkWritten(source, dialect, wanted);
  return "error" in checked ? [uncompiled(source, field, checked.error)] : [];
}

export const uncompiled = (source: string, field: string, error: string) =>
  invalidValue(field, source, error.startsWith("must evaluate") ? error : `compilation failed: ${error}`);

export function validateConditions(
  conditions: readonly MatchCondition[] | undefined,
  at: string,
  dialect: WrittenDialect,
): Causes {
  const all = conditions ?? [];
  const causes: Causes = all.length > CONDITIONS_MAX ? [tooMany(at, all.length, CONDITIONS_MAX)] : [];
  for (const [i, { name, expression }] of all.entries()) {
    const source = (expression ?? "").trim();
    if (source === "") causes.push(required(`${at}[${i}].expression`));
    else causes.push(...validateExpression(source, `${at}[${i}].expression`, dialect, [BOOL]));
    const field = `${at}[${i}].name`;
    if (!name) causes.push(required(field));
    else {
      causes.push(...each(isQualifiedName(name), field, name));
      if (all.findIndex((other) => other.name === name) < i) causes.push(duplicate(field, name));
    }
  }
  return causes;
}
