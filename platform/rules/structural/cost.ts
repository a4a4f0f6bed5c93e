/** What the rules of a CRD's schema can cost at most, and which are too much (apiextensions' validation of x-kubernetes-validations). */
import { estimatedCost, fieldName, type Sized } from "#platform/rules/cel/index.ts";
import { compileRules } from "./rules.ts";
import { type StructuralSchema, valuesOf } from "./schema.ts";

const REQUEST_BYTES = 3 * 1024 * 1024;
const TEXT: Sized = { max: REQUEST_BYTES - 2, least: 2 };
/** Bytes that a character of UTF-8 may take. */
const BYTES_MAX = 4;
const TIMES: Readonly<Record<string, Sized>> = {
  duration: { max: 32, least: 3 },
  date: { max: 12, least: 12 },
  "date-time": { max: 32, least: 21 },
};
const METADATA: Sized = { max: 0, least: 2, fields: { name: TEXT, generateName: TEXT } };

/** Of one rule. */
export const RULE_COST_MAX = 10_000_000;
/** Of all rules of one version. */
export const SCHEMA_COST_MAX = 100_000_000;

function textSize({ format, maxLength, enum: values }: StructuralSchema): Sized {
  const known = format === undefined ? undefined : TIMES[format];
  if (known) return known;
  if (format === "byte") return { ...TEXT, ...(maxLength === undefined ? {} : { max: maxLength }) };
  if (maxLength !== undefined) return { ...TEXT, max: maxLength * BYTES_MAX };
  const lengths = (values ?? []).map((value) => (typeof value === "string" ? value.length : 0));
  return lengths.length > 0 ? { ...TEXT, max: Math.max(...lengths) } : TEXT;
}

/** Undefined where expressions see nothing. */
export function sizeOfSchema(schema: StructuralSchema, resource: boolean): Sized | undefined {
  if (schema["x-kubernetes-int-or-string"])
    return { max: schema.maxLength === undefined ? TEXT.max : schema.maxLength * BYTES_MAX, least: 1 };
  switch (schema.type) {
    case "string":
      return textSize(schema);
    case "boolean":
      return { max: 0, least: 4 };
    case "integer":
    case "number":
      return { max: 0, least: 1 };
    case "array": {
      const item = schema.items && sizeOfSchema(schema.items, schema.items["x-kubernetes-embedded-resource"] === true);
      if (!item) return undefined;
      return { max: schema.maxItems ?? Math.floor((REQUEST_BYTES - 2) / (item.least + 1)), least: 2, item };
    }
    case "object":
      return objectSize(schema, resource);
    default:
      return undefined;
  }
}

function objectSize(schema: StructuralSchema, resource: boolean): Sized | undefined {
  const values = valuesOf(schema);
  if (values) {
    const item = sizeOfSchema(values, values["x-kubernetes-embedded-resource"] === true);
    if (!item) return undefined;
    return { max: schema.maxProperties ?? Math.floor((REQUEST_BYTES - 2) / (item.least + 6)), least: 2, item };
  }
  const fields: Record<string, Sized> = {};
  let least = 2;
  for (const [name, part] of Object.entries(schema.properties ?? {})) {
    const size = sizeOfSchema(part, part["x-kubernetes-embedded-resource"] === true);
    const key = fieldName(name);
    if (!size || key === undefined) continue;
    fields[key] = size;
    if (schema.required?.includes(name) && part.default === undefined) least += name.length + size.least + 4;
  }
  if (resource) Object.assign(fields, { apiVersion: TEXT, kind: TEXT, metadata: METADATA });
  return { max: 0, least, fields };
}

export interface ExpensiveRule {
  /** Path of the expression: "….x-kubernetes-validations[0].rule". */
  field: string;
  cost: number;
  what: "rule" | "messageExpression";
}

/** How often the values below can stand in one object; undefined: as often as there is room for. */
function repeated({ type, additionalProperties, maxProperties, maxItems }: StructuralSchema): number | undefined {
  if (type === "object") return additionalProperties ? maxProperties : 1;
  return type === "array" ? maxItems : 1;
}

/** Every expression of a schema with what it can cost in one object. `path` ends in "openAPIV3Schema". */
export function ruleCosts(schema: StructuralSchema, path: string): ExpensiveRule[] {
  const found: ExpensiveRule[] = [];
  walk(schema, path, true, 1);
  return found;

  function walk(s: StructuralSchema, where: string, root: boolean, times: number | undefined): void {
    const resource = root || s["x-kubernetes-embedded-resource"] === true;
    if (s["x-kubernetes-validations"]?.length) judge(s, where, resource, times);
    const factor = repeated(s);
    const below = times === undefined || factor === undefined ? undefined : times * factor;
    for (const [name, part] of Object.entries(s.properties ?? {}))
      walk(part, `${where}.properties[${name}]`, false, below);
    const values = valuesOf(s);
    if (values) walk(values, `${where}.additionalProperties`, false, below);
    if (s.items) walk(s.items, `${where}.items`, false, below);
  }

  function judge(s: StructuralSchema, where: string, resource: boolean, times: number | undefined): void {
    const size = sizeOfSchema(s, resource);
    if (!size) return;
    const variables = { self: size, oldSelf: size };
    const many = times ?? Math.floor(REQUEST_BYTES / (size.least + 1));
    for (const [i, { program, messageProgram }] of compileRules(s, resource).rules.entries()) {
      const field = `${where}.x-kubernetes-validations[${i}]`;
      if (program)
        found.push({ field: `${field}.rule`, cost: estimatedCost(program.ast, variables) * many, what: "rule" });
      if (messageProgram) {
        const cost = estimatedCost(messageProgram.ast, variables);
        found.push({ field: `${field}.messageExpression`, cost, what: "messageExpression" });
      }
    }
  }
}
