/**
 * What a schema alone knows about absent fields: defaults, and the values that Go always writes. Both change the object
 * they are given.
 */
import { resolve, types } from "#sdk/api/facts.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import type { Schema } from "#sdk/api/schema.ts";

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function visit(value: Json | undefined, field: Schema, fill: (object: JsonObject, schema: Schema) => void): void {
  const schema = resolve(field);
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) visit(item, schema.items, fill);
  } else if (isObject(value)) {
    if (schema.values) for (const item of Object.values(value)) visit(item, schema.values, fill);
    if (!schema.properties) return;
    fill(value, schema);
    for (const [name, child] of Object.entries(schema.properties)) {
      if (value[name] !== undefined) visit(value[name], child, fill);
    }
  }
}

function root(definition: string): Schema {
  const schema = types()[definition];
  if (!schema) throw new Error(`no definition ${definition} in the API's facts`);
  return schema;
}

const isZero = (value: Json): boolean =>
  value === "" || value === 0 || value === false || (isObject(value) && Object.keys(value).length === 0);

/**
 * Applies the defaults that OpenAPI tells (a port's protocol, a Plugin's failurePolicy). Most defaulting of upstream's
 * kinds is not in OpenAPI: the kinds' strategies do it.
 */
export function applyDefaults(object: JsonObject, definition: string): void {
  visit(object, root(definition), (value, schema) => {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      if (value[name] === undefined && field.default !== undefined && !isZero(field.default)) {
        value[name] = structuredClone(field.default);
      }
    }
  });
}

/**
 * Fills in what upstream writes for absent fields: `"status":{}`, `"strategy":{}`, `"resources":{}`, `"rules":null`.
 * The last step before an object is stored; nothing that reads an object may depend on it.
 */
export function fillZeros(object: JsonObject, definition: string): void {
  visit(object, root(definition), (value, schema) => {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      if (value[name] === undefined && field.zero !== undefined) value[name] = structuredClone(field.zero);
    }
  });
}
