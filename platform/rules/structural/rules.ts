/** x-kubernetes-validations: CEL rules of a schema, compiled once and run with ratcheting and budgets. */

import type { Node } from "#platform/rules/cel/index.ts";
import {
  BOOL,
  BYTES,
  CALL_COST_MAX,
  CelCostExceeded,
  CelEnvironment,
  CelError,
  type CelType,
  DOUBLE,
  DURATION,
  DYN,
  fieldName,
  fromJson,
  INT,
  listOf,
  mapOf,
  Optional,
  objectType,
  optionalOf,
  type Program,
  REQUEST_COST_MAX,
  STRING,
  TIMESTAMP,
} from "#platform/rules/cel/index.ts";
import type { Json } from "#sdk/api/object.ts";
import type { StatusCause } from "#sdk/api/status.ts";
import { fieldPathIn } from "./field-path.ts";
import { isMap, memberOf, type StructuralSchema, type ValidationRule, valuesOf } from "./schema.ts";
import { correlate, sameJson } from "./values.ts";

const METADATA: CelType = objectType("metadata", { name: STRING, generateName: STRING });

/** The type that expressions see. The root of an object, and embedded ones, have apiVersion, kind and two names of metadata. */
export function celTypeOf(schema: StructuralSchema, name: string, resource = false): CelType | undefined {
  if (schema["x-kubernetes-int-or-string"]) return DYN;
  switch (schema.type) {
    case "string":
      if (schema.format === "byte") return BYTES;
      if (schema.format === "date" || schema.format === "date-time") return TIMESTAMP;
      return schema.format === "duration" ? DURATION : STRING;
    case "integer":
      return INT;
    case "number":
      return DOUBLE;
    case "boolean":
      return BOOL;
    case "array": {
      const element = schema.items && celTypeOf(schema.items, `${name}.@idx`);
      return element && listOf(element);
    }
    case "object":
      return objectOf(schema, name, resource || schema["x-kubernetes-embedded-resource"] === true);
    default:
      return undefined;
  }
}

function objectOf(schema: StructuralSchema, name: string, resource: boolean): CelType | undefined {
  if (schema.additionalProperties !== undefined && schema.additionalProperties !== false) {
    const values = valuesOf(schema);
    const value = values ? celTypeOf(values, `${name}.@elem`) : DYN;
    return value && mapOf(STRING, value);
  }
  const fields: Record<string, CelType> = {};
  for (const [property, part] of Object.entries(schema.properties ?? {})) {
    const key = fieldName(property);
    const type = key === undefined ? undefined : celTypeOf(part, `${name}.${property}`);
    if (key !== undefined && type) fields[key] = type;
  }
  if (resource) Object.assign(fields, { apiVersion: STRING, kind: STRING, metadata: METADATA });
  return objectType(name, fields);
}

export interface CompiledRule {
  rule: ValidationRule;
  /** Of the field that it is about, below its place. */
  path: string;
  /** cel-go's text, where the rule does not compile. */
  error?: string;
  messageError?: string;
  program?: Program;
  messageProgram?: Program;
  usesOldSelf: boolean;
}

function mentions(node: unknown, name: string): boolean {
  if (Array.isArray(node)) return node.some((part) => mentions(part, name));
  if (typeof node !== "object" || node === null) return false;
  const { op } = node as Node;
  if (op === "name" && (node as { name: string }).name === name) return true;
  return Object.entries(node).some(
    ([key, part]) => key !== "candidates" && typeof part === "object" && mentions(part, name),
  );
}

/** Compiles the rules that stand at this very place of the schema. */
export function compileRules(
  schema: StructuralSchema,
  resource: boolean,
): { type: CelType | undefined; rules: CompiledRule[] } {
  const rules = schema["x-kubernetes-validations"] ?? [];
  if (rules.length === 0) return { type: undefined, rules: [] };
  const type = celTypeOf(schema, resource ? "selfType" : "self", resource);
  if (!type) return { type: undefined, rules: [] };
  return {
    type,
    rules: rules.map((rule) => ({ ...compileRule(rule, type), path: fieldPathIn(schema, rule.fieldPath ?? "") ?? "" })),
  };
}

function compileRule(rule: ValidationRule, type: CelType): Omit<CompiledRule, "path"> {
  const oldSelf = rule.optionalOldSelf ? optionalOf(type) : type;
  const environment = new CelEnvironment({ variables: { self: type, oldSelf } });
  const compiled = environment.compileExactly(rule.rule, [BOOL]);
  if (!compiled.ok) {
    const what = compiled.error.startsWith("must evaluate")
      ? "cel expression must evaluate to a bool"
      : `compilation failed: ${compiled.error}`;
    return { rule, error: what, usesOldSelf: false };
  }
  const usesOldSelf = mentions(compiled.program.ast, "oldSelf");
  const out: Omit<CompiledRule, "path"> = { rule, program: compiled.program, usesOldSelf };
  if (!rule.messageExpression) return out;
  const message = environment.compileExactly(rule.messageExpression, [STRING]);
  if (message.ok) out.messageProgram = message.program;
  else
    out.messageError = message.error.startsWith("must evaluate")
      ? "messageExpression must evaluate to a string"
      : `messageExpression compilation failed: ${message.error}`;
  return out;
}

const cache = new WeakMap<StructuralSchema, { type: CelType | undefined; rules: CompiledRule[] }>();

