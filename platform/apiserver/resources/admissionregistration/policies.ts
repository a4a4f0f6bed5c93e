/** ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings (KEP-3488, KEP-3962). */
import { BOOL, type CelType, DYN, listOf, mapOf, NULL, STRING } from "#platform/rules/cel/index.ts";
import type {
  AuditAnnotation,
  MatchResources,
  Mutation,
  ParamKind,
  ParamRef,
  Validation,
  Variable,
} from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import { isDNS1035Label, isDNS1123Subdomain, isPathSegmentName, isQualifiedName } from "#sdk/api/names.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { APPLY_CONFIGURATION, checkWritten, JSON_PATCH, type WrittenDialect } from "../../admission/expressions.ts";
import type { PolicySpec } from "../../admission/policies/policy.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  notSupportedInOrder,
  required,
} from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { chosen, each, oneOf, same, subdomain } from "../checks.ts";
import { type ParamReaders, readsParamKind, readsParams } from "./params.ts";
import {
  defaultMatchResources,
  FAILURE_POLICIES,
  REINVOCATION_POLICIES,
  uncompiled,
  validateConditions,
  validateExpression,
  validateMatchResources,
} from "./rules.ts";

const REASONS = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const ACTIONS = ["Audit", "Deny", "Warn"];
const MUTATING_OPERATIONS = ["*", "CONNECT", "CREATE", "UPDATE"];
const NOT_FOUND_ACTIONS = ["Deny", "Allow"];
const ANNOTATIONS_MAX = 20;
const ANNOTATION_EXPRESSION_BYTES_MAX = 5 * 1024;
const IDENTIFIER = /^[_a-zA-Z][_a-zA-Z0-9]*$/;
const RESERVED = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

const specOf = (object: DynamicObject): PolicySpec => (object.spec ?? {}) as PolicySpec;

