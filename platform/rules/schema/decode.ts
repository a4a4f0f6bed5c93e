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
const BYTE_MAX = 0xff;

export interface Decoded {
  object: JsonObject;
  /** Paths of unknown fields, in the document's order: "spec.containers[0].foo". At most 100. */
  unknown: string[];
}

/** Where a value stands. Paths and Go types are made of it only for what is wrong. */
interface Place {
  /** Unset at the object itself. */
  up?: Place;
  kind: "field" | "element" | "entry";
  step: string | number;
  /** The field's, unresolved. */
  schema: Schema;
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
  if (schema.format === "byte") return "[]uint8";
  return schema.type === "boolean" ? "bool" : "string";
}

/** JSON may hold "__proto__" as a key; a plain assignment would not. */
function put(object: JsonObject, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else object[key] = value;
}

/** "spec.containers[0].name", as strict decoding words it. */
function strictPath(place: Place): string {
  if (!place.up) return "";
  const before = strictPath(place.up);
  return typeof place.step === "number" ? `${before}[${place.step}]` : join(before, place.step);
}

/** "spec.containers.livenessProbe.ProbeHandler.httpGet": fields with the embedded structs on the way, no elements. */
function goPath(place: Place): string {
  if (!place.up) return "";
  const before = goPath(place.up);
  return place.kind === "field" ? join(before, `${place.schema.goPath ?? ""}${place.step}`) : before;
}

function goTypeAt(place: Place): string {
  if (place.kind !== "element" || !place.up) return goTypeOf(place.schema);
  const list = goTypeAt(place.up);
  return list.startsWith("[]") ? list.slice(2) : goTypeOf(place.schema);
}

/** The struct whose field holds the value. */
function structAt(place: Place): string {
  let at = place;
  while (at.kind !== "field" && at.up) at = at.up;
  return at.up ? goTypeAt(at.up).replace(/^.*\./, "") : "";
}

class Decoder {
  readonly unknown: string[] = [];
  /** Go goes on after a wrong type and reports the first one at the end. */
  wrongType: string | undefined;

  private mismatch(value: Json, place: Place, goType = goTypeAt(place)): undefined {
    const what = typeof value === "number" && /^int|^uint/.test(goType) ? `number ${value}` : jsonType(value);
    this.wrongType ??= `json: cannot unmarshal ${what} into Go struct field ${structAt(place)}.${goPath(place)} of type ${goType}`;
    return undefined;
  }

  /** Undefined: nothing is kept of the value. */
  value(value: Json, place: Place): Json | undefined {
    const schema = resolve(place.schema);
    if (schema.either) return either(value, schema.either);
    if (schema.properties) return isObject(value) ? this.struct(value, schema, place) : this.mismatch(value, place);
    if (schema.items) return this.array(value, schema.items, place);
    if (schema.values) return this.map(value, schema.values, place);
    switch (schema.format) {
      case "quantity":
        return checkQuantity(typeof value === "string" || typeof value === "number" ? value : JSON.stringify(value));
      case "int-or-string":
        return typeof value === "string" ? value : this.integer(value, place, "int32");
      case "raw":
        return value;
    }
    switch (schema.type) {
      case "string":
        if (schema.format === "byte" && Array.isArray(value)) return this.bytes(value, place);
        return typeof value === "string"
          ? this.text(value, schema)
          : this.mismatch(value, place, leafType(schema, place));
      case "boolean":
        return typeof value === "boolean" ? value : this.mismatch(value, place);
      case "integer":
        return this.integer(value, place, schema.format ?? "int64");
      case "number":
        return typeof value === "number" ? value : this.mismatch(value, place);
      case "object":
        return isObject(value) ? this.freeObject(value, schema, place) : this.mismatch(value, place);
      default:
        return value;
    }
  }

  private text(value: string, schema: Schema): string | undefined {
    if (schema.format !== "byte") return leaf(value, schema);
    try {
      return checkBase64(value);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.wrongType ??= error.message; // as a wrong type is: the first one is told at the end
      return undefined;
    }
  }

