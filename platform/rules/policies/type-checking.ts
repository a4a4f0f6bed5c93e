/**
 * What the types of the objects that a ValidatingAdmissionPolicy is about say of its expressions: pure (upstream's
 * policy/validating/typechecking.go). Admission itself takes objects as they come; this finds what can never work, for the policy's author.
 */
import {
  AUTHORIZER,
  authorizerLibrary,
  BOOL,
  BYTES,
  CelEnvironment,
  type CelType,
  DOUBLE,
  DURATION,
  DYN,
  fieldName,
  INT,
  listOf,
  mapOf,
  objectType,
  RESOURCE_CHECK,
  STRING,
  TIMESTAMP,
} from "#platform/rules/cel/index.ts";
import { celTypeOf } from "#platform/rules/structural/rules.ts";
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { resolve, types } from "#sdk/api/facts.ts";
import type {
  ExpressionWarning,
  NamedRuleWithOperations,
  ValidatingAdmissionPolicySpec,
} from "#sdk/api/generated/types.ts";
import type { GroupVersionKind } from "#sdk/api/object.ts";
import type { Schema } from "#sdk/api/schema.ts";

/** Nothing is evaluated here. */
const authorizerFunctions = authorizerLibrary((name) => () => {
  throw new Error(`${name} is for checking only`);
});
/** Of one policy. */
const TYPES_MAX = 10;
const OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

const known = new Map<string, CelType>();

/** The type of a definition of the API's facts. Types that contain themselves are told by what is made already. */
function namedType(name: string): CelType {
  const made = known.get(name);
  if (made) return made;
  const schema = types()[name];
  if (!schema) return DYN;
  if (!schema.properties) return schemaType(schema, name);
  const fields: Record<string, CelType> = {};
  const type = objectType(name, fields);
  known.set(name, type);
  Object.assign(fields, fieldsOf(schema, name));
  return type;
}

function fieldsOf({ properties = {} }: Schema, name: string): Record<string, CelType> {
  const entries = Object.entries(properties).flatMap(([property, part]): [string, CelType][] => {
    const key = fieldName(property);
    return key === undefined ? [] : [[key, schemaType(part, `${name}.${property}`)]];
  });
  return Object.fromEntries(entries);
}

function schemaType(schema: Schema, name: string): CelType {
  if (schema.ref !== undefined) return namedType(schema.ref);
  if (schema.preserveUnknownFields || schema.format === "int-or-string" || schema.format === "raw") return DYN;
  if (schema.format === "quantity") return STRING;
  if (schema.values) return mapOf(STRING, schemaType(schema.values, `${name}.@elem`));
  switch (schema.type) {
    case "string":
      if (schema.format === "byte") return BYTES;
      if (schema.format === "date-time" || schema.format === "micro-time") return TIMESTAMP;
      return schema.format === "duration" ? DURATION : STRING;
    case "integer":
      return INT;
    case "number":
      return DOUBLE;
    case "boolean":
      return BOOL;
    case "array":
      return listOf(schema.items ? schemaType(schema.items, `${name}.@idx`) : DYN);
    default:
      return schema.properties ? objectType(name, fieldsOf(schema, name)) : DYN;
  }
}

/** Of a built-in kind; undefined when it is none. */
export function builtInType(definition: string | undefined): CelType | undefined {
  return definition !== undefined && resolve({ ref: definition }).properties ? namedType(definition) : undefined;
}

/** Of a custom resource: its metadata is ObjectMeta, whatever its schema says of it. */
export function customType(schema: StructuralSchema, kind: string): CelType | undefined {
  const type = celTypeOf(schema, kind, true);
  return type?.kind === "object"
    ? objectType(kind, { ...type.fields, metadata: namedType(OBJECT_META) })
    : (type ?? undefined);
}