function validateParamKind({ apiVersion = "", kind = "" }: ParamKind, at: string): Causes {
  const causes: Causes = [];
  const field = `${at}.apiVersion`;
  const parts = apiVersion.split("/");
  if (apiVersion === "") causes.push(required(field));
  else if (parts.length > 2) {
    causes.push(invalidValue(field, apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
  } else {
    const group = parts.length === 2 ? (parts[0] ?? "") : "";
    const version = parts.at(-1) ?? "";
    const [groupErrors, versionErrors] = [group ? isDNS1123Subdomain(group) : [], isDNS1035Label(version)];
    if (groupErrors.length > 0) causes.push(invalidValue(field, group, groupErrors.join(",")));
    if (version === "") causes.push(invalidValue(field, apiVersion, "version must be specified"));
    else if (versionErrors.length > 0) causes.push(invalidValue(field, version, versionErrors.join(",")));
  }
  const kindErrors = isDNS1035Label(kind.toLowerCase());
  if (kind === "") causes.push(required(`${at}.kind`));
  else if (kindErrors.length > 0) {
    const message = `may have mixed case, but should otherwise match: ${kindErrors.join(",")}`;
    causes.push(invalidValue(`${at}.kind`, kind, message));
  }
  return causes;
}

/** What a variable's type is to those who name it: messages and values of libraries are not told apart. */
function asField(type: CelType): CelType {
  if (type.kind === "list") return listOf(asField(type.element));
  if (type.kind === "map") return mapOf(asField(type.key), asField(type.value));
  return ["object", "opaque", "optional", "type"].includes(type.kind) ? DYN : type;
}

/** Each sees those before it. `own`: their types, for what is judged after them. */
function validateVariables(variables: readonly Variable[], params: boolean) {
  const own: Record<string, CelType> = {};
  const causes: Causes = [];
  for (const [i, { name, expression }] of variables.entries()) {
    const at = `spec.variables[${i}]`;
    if (!name?.trim()) causes.push(required(`${at}.name`, "name is not specified"));
    else if (!IDENTIFIER.test(name) || RESERVED.has(name))
      causes.push(invalidValue(`${at}.name`, name, "must be a valid CEL identifier"));
    if (!expression?.trim()) {
      causes.push(required(`${at}.expression`, "expression is not specified"));
      continue;
    }
    const checked = checkWritten(expression, { params, own });
    if ("error" in checked) causes.push(uncompiled(expression, `${at}.expression`, checked.error));
    own[name] = "error" in checked ? DYN : asField(checked.type);
  }
  return { causes, own };
}

function validateValidation(v: Validation, at: string, dialect: WrittenDialect): Causes {
  const causes: Causes = v.expression?.trim()
    ? validateExpression(v.expression, `${at}.expression`, dialect, [BOOL])
    : [required(`${at}.expression`, "expression is not specified")];
  const { message, messageExpression } = v;
  if (messageExpression && !messageExpression.trim()) {
    causes.push(invalidValue(`${at}.messageExpression`, messageExpression, "must be non-empty if specified"));
  } else if (messageExpression) {
    causes.push(...validateExpression(messageExpression, `${at}.messageExpression`, dialect, [STRING]));
  }
  if (message && !message.trim()) causes.push(invalidValue(`${at}.message`, message, "must be non-empty if specified"));
  else if (message && /[\n\r]/.test(message.trim()))
    causes.push(invalidValue(`${at}.message`, message, "must not contain line breaks"));
  return [...causes, ...oneOf(v.reason, `${at}.reason`, REASONS)];
}

function validateAnnotation(a: AuditAnnotation, policy: string, at: string, dialect: WrittenDialect): Causes {
  const key = `${policy}/${a.key}`;
  const causes = policy
    ? each(isQualifiedName(key), `${at}.key`, key)
    : [invalidValue(`${at}.key`, a.key, "requires metadata.name be non-empty")];
  const field = `${at}.valueExpression`;
  const source = a.valueExpression?.trim() ?? "";
  if (source === "") causes.push(required(field, "valueExpression is not specified"));
  else if (Buffer.byteLength(source) > ANNOTATION_EXPRESSION_BYTES_MAX) {
    causes.push(required(field, `must not exceed ${ANNOTATION_EXPRESSION_BYTES_MAX} bytes in length`));
  } else causes.push(...validateExpression(source, field, dialect, [STRING, NULL]));
  return causes;
}

function validateAnnotations(object: DynamicObject, dialect: WrittenDialect): Causes {
  const all = specOf(object).auditAnnotations ?? [];
  const field = "spec.auditAnnotations";
  const many =
    all.length > ANNOTATIONS_MAX
      ? [invalidValue(field, all, `must not have more than ${ANNOTATIONS_MAX} auditAnnotations`)]
      : [];
  return [
    ...many,
    ...all.flatMap((a, i) => [
      ...validateAnnotation(a, object.metadata.name ?? "", `${field}[${i}]`, dialect),
      ...(all.findIndex(({ key }) => key === a.key) < i ? [duplicate(`${field}[${i}].key`, a.key)] : []),
    ]),
  ];
}

function validateMutation(m: Mutation, at: string, dialect: WrittenDialect): Causes {
  const kinds = { ApplyConfiguration: "applyConfiguration", JSONPatch: "jsonPatch" } as const;
  if (!m.patchType) return [required(`${at}.patchType`)];
  const own = kinds[m.patchType as keyof typeof kinds];
  if (!own) return [notSupported(`${at}.patchType`, m.patchType, Object.keys(kinds))];
  const causes: Causes = [];
  const wanted = m[own];
  if (!wanted) causes.push(required(`${at}.${own}`, `must be specified when patchType is ${m.patchType}`));
  else if (!wanted.expression?.trim()) causes.push(required(`${at}.${own}.expression`));
  else {
    const what = { ...dialect, mutation: true };
    const patch = own === "jsonPatch" ? JSON_PATCH : APPLY_CONFIGURATION;
    causes.push(...validateExpression(wanted.expression.trim(), `${at}.${own}.expression`, what, [patch]));
  }
  const other = own === "jsonPatch" ? "applyConfiguration" : "jsonPatch";
  if (m[other])
    causes.push(invalidValue(`${at}.${other}`, `{${other}}`, `must not be specified when patchType is ${m.patchType}`));
  return causes;
}

const mutatingOperations = (match: MatchResources | undefined, at: string): Causes =>
  (match?.resourceRules ?? []).flatMap((rule) =>
    (rule.operations ?? []).flatMap((o) => oneOf(o, `${at}.resourceRules.operations`, MUTATING_OPERATIONS)),
  );

function validatePolicy(object: DynamicObject, mutating: boolean, old?: DynamicObject): Causes {
  const spec = specOf(object);
  const before = old && specOf(old);
  const params = spec.paramKind !== undefined;
  const { causes: ofVariables, own } = validateVariables(spec.variables ?? [], params);
  const dialect: WrittenDialect = { params, ...(spec.variables?.length ? { own } : {}) };
  const { matchConstraints: match, validations = [], mutations = [], auditAnnotations = [] } = spec;
  const sameConditions =
    before && same(before.paramKind, spec.paramKind) && same(before.matchConditions, spec.matchConditions);
  const causes: Causes = [
    ...chosen(spec.failurePolicy, "spec.failurePolicy", FAILURE_POLICIES),
    ...(spec.paramKind ? validateParamKind(spec.paramKind, "spec.paramKind") : []),
    ...(match ? validateMatchResources(match, "spec.matchConstraints") : [required("spec.matchConstraints")]),
    ...(match && !match.resourceRules?.length ? [required("spec.matchConstraints.resourceRules")] : []),
    ...(mutating ? mutatingOperations(match, "spec.matchConstraints") : []),
    // Conditions are seen before variables are.
    ...(sameConditions ? [] : validateConditions(spec.matchConditions, "spec.matchConditions", { params })),
    ...ofVariables,
  ];
  if (mutating) {
    if (mutations.length === 0) causes.push(required("spec.mutations", "mutations must contain at least one item"));
    causes.push(...mutations.flatMap((m, i) => validateMutation(m, `spec.mutations[${i}]`, dialect)));
    causes.push(...chosen(spec.reinvocationPolicy, "spec.reinvocationPolicy", REINVOCATION_POLICIES));
  } else if (validations.length === 0 && auditAnnotations.length === 0) {
    const message = "validations or auditAnnotations must contain at least one item";
    causes.push(required("spec.validations", message), required("spec.auditAnnotations", message));
  } else {
    causes.push(...validations.flatMap((v, i) => validateValidation(v, `spec.validations[${i}]`, dialect)));
    causes.push(...validateAnnotations(object, dialect));
  }
  return causes;
}

export const admissionPolicyStrategy =
  (readers: ParamReaders) =>
  (facts: ResourceFacts): Strategy => {
    const mutating = facts.kind === "MutatingAdmissionPolicy";
    return genericStrategy(facts, {
      generation: true,
      allowUnconditionalUpdate: false,
      applyDefaults(object) {
        object.spec ??= {};
        const spec = specOf(object);
        spec.failurePolicy ??= "Fail";
        defaultMatchResources(spec.matchConstraints);
      },
      validate: (object) => validatePolicy(object, mutating),
      validateUpdate: (next, old) => validatePolicy(next, mutating, old),
      authorizeWrite: readsParamKind(facts, readers),
    });
  };

interface BindingSpec {
  policyName?: string;
  paramRef?: ParamRef;
  matchResources?: MatchResources;
  validationActions?: string[];
}

function validateParamRef(ref: ParamRef | undefined, at: string): Causes {
  if (!ref) return [];
  const { name, selector, parameterNotFoundAction: action } = ref;
  const exclusive = "name and selector are mutually exclusive";
  return [
    ...(name ? each(isPathSegmentName(name), `${at}.name`, name) : []),
    ...(name && selector ? [forbiddenField(`${at}.name`, exclusive)] : []),
    ...(selector ? validateLabelSelector(selector, `${at}.selector`) : []),
    ...(name && selector ? [forbiddenField(`${at}.selector`, exclusive)] : []),
    ...(!name && !selector ? [required(at, "one of name or selector must be specified")] : []),
    ...(action && !NOT_FOUND_ACTIONS.includes(action)
      ? [notSupportedInOrder(`${at}.parameterNotFoundAction`, action, NOT_FOUND_ACTIONS)]
      : chosen(action, `${at}.parameterNotFoundAction`, NOT_FOUND_ACTIONS)),
  ];
}

function validateActions(actions: readonly string[] | undefined, field: string): Causes {
  const all = actions ?? [];
  if (all.length === 0) return [required(field, "at least one validation action is required")];
  const causes = all.flatMap((action, i) => [
    ...oneOf(action, `${field}[${i}]`, ACTIONS),
    ...(all.indexOf(action) < i ? [duplicate(`${field}[${i}]`, action)] : []),
  ]);
  if (all.includes("Deny") && all.includes("Warn")) {
    const why =
      "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
    causes.push(invalidValue(field, all, why));
  }
  return causes;
}

function validateBinding(object: DynamicObject, mutating: boolean): Causes {
  const spec = (object.spec ?? {}) as BindingSpec;
  return [
    ...(spec.policyName ? subdomain(spec.policyName, "spec.policyName") : [required("spec.policyName")]),
    ...validateParamRef(spec.paramRef, "spec.paramRef"),
    ...validateMatchResources(spec.matchResources, "spec.matchResources"),
    ...(mutating
      ? mutatingOperations(spec.matchResources, "spec.matchResources")
      : validateActions(spec.validationActions, "spec.validationActions")),
  ];
}

export const admissionPolicyBindingStrategy =
  (readers: ParamReaders) =>
  (facts: ResourceFacts): Strategy => {
    const mutating = facts.kind === "MutatingAdmissionPolicyBinding";
    const policies = mutating ? "mutatingadmissionpolicies" : "validatingadmissionpolicies";
    return genericStrategy(facts, {
      generation: true,
      allowUnconditionalUpdate: false,
      applyDefaults: (object) => defaultMatchResources(((object.spec ?? {}) as BindingSpec).matchResources),
      validate: (object) => validateBinding(object, mutating),
      authorizeWrite: readsParams(facts, policies, readers),
    });
  };
