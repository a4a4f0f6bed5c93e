/** Pruning, defaulting and metadata of embedded objects. Objects are changed in place. */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { isMap, type JsonMap, memberOf, type StructuralSchema } from "./schema.ts";

const ALWAYS = ["apiVersion", "kind", "metadata"];

/** Drops what the schema does not declare. Answers with the paths dropped ("spec.list[0].x"), at most `limit`. */
export function prune(value: Json, schema: StructuralSchema, isObject: boolean, limit = 100): string[] {
  const dropped: string[] = [];
  walk(value, schema, "", isObject);
  return dropped;

  function walk(at: Json, s: StructuralSchema, path: string, resource: boolean): void {
    if (Array.isArray(at)) {
      if (s.items) for (const [i, item] of at.entries()) walk(item, s.items, `${path}[${i}]`, false);
      return;
    }
    if (!isMap(at)) return;
    const whole = resource || s["x-kubernetes-embedded-resource"] === true;
    const free = s.additionalProperties === true || s["x-kubernetes-preserve-unknown-fields"] === true;
    for (const [name, item] of Object.entries(at)) {
      if (item === undefined || (whole && ALWAYS.includes(name))) continue;
      const member = memberOf(s, name);
      const here = path === "" ? name : `${path}.${name}`;
      if (member) walk(item, member, here, false);
      else if (!free) {
        delete at[name];
        if (dropped.length < limit) dropped.push(here);
      }
    }
  }
}

/** Sets absent fields that have a default; null of a field that may not be null counts as absent. */
export function applyDefaults(value: Json, schema: StructuralSchema): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) applyDefaults(item, schema.items);
    return;
  }
  if (!isMap(value)) return;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const present = Object.hasOwn(value, name) ? value[name] : undefined;
    const absent = present === undefined || (present === null && !property.nullable);
    if (absent && property.default !== undefined) value[name] = structuredClone(property.default);
  }
  for (const [name, item] of Object.entries(value)) {
    const member = memberOf(schema, name);
    if (member && item !== undefined && item !== null) applyDefaults(item, member);
  }
}

/** Nulls where the schema allows none, and has a default or not: dropped, as the decoder of custom resources does. */
export function dropNulls(value: Json, schema: StructuralSchema): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) dropNulls(item, schema.items);
    return;
  }
  if (!isMap(value)) return;
  for (const [name, item] of Object.entries(value)) {
    const member = memberOf(schema, name);
    if (!member || item === undefined) continue;
    if (item === null && !member.nullable && member.default !== undefined) delete value[name];
    else if (item !== null) dropNulls(item, member);
  }
}

/** Calls `each` with every embedded object's metadata and its path ("spec.template"). */
export function embeddedObjects(
  value: Json,
  schema: StructuralSchema,
  each: (object: JsonObject, path: string) => void,
  path = "",
): void {
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items) for (const [i, item] of value.entries()) embeddedObjects(item, items, each, `${path}[${i}]`);
    return;
  }
  if (!isMap(value)) return;
  if (schema["x-kubernetes-embedded-resource"]) each(value as JsonMap as JsonObject, path);
  for (const [name, item] of Object.entries(value)) {
    const member = memberOf(schema, name);
    if (member && item !== undefined) embeddedObjects(item, member, each, path === "" ? name : `${path}.${name}`);
  }
}
