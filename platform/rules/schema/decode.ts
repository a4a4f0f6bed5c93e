/**
 * Decodes JSON against a kind's schema the way upstream's decoder reads it into Go types: unknown fields are dropped and
 * told, nulls are dropped, wrong types are errors in encoding/json's words, quantities and times come out canonical, and
 * empty values that Go would not write are left out. No kind is named here: everything comes from the facts.
 */
import { resolve, types } from "#sdk/api/facts.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import type { Schema } from "#sdk/api/schema.ts";
import { canonicalTime, checkBase64, checkQuantity, DecodeError } from "./values.ts";

export { DecodeError } from "./values.ts";

const UNKNOWN_MAX = 100;

export interface Decoded {
  object: JsonObject;
  /** Paths of unknown fields, in the document's order: "spec.containers[0].foo". At most 100. */
  unknown: string[];
}

/** Where a value stands, in Go's words: the struct, the path with embedded structs, and its type. */
interface Place {
  struct: string;
  path: string;
  goType: string;
  strictPath: string;
}

const jsonType = (value: Json): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;

const INTEGER_RANGE: Record<string, number> = { int32: 2 ** 31, int64: 2 ** 63 };

/** The name of a definition in Go: "v1.PodSpec" of "io.k8s.api.core.v1.PodSpec". */
const goNameOf = (definition: string): string => definition.split(".").slice(-2).join(".");

function goTypeOf(schema: Schema): string {
  if (schema.goType !== undefined) return schema.goType;
  if (schema.ref !== undefined) return goNameOf(schema.ref);
  if (schema.items) return `[]${goTypeOf(schema.items)}`;
  if (schema.values) return `map[string]${goTypeOf(schema.values)}`;
  if (schema.type === "integer") return schema.format ?? "int64";
  if (schema.type === "number") return "float64";
  return schema.type === "boolean" ? "bool" : "string";
}

/** JSON may hold "__proto__" as a key; a plain assignment would not. */
function put(object: JsonObject, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}

class Decoder {
  readonly unknown: string[] = [];
  /** Go goes on after a wrong type and reports the first one at the end. */
  wrongType: string | undefined;

  private mismatch(value: Json, place: Place, goType = place.goType): undefined {
    const what = typeof value === "number" && /^int|^uint/.test(goType) ? `number ${value}` : jsonType(value);
    const where = place.path === "" ? "Go value" : `Go struct field ${place.struct}.${place.path}`;
    this.wrongType ??= `json: cannot unmarshal ${what} into ${where} of type ${goType}`;
    return undefined;
  }

  /** Undefined: nothing is kept of the value. */
  value(value: Json, field: Schema, place: Place): Json | undefined {
    const schema = resolve(field);
    if (schema.format === "quantity") return this.quantity(value);
    if (schema.format === "int-or-string") {
      if (typeof value === "string") return value;
      return this.integer(value, { ...place, goType: "int32" }, 2 ** 31);
    }
    if (schema.properties) {
      if (!isObject(value)) return this.mismatch(value, place);
      return this.struct(value, schema, place.goType.replace(/^.*\./, ""), place);
    }
    if (schema.items) return this.array(value, schema.items, place);
    if (schema.values) return this.map(value, schema.values, place);
    switch (schema.type) {
      case "string":
        return typeof value === "string"
          ? this.string(value, schema)
          : this.mismatch(value, place, leafType(schema, place));
      case "boolean":
        return typeof value === "boolean" ? value : this.mismatch(value, place);
      case "integer":
        return this.integer(value, place, INTEGER_RANGE[schema.format ?? "int64"] ?? 2 ** 63);
      case "number":
        return typeof value === "number" ? value : this.mismatch(value, place);
      case "object":
        if (schema.format === "raw") return value;
        return isObject(value) ? this.freeObject(value, schema, place) : this.mismatch(value, place);
      default:
        return value;
    }
  }

  /** An object with no fields of its own: anything goes, or nothing does. */
  private freeObject(value: JsonObject, schema: Schema, place: Place): JsonObject {
    if (schema.preserveUnknownFields) return value;
    return this.struct(value, { ...schema, properties: {} }, "", place);
  }

  private quantity(value: Json): Json {
    if (typeof value === "string" || typeof value === "number") return checkQuantity(value);
    return checkQuantity(JSON.stringify(value));
  }