const strings = (...names: string[]) => Object.fromEntries(names.map((name): [string, CelType] => [name, STRING]));
const kindType = objectType("kubernetes.GroupVersionKind", strings("group", "version", "kind"));
const resourceType = objectType("kubernetes.GroupVersionResource", strings("group", "version", "resource"));
const userType = objectType("kubernetes.UserInfo", {
  ...strings("username", "uid"),
  groups: listOf(STRING),
  extra: mapOf(STRING, listOf(STRING)),
});
const REQUEST = objectType("kubernetes.AdmissionRequest", {
  ...strings("subResource", "requestSubResource", "name", "namespace", "operation"),
  kind: kindType,
  resource: resourceType,
  requestKind: kindType,
  requestResource: resourceType,
  userInfo: userType,
  dryRun: BOOL,
  options: DYN,
});
const namespaceType = (): CelType =>
  objectType("kubernetes.Namespace", {
    metadata: objectType("kubernetes.NamespaceMetadata", {
      ...strings("name", "generateName", "namespace", "UID", "resourceVersion"),
      labels: mapOf(STRING, STRING),
      annotations: mapOf(STRING, STRING),
      finalizers: listOf(STRING),
      creationTimestamp: TIMESTAMP,
      deletionTimestamp: TIMESTAMP,
      deletionGracePeriodSeconds: INT,
      generation: INT,
    }),
    spec: objectType("kubernetes.NamespaceSpec", { finalizers: listOf(STRING) }),
    status: objectType("kubernetes.NamespaceStatus", { phase: STRING, conditions: listOf(DYN) }),
  });
const NAMESPACE = namespaceType();

/** Group, version and resource of each kind that the rules name outright; what they leave open is not checked. */
export function resourcesOf(
  rules: readonly NamedRuleWithOperations[],
): { group: string; version: string; resource: string }[] {
  const isOpen = (names: readonly string[] | undefined) => !names?.length || names.some((name) => name.includes("*"));
  return rules.flatMap(({ apiGroups, apiVersions, resources }) => {
    if (isOpen(apiGroups) || isOpen(apiVersions)) return [];
    const named = (resources ?? []).filter((name) => !/[*/]/.test(name)).sort();
    return [...(apiGroups ?? [])]
      .sort()
      .flatMap((group) =>
        [...(apiVersions ?? [])].sort().flatMap((version) => named.map((resource) => ({ group, version, resource }))),
      );
  });
}

export interface CheckedKind {
  kind: GroupVersionKind;
  type: CelType;
}

const kindText = ({ group, version, kind }: GroupVersionKind): string =>
  `${group === "" ? version : `${group}/${version}`}, Kind=${kind}`;

function environmentFor(
  object: CelType,
  params: CelType | undefined,
  spec: ValidatingAdmissionPolicySpec,
): CelEnvironment {
  const base: Record<string, CelType> = {
    object,
    oldObject: object,
    request: REQUEST,
    namespaceObject: NAMESPACE,
    authorizer: AUTHORIZER,
    "authorizer.requestResource": RESOURCE_CHECK,
    ...(spec.paramKind ? { params: params ?? DYN } : {}),
  };
  const variables: Record<string, CelType> = {};
  // Each may use those before it; one that does not compile says so where it is defined.
  for (const { name, expression } of spec.variables ?? []) {
    const all = { ...base, variables: objectType("kubernetes.variables", { ...variables }) };
    const compiled = new CelEnvironment({ variables: all, functions: authorizerFunctions }).compile(expression);
    variables[name] = compiled.ok ? compiled.program.type : DYN;
  }
  const all = { ...base, variables: objectType("kubernetes.variables", variables) };
  return new CelEnvironment({ variables: all, functions: authorizerFunctions });
}

/** `kinds`: those that the policy matches, as far as they are known; `params`: the type of its parameter. */
export function typeWarnings(
  spec: ValidatingAdmissionPolicySpec,
  kinds: readonly CheckedKind[],
  params: CelType | undefined,
): ExpressionWarning[] {
  const checked = [...kinds]
    .sort((a, b) => (kindText(a.kind) < kindText(b.kind) ? -1 : 1))
    .slice(0, TYPES_MAX)
    .map(({ kind, type }) => ({ kind, environment: environmentFor(type, params, spec) }));
  const check = (fieldRef: string, expression: string | undefined): ExpressionWarning[] => {
    if (!expression) return [];
    const issues = checked.flatMap(({ kind, environment }) => {
      const compiled = environment.compile(expression);
      return compiled.ok ? [] : [`${kindText(kind)}: compilation failed: ${compiled.error}\n`];
    });
    return issues.length > 0 ? [{ fieldRef, warning: issues.join("\n") }] : [];
  };
  return (spec.validations ?? []).flatMap(({ expression, messageExpression }, i) => [
    ...check(`spec.validations[${i}].expression`, expression),
    ...check(`spec.validations[${i}].messageExpression`, messageExpression),
  ]);
}
