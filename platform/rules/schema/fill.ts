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

class Fillings {
  readonly #find: (field: Schema) => Json | undefined;
  readonly #known = new Map<Schema, Filling>();
  readonly #reaching = new Map<Schema, boolean>();

  constructor(find: (field: Schema) => Json | undefined) {
    this.#find = find;
  }

  of(schema: Schema): Filling {
    let filling = this.#known.get(schema);
    if (!filling) {
      filling = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
        const value = this.#find(field);
        return value === undefined ? [] : [[name, value] as const];
      });
      this.#known.set(schema, filling);
    }
    return filling;
  }

  /** Whether anything in a value of this (resolved) schema may be filled in: most values need no visit. */
  reach(schema: Schema): boolean {
    const known = this.#reaching.get(schema);
    if (known !== undefined) return known;
    const seen = new Set<Schema>();
    const found = this.#search(schema, seen);
    // What was seen on a search in vain leads nowhere either.
    if (found) this.#reaching.set(schema, true);
    else for (const each of seen) this.#reaching.set(each, false);
    return found;
  }

  #search(schema: Schema, seen: Set<Schema>): boolean {
    if (seen.has(schema)) return false;
    seen.add(schema);
    if (this.#reaching.get(schema) || this.of(schema).length > 0) return true;
    const { items, values, properties } = schema;
    return [items, values, ...Object.values(properties ?? {})].some(
      (each) => each && this.#search(resolve(each), seen),
    );
  }
}

const copy = (value: Json): Json => (typeof value === "object" && value !== null ? structuredClone(value) : value);

/** A list that is null when absent is null when empty too: storage doesn't know the difference. */
const isAbsent = (value: Json | undefined, absent: Json): boolean =>
  value === undefined || (absent === null && Array.isArray(value) && value.length === 0);

function fill(value: Json | undefined, field: Schema, fillings: Fillings): void {
  const schema = resolve(field);
  if (!fillings.reach(schema)) return;
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) fill(item, schema.items, fillings);
  } else if (isObject(value)) {
    const { properties, values } = schema;
    if (properties)
      for (const [name, absent] of fillings.of(schema)) if (isAbsent(value[name], absent)) value[name] = copy(absent);
    for (const name of Object.keys(value)) {
      const item = value[name];
      if (typeof item !== "object") continue;
      const child = values ?? (properties && Object.hasOwn(properties, name) ? properties[name] : undefined);
      if (child) fill(item, child, fillings);
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

const defaults = new Fillings((field) =>
  field.default === undefined || isZero(field.default) ? undefined : field.default,
);
const zeros = new Fillings((field) => field.zero);

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
