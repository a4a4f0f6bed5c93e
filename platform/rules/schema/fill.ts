/**
 * What a schema alone knows about absent fields: defaults, and the values that Go always writes. Both change the object
 * they are given.
 */
import { resolve, types } from "#sdk/api/facts.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import type { Schema } from "#sdk/api/schema.ts";

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The fields of a struct that are filled in when absent, by its schema: found once, as every write asks. */
type Filling = readonly (readonly [name: string, value: Json])[];
type Fillings = (schema: Schema) => Filling;

function remember(find: (field: Schema) => Json | undefined): Fillings {
  const known = new Map<Schema, Filling>();
  return (schema) => {
    let filling = known.get(schema);
    if (!filling) {
      filling = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
        const value = find(field);
        return value === undefined ? [] : [[name, value] as const];
      });
      known.set(schema, filling);
    }
    return filling;
  };
}

const copy = (value: Json): Json => (typeof value === "object" && value !== null ? structuredClone(value) : value);

/** A list that is null when absent is null when empty too: storage doesn't know the difference. */
const isAbsent = (value: Json | undefined, absent: Json): boolean =>
  value === undefined || (absent === null && Array.isArray(value) && value.length === 0);

function fill(value: Json | undefined, field: Schema, fillings: Fillings): void {
  const schema = resolve(field);
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) fill(item, schema.items, fillings);
  } else if (isObject(value)) {
    const { properties, values } = schema;
    if (properties)
      for (const [name, absent] of fillings(schema)) if (isAbsent(value[name], absent)) value[name] = copy(absent);
    for (const [name, item] of Object.entries(value)) {
      const child = values ?? (properties && Object.hasOwn(properties, name) ? properties[name] : undefined);
      if (child && typeof item === "object") fill(item, child, fillings);
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

const defaults = remember((field) =>
  field.default === undefined || isZero(field.default) ? undefined : field.default,
);
const zeros = remember((field) => field.zero);

/**
 * Applies the defaults that OpenAPI tells (a port's protocol, a Plugin's failurePolicy). Most defaulting of upstream's
 * kinds is not in OpenAPI: the kinds' strategies do it.
 */
export const applyDefaults = (object: JsonObject, definition: string): void => fill(object, root(definition), defaults);

/**
 * Fills in what upstream writes for absent fields: `"status":{}`, `"strategy":{}`, `"resources":{}`, `"rules":null`.
 * The last step before an object is stored; nothing that reads an object may depend on it.
 */
export const fillZeros = (object: JsonObject, definition: string): void => fill(object, root(definition), zeros);