function compiledOf(schema: StructuralSchema, resource: boolean) {
  const known = cache.get(schema);
  if (known) return known;
  const compiled = compileRules(schema, resource);
  cache.set(schema, compiled);
  return compiled;
}

export interface Budget {
  left: number;
}

/** Runs every rule below `schema`. A rule about `oldSelf` runs only where there is an old value to compare with. */
export function validateRules(
  value: Json,
  schema: StructuralSchema,
  path: string,
  old: Json | undefined,
  resource = true,
  budget: Budget = { left: REQUEST_COST_MAX },
): StatusCause[] {
  const causes: StatusCause[] = [];
  walk(value, schema, path, old, resource);
  return causes;

  function walk(at: Json, s: StructuralSchema, where: string, before: Json | undefined, root: boolean): void {
    if (budget.left <= 0 || at === null) return;
    const { type, rules } = compiledOf(s, root);
    const unchanged = before !== undefined && sameJson(at, before);
    if (type) for (const rule of rules) judge(rule, type, at, s, where, before, unchanged);
    if (Array.isArray(at)) {
      const oldItem = correlate(s, before);
      const { items } = s;
      if (items) for (const [i, item] of at.entries()) walk(item, items, `${where}[${i}]`, oldItem(item, i), false);
    } else if (isMap(at)) {
      for (const [name, item] of Object.entries(at)) {
        const member = memberOf(s, name);
        if (!member || item === undefined) continue;
        const oldItem = isMap(before) && Object.hasOwn(before, name) ? before[name] : undefined;
        const declared = s.properties !== undefined && Object.hasOwn(s.properties, name);
        walk(item, member, declared ? (where === "" ? name : `${where}.${name}`) : `${where}[${name}]`, oldItem, false);
      }
    }
  }

  function judge(
    compiled: CompiledRule,
    type: CelType,
    at: Json,
    s: StructuralSchema,
    where: string,
    before: Json | undefined,
    unchanged: boolean,
  ): void {
    const { rule, program, usesOldSelf } = compiled;
    const shownType = s.type ?? "";
    const add = (detail: string) => causes.push(invalidAt(where, shownType, detail));
    if (!program) return void add(`rule compile error: ${compiled.error}`);
    if (usesOldSelf && before === undefined && !rule.optionalOldSelf) return;
    // Ratcheting: what has not changed is not judged again, unless the rule is about change.
    if (unchanged && !usesOldSelf) return;
    const oldValue = before === undefined ? undefined : fromJson(before, type);
    const oldSelf = rule.optionalOldSelf ? (oldValue === undefined ? Optional.none : Optional.of(oldValue)) : oldValue;
    const bindings = { self: fromJson(at, type), oldSelf };
    try {
      const { value: holds, cost } = program.evaluate(bindings, Math.min(CALL_COST_MAX, budget.left));
      budget.left -= cost;
      if (holds === true) return;
      causes.push(failure(compiled, bindings, at, where, budget));
    } catch (error) {
      if (error instanceof CelCostExceeded) {
        budget.left -= CALL_COST_MAX;
        add(
          budget.left <= 0
            ? "validation failed due to running out of cost budget, no further validation rules will be run"
            : `'${error.message}': no further validation rules will be run due to call cost exceeds limit for rule: ${rule.rule}`,
        );
        budget.left = 0;
      } else if (error instanceof CelError) add(`${error.message} evaluating rule: ${rule.message || rule.rule}`);
      else throw error;
    }
  }
}

const invalidAt = (field: string, value: unknown, detail: string): StatusCause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: ${JSON.stringify(value)}: ${detail}`,
  field: field || "<nil>",
});

function failure(
  { rule, path, messageProgram }: CompiledRule,
  bindings: Record<string, unknown>,
  value: Json,
  where: string,
  budget: Budget,
): StatusCause {
  const detail =
    evaluatedMessage(messageProgram, bindings, budget) ?? (rule.message?.trim() || `failed rule: ${rule.rule.trim()}`);
  const field = `${where}${path}`.replace(/^\./, "") || "<nil>";
  // Whole objects and lists are not shown.
  const whole = typeof value === "object";
  switch (rule.reason) {
    case "FieldValueRequired":
      return { reason: rule.reason, message: `Required value: ${detail}`, field };
    case "FieldValueForbidden":
      return { reason: rule.reason, message: `Forbidden: ${detail}`, field };
    case "FieldValueDuplicate":
      return { reason: rule.reason, message: `Duplicate value${whole ? "" : `: ${JSON.stringify(value)}`}`, field };
    default:
      return whole
        ? { reason: "FieldValueInvalid", message: `Invalid value: ${detail}`, field }
        : invalidAt(field, value, detail);
  }
}

function evaluatedMessage(
  program: Program | undefined,
  bindings: Record<string, unknown>,
  budget: Budget,
): string | undefined {
  if (!program) return undefined;
  try {
    const { value, cost } = program.evaluate(bindings, Math.min(CALL_COST_MAX, budget.left));
    budget.left -= cost;
    const text = typeof value === "string" ? value.trim() : "";
    return text === "" || text.includes("\n") || text.length > 5120 ? undefined : text;
  } catch (error) {
    if (error instanceof CelError || error instanceof CelCostExceeded) return undefined;
    throw error;
  }
}