  private integer(value: Json, place: Place, limit: number): Json | undefined {
    if (typeof value === "number" && Number.isInteger(value) && value >= -limit && value < limit) return value;
    return this.mismatch(value, place);
  }

  private string(value: string, schema: Schema): string {
    if (schema.format === "date-time") return canonicalTime(value, false);
    if (schema.format === "micro-time") return canonicalTime(value, true);
    return schema.format === "byte" ? checkBase64(value) : value;
  }

  private array(value: Json, items: Schema, place: Place): Json | undefined {
    if (!Array.isArray(value)) return this.mismatch(value, place);
    const goType = place.goType.startsWith("[]") ? place.goType.slice(2) : goTypeOf(items);
    const out: Json[] = [];
    value.forEach((item, i) => {
      const at = { ...place, goType, strictPath: `${place.strictPath}[${i}]` };
      const decoded = item === null ? zeroOf(items) : this.value(item, items, at);
      if (decoded !== undefined) out.push(decoded);
    });
    return out;
  }

  private map(value: Json, values: Schema, place: Place): Json | undefined {
    if (!isObject(value)) return this.mismatch(value, place);
    const out: JsonObject = {};
    const goType = goTypeOf(values);
    for (const [key, item] of Object.entries(value)) {
      if (item === undefined) continue;
      const at = { ...place, goType, strictPath: child(place.strictPath, key) };
      const decoded = item === null ? zeroOf(values) : this.value(item, values, at);
      if (decoded !== undefined) put(out, key, decoded);
    }
    return out;
  }

  struct(value: JsonObject, schema: Schema, name: string, place: Place): JsonObject {
    const out: JsonObject = {};
    const properties = schema.properties ?? {};
    for (const [key, item] of Object.entries(value)) {
      const field = Object.hasOwn(properties, key) ? properties[key] : undefined;
      if (!field) {
        if (schema.preserveUnknownFields && item !== undefined) put(out, key, item);
        else if (this.unknown.length < UNKNOWN_MAX) this.unknown.push(child(place.strictPath, key));
        continue;
      }
      if (item === null || item === undefined) continue;
      const decoded = this.value(item, field, {
        struct: name,
        path: `${place.path === "" ? "" : `${place.path}.`}${field.goPath ?? ""}${key}`,
        goType: goTypeOf(field),
        strictPath: child(place.strictPath, key),
      });
      if (decoded !== undefined && !leftOut(decoded, field)) put(out, key, decoded);
    }
    return out;
  }
}

const isObject = (value: Json): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const child = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);

/** Times complain about the string inside them. */
const leafType = (schema: Schema, place: Place): string =>
  schema.format === "date-time" || schema.format === "micro-time" ? "string" : place.goType;

/** Go's omitempty: an empty value of a field that is no pointer and has no written zero. */
function leftOut(value: Json, field: Schema): boolean {
  if (field.pointer || field.zero !== undefined) return false;
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === "" || value === 0 || value === false;
}

/** What a null in a list or map becomes. */
function zeroOf(field: Schema): Json {
  const schema = resolve(field);
  if (schema.format === "quantity") return "0";
  if (schema.format === "int-or-string" || schema.type === "integer" || schema.type === "number") return 0;
  if (schema.properties) return {};
  if (schema.type === "boolean") return false;
  if (schema.type === "string") return schema.format === "date-time" || schema.format === "micro-time" ? null : "";
  return null;
}

/**
 * `definition` is a name in the API's facts, e.g. "io.k8s.api.core.v1.Pod".
 * Throws DecodeError with Go's message; upstream answers `Pod in version "v1" cannot be handled as a Pod: MESSAGE`, 400.
 */
export function decode(value: JsonObject, definition: string): Decoded {
  const schema = types()[definition];
  if (!schema) throw new Error(`no definition ${definition} in the API's facts`);
  const decoder = new Decoder();
  const goType = goNameOf(definition);
  const place = { struct: "", path: "", goType, strictPath: "" };
  const object = decoder.struct(value, schema, goType.replace(/^.*\./, ""), place);
  if (decoder.wrongType !== undefined) throw new DecodeError(decoder.wrongType);
  return { object, unknown: decoder.unknown };
}

/** Upstream's message for what strict decoding refuses and a lenient one warns of, each by itself. */
export const strictMessages = (duplicates: readonly string[], unknown: readonly string[]): string[] => [
  ...duplicates.map((path) => `duplicate field "${path}"`),
  ...unknown.map((path) => `unknown field "${path}"`),
];