  /** Bytes may be written one by one too. */
  private bytes(value: Json[], place: Place): string {
    const wrong = value.find((byte) => byte !== null && !(typeof byte === "number" && byte === (byte & BYTE_MAX)));
    if (wrong !== undefined) this.mismatch(wrong, place, "uint8");
    return Buffer.from(value.map(Number)).toString("base64");
  }

  /** An object with no fields of its own: anything goes, or nothing does. */
  private freeObject(value: JsonObject, schema: Schema, place: Place): JsonObject {
    return schema.preserveUnknownFields ? value : this.struct(value, { ...schema, properties: {} }, place);
  }

  private integer(value: Json, place: Place, format: string): Json | undefined {
    const limit = INTEGER_RANGE[format] ?? 2 ** 63;
    if (typeof value === "number" && Number.isInteger(value) && value >= -limit && value < limit) return value;
    return this.mismatch(value, place, format === "int32" ? "int32" : goTypeAt(place));
  }

  private array(value: Json, items: Schema, place: Place): Json | undefined {
    if (!Array.isArray(value)) return this.mismatch(value, place);
    const out: Json[] = [];
    for (const [step, item] of value.entries()) {
      const at: Place = { up: place, kind: "element", step, schema: items };
      const decoded = item === null ? zeroOf(items) : this.value(item, at);
      if (decoded !== undefined) out.push(decoded);
    }
    return out;
  }

  private map(value: Json, values: Schema, place: Place): Json | undefined {
    if (!isObject(value)) return this.mismatch(value, place);
    const out: JsonObject = {};
    for (const [step, item] of Object.entries(value)) {
      if (item === undefined) continue;
      const at: Place = { up: place, kind: "entry", step, schema: values };
      const decoded = item === null ? zeroOf(values) : this.value(item, at);
      if (decoded !== undefined) put(out, step, decoded);
    }
    return out;
  }

  struct(value: JsonObject, schema: Schema, place: Place): JsonObject {
    const out: JsonObject = {};
    const properties = schema.properties ?? {};
    for (const [step, item] of Object.entries(value)) {
      const field = Object.hasOwn(properties, step) ? properties[step] : undefined;
      if (!field) {
        if (schema.preserveUnknownFields && item !== undefined) put(out, step, item);
        else if (this.unknown.length < UNKNOWN_MAX) this.unknown.push(join(strictPath(place), step));
      } else if (item !== null && item !== undefined) {
        const decoded = this.value(item, { up: place, kind: "field", step, schema: field });
        if (decoded !== undefined && !leftOut(decoded, field)) put(out, step, decoded);
      }
    }
    return out;
  }
}

/** Types that read themselves: what is wrong inside ends the decoding, what is unknown inside is dropped unsaid. */
function either(value: Json, { ref, or }: NonNullable<Schema["either"]>): Json | undefined {
  if (isObject(value)) return decode(value, ref).object;
  if (or === "boolean") {
    if (typeof value === "boolean") return value;
    throw new DecodeError("boolean or JSON schema expected");
  }
  if (!Array.isArray(value)) return undefined;
  return value.map((item) => {
    if (or === "list" && isObject(item)) return decode(item, ref).object;
    if (or === "strings" && typeof item === "string") return item;
    const wanted = or === "list" ? goNameOf(ref) : "string";
    throw new DecodeError(`json: cannot unmarshal ${jsonType(item)} into Go value of type ${wanted}`);
  });
}

const isObject = (value: Json): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const join = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);

function leaf(value: string, schema: Schema): string {
  if (schema.format === undefined) return value;
  if (schema.format === "date-time") return canonicalTime(value, false);
  if (schema.format === "micro-time") return canonicalTime(value, true);
  return value;
}

/** Times complain about the string inside them. */
const leafType = (schema: Schema, place: Place): string =>
  schema.format === "date-time" || schema.format === "micro-time" ? "string" : goTypeAt(place);

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
  const object = decoder.struct(value, schema, { kind: "field", step: "", schema: { ref: definition } });
  if (decoder.wrongType !== undefined) throw new DecodeError(decoder.wrongType);
  return { object, unknown: decoder.unknown };
}
