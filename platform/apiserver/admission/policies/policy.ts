/** Admission policies and their bindings as admission uses them: compiled once a change. */
import type {
  AuditAnnotation,
  MatchCondition,
  MatchResources,
  Mutation,
  ParamKind,
  ParamRef,
  Validation,
  Variable,
} from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import {
  type Compiled,
  compileConditions,
  compileExpression,
  type Dialect,
  type NamedExpression,
} from "../expressions.ts";
import type { Matching } from "../match.ts";

export interface PolicySpec {
  failurePolicy?: string;
  matchConstraints?: MatchResources;
  matchConditions?: MatchCondition[];
  paramKind?: ParamKind;
  variables?: Variable[];
  validations?: Validation[];
  auditAnnotations?: AuditAnnotation[];
  mutations?: Mutation[];
  reinvocationPolicy?: string;
}

export interface CompiledValidation {
  validation: Validation;
  expression: Compiled;
  message: Compiled | undefined;
}

export interface CompiledMutation {
  type: string;
  expression: Compiled;
}

export interface Policy {
  name: string;
  spec: PolicySpec;
  matching: Matching;
  conditions: readonly NamedExpression[];
  variables: readonly NamedExpression[];
  validations: readonly CompiledValidation[];
  annotations: readonly { key: string; source: string; expression: Compiled }[];
  mutations: readonly CompiledMutation[];
}

export interface Binding {
  name: string;
  policyName: string;
  paramRef: ParamRef | undefined;
  /** Narrows the policy's own; unset adds nothing. */
  matching: Matching | undefined;
  actions: readonly string[];
}

const matchingOf = (match: MatchResources | undefined): Matching => ({
  rules: match?.resourceRules ?? [],
  excluded: match?.excludeResourceRules ?? [],
  matchPolicy: match?.matchPolicy,
  namespaceSelector: match?.namespaceSelector,
  objectSelector: match?.objectSelector,
});

const ANY = { apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*/*"] };

export function compilePolicy(object: DynamicObject): Policy {
  const spec = (object.spec ?? {}) as PolicySpec;
  const dialect: Dialect = { params: spec.paramKind !== undefined, variables: true };
  return {
    name: object.metadata.name ?? "",
    spec,
    matching: matchingOf(spec.matchConstraints),
    conditions: compileConditions(spec.matchConditions, dialect),
    variables: (spec.variables ?? []).map(({ name, expression }) => ({
      name,
      compiled: compileExpression(expression, dialect),
    })),
    validations: (spec.validations ?? []).map((validation) => ({
      validation,
      expression: compileExpression(validation.expression, dialect, ["bool"]),
      message: validation.messageExpression
        ? compileExpression(validation.messageExpression, dialect, ["string"])
        : undefined,
    })),
    annotations: (spec.auditAnnotations ?? []).map(({ key, valueExpression }) => ({
      key,
      source: valueExpression,
      expression: compileExpression(valueExpression, dialect, ["string", "null"]),
    })),
    mutations: (spec.mutations ?? []).map(({ patchType, applyConfiguration, jsonPatch }) => ({
      type: patchType,
      expression: compileExpression(applyConfiguration?.expression ?? jsonPatch?.expression ?? "", {
        ...dialect,
        mutation: true,
      }),
    })),
  };
}

export function bindingOf(object: DynamicObject): Binding {
  const spec = (object.spec ?? {}) as {
    policyName?: string;
    paramRef?: ParamRef;
    matchResources?: MatchResources;
    validationActions?: string[];
  };
  const match = spec.matchResources;
  return {
    name: object.metadata.name ?? "",
    policyName: spec.policyName ?? "",
    paramRef: spec.paramRef,
    matching: match && { ...matchingOf(match), rules: match.resourceRules?.length ? match.resourceRules : [ANY] },
    actions: spec.validationActions ?? [],
  };
}
