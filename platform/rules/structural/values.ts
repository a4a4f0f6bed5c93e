/** Validates values against a schema with the messages, reasons and field paths of upstream's validator. */
import { matches } from "#platform/rules/cel/index.ts";
import type { Json } from "#sdk/api/object.ts";
import type { StatusCause } from "#sdk/api/status.ts";
import { hasFormat } from "./formats.ts";
import { isMap, type JsonMap, type StructuralSchema, valuesOf } from "./schema.ts";

const CAUSES_MAX = 1000;

const join = (path: string, name: string) => (path === "" ? name : `${path}.${name}`);

function printed(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? "null");
}

const invalid = (field: string, value: unknown, detail: string): StatusCause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: ${printed(value)}: ${detail}`,
  field,
});

function typeOf(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

function hasType(value: Json, schema: StructuralSchema): boolean {
  const actual = typeOf(value);
  if (value === null) return schema.nullable === true || schema.type === undefined;
  if (schema["x-kubernetes-int-or-string"] || schema.format === "int-or-string") {
    return actual === "integer" || actual === "string";
  }
  if (schema.type === undefined || schema.type === "") return true;
  return actual === schema.type || (schema.type === "number" && actual === "integer");
}

/** `old` takes part in ratcheting: a value that has not changed is not judged again. */
export function validateValue(value: Json, schema: StructuralSchema, path: string, old?: Json): StatusCause[] {
  const causes: StatusCause[] = [];
  visit(value, schema, path, old, causes);
  return causes;
}

const same = (a: unknown, b: unknown): boolean => {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((v, i) => same(v, b[i]));
  if (!isMap(a) || !isMap(b)) return false;
  const [x, y] = [Object.keys(a), Object.keys(b)];
  return x.length === y.length && x.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
};

export const sameJson = same;

function visit(
  value: Json,
  schema: StructuralSchema,
  path: string,
  old: Json | undefined,
  causes: StatusCause[],
): void {
  if (causes.length >= CAUSES_MAX || (old !== undefined && same(value, old))) return;
  if (!hasType(value, schema)) {
    const actual = typeOf(value);
    const wanted = schema.type ?? "integer,string";
    const detail = `${path} in body must be of type ${wanted}: ${JSON.stringify(actual)}`;
    causes.push({
      reason: "FieldValueTypeInvalid",
      message: `Invalid value: ${JSON.stringify(actual)}: ${detail}`,
      field: path,
    });
    return;
  }
  if (value === null) return;
  const about = { add: (detail: string) => causes.push(invalid(path, value, `${path} in body ${detail}`)) };
  if (schema.enum && !schema.enum.some((allowed) => same(allowed, value))) {
    const supported = schema.enum.map((v) => JSON.stringify(typeof v === "string" ? v : String(v)));
    const message = `Unsupported value: ${printed(value)}: supported values: ${supported.join(", ")}`;
    causes.push({ reason: "FieldValueNotSupported", message, field: path });
  }
  if (typeof value === "string") checkText(value, schema, path, causes, about.add);
  else if (typeof value === "number") checkNumber(value, schema, about.add);
  else if (Array.isArray(value)) checkList(value, schema, path, old, causes, about.add);
  else if (isMap(value)) checkMap(value, schema, path, old, causes, about.add);
  checkLogic(value, schema, path, causes);
}

function checkText(
  value: string,
  schema: StructuralSchema,
  path: string,
  causes: StatusCause[],
  add: (detail: string) => void,
): void {
  const length = [...value].length;
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    const message = `Too long: may not be more than ${schema.maxLength} bytes`;
    causes.push({ reason: "FieldValueTooLong", message, field: path });
  }
  if (schema.minLength !== undefined && length < schema.minLength)
    add(`should be at least ${schema.minLength} chars long`);
  if (schema.pattern && !matches(schema.pattern, value)) add(`should match '${schema.pattern}'`);
  if (schema.format && !hasFormat(schema.format, value))
    add(`must be of type ${schema.format}: ${JSON.stringify(value)}`);
}

function checkNumber(value: number, schema: StructuralSchema, add: (detail: string) => void): void {
  const { minimum, maximum, multipleOf } = schema;
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum)) {
    add(`should be less than ${schema.exclusiveMaximum ? "" : "or equal to "}${maximum}`);
  }
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum)) {
    add(`should be greater than ${schema.exclusiveMinimum ? "" : "or equal to "}${minimum}`);
  }
  if (multipleOf && !Number.isInteger(value / multipleOf)) add(`should be a multiple of ${multipleOf}`);
  if (schema.format === "int32" && Math.abs(value) > 2 ** 31)
    add(`must be of type int32: ${JSON.stringify(typeOf(value))}`);
}

const tooMany = (path: string, count: number, max: number): StatusCause => ({
  reason: "FieldValueTooMany",
  message: `Too many: ${count}: must have at most ${max} items`,
  field: path,
});

function checkList(
  value: Json[],
  schema: StructuralSchema,
  path: string,
  old: Json | undefined,
  causes: StatusCause[],
  add: (detail: string) => void,
): void {
  const { minItems, maxItems, items } = schema;
  const before = correlate(schema, old);
  if (items) {
    for (const [i, item] of value.entries()) visit(item, items, `${path}[${i}]`, before(item, i), causes);
  }
  if (minItems !== undefined && value.length < minItems) add(`should have at least ${minItems} items`);
  if (maxItems !== undefined && value.length > maxItems) causes.push(tooMany(path, value.length, maxItems));
  if (schema.uniqueItems && value.some((a, i) => value.findIndex((b) => same(a, b)) !== i))
    add("shouldn't contain duplicates");
  checkKeys(value, schema, path, causes);
}

/** Sets and maps in lists hold each key once. */
function checkKeys(value: Json[], schema: StructuralSchema, path: string, causes: StatusCause[]): void {
  const type = schema["x-kubernetes-list-type"];
  if (type !== "set" && type !== "map") return;
  const seen = new Set<string>();
  for (const [i, item] of value.entries()) {
    const key = type === "set" ? item : keyOf(item, schema);
    const text = JSON.stringify(key);
    if (seen.has(text)) {
      causes.push({
        reason: "FieldValueDuplicate",
        message: `Duplicate value: ${printed(key)}`,
        field: `${path}[${i}]`,
      });
    }
    seen.add(text);
  }
}

function keyOf(item: Json, schema: StructuralSchema): JsonMap {
  const out: JsonMap = {};
  for (const name of [...(schema["x-kubernetes-list-map-keys"] ?? [])].sort()) {
    const value = isMap(item) ? (item[name] ?? schema.items?.properties?.[name]?.default) : undefined;
    if (value !== undefined) out[name] = value;
  }
  return out;
}

/** The old element that stands for the new one: by key in maps; nowhere else do elements keep their identity. */
export function correlate(
  schema: StructuralSchema,
  old: Json | undefined,
): (item: Json, i: number) => Json | undefined {
  if (!Array.isArray(old) || schema["x-kubernetes-list-type"] !== "map") return () => undefined;
  const byKey = new Map(old.map((item) => [JSON.stringify(keyOf(item, schema)), item]));
  return (item) => byKey.get(JSON.stringify(keyOf(item, schema)));
}

function checkMap(
  value: JsonMap,
  schema: StructuralSchema,
  path: string,
  old: Json | undefined,
  causes: StatusCause[],
  add: (detail: string) => void,
): void {
  const keys = Object.keys(value).filter((key) => value[key] !== undefined);
  const { minProperties, maxProperties } = schema;
  if (minProperties !== undefined && keys.length < minProperties)
    add(`should have at least ${minProperties} properties`);
  if (maxProperties !== undefined && keys.length > maxProperties)
    causes.push(tooMany(path, keys.length, maxProperties));
  for (const name of schema.required ?? []) {
    if (value[name] !== undefined) continue;
    causes.push({ reason: "FieldValueRequired", message: "Required value", field: join(path, name) });
  }
  if (schema["x-kubernetes-embedded-resource"]) checkEmbedded(value, path, causes);
  const values = valuesOf(schema);
  for (const key of keys) {
    const member = schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : values;
    const item = value[key];
    const before = isMap(old) && Object.hasOwn(old, key) ? old[key] : undefined;
    if (member && item !== undefined) visit(item, member, join(path, key), before, causes);
  }
}

function checkEmbedded(value: JsonMap, path: string, causes: StatusCause[]): void {
  for (const name of ["apiVersion", "kind"]) {
    if (!value[name])
      causes.push({
        reason: "FieldValueRequired",
        message: "Required value: must not be empty",
        field: join(path, name),
      });
  }
}

function checkLogic(value: Json, schema: StructuralSchema, path: string, causes: StatusCause[]): void {
  const passes = (part: StructuralSchema) => validateValue(value, part, path).length === 0;
  const add = (detail: string) => causes.push(invalid(path, value, `${JSON.stringify(path)} ${detail}`));
  const { allOf, anyOf, oneOf, not } = schema;
  if (anyOf && !anyOf.some(passes)) add("must validate at least one schema (anyOf)");
  if (oneOf) {
    const count = oneOf.filter(passes).length;
    if (count === 0) add("must validate one and only one schema (oneOf). Found none valid");
    else if (count > 1) add(`must validate one and only one schema (oneOf). Found ${count} valid alternatives`);
  }
  for (const part of allOf ?? []) visit(value, part, path, undefined, causes);
  if (not && passes(not)) add("must not validate the schema (not)");
}
