/**
 * Reads Kubernetes' protobuf bodies (`application/vnd.kubernetes.protobuf`: the four bytes "k8s\0", then runtime.Unknown) into the JSON form
 * of the same object. Typed clients, kubectl's create commands among them, send them.
 */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { badRequest } from "#sdk/api/status.ts";
import { type FieldCode, messageOf, messages } from "./messages.ts";

const MAGIC = Buffer.from("k8s\0");
const DEPTH_MAX = 100;
const NOTHING: Buffer = Buffer.alloc(0);
const META = "k8s.io.apimachinery.pkg.apis.meta.v1";

class Reader {
  readonly #bytes: Buffer;
  at = 0;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  get done(): boolean {
    return this.at >= this.#bytes.length;
  }
  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) throw malformed();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed();
  }
  bytes(): Buffer {
    return this.take(Number(this.varint()));
  }
  take(length: number): Buffer {
    const end = this.at + length;
    if (!(length >= 0) || end > this.#bytes.length) throw malformed();
    const part = this.#bytes.subarray(this.at, end);
    this.at = end;
    return part;
  }
}

const malformed = () => badRequest("the request's body is not valid Kubernetes protobuf");

interface RawField {
  number: number;
  wire: number;
  number64: bigint;
  bytes: Buffer;
}

function* fields(bytes: Buffer): Generator<RawField> {
  const reader = new Reader(bytes);
  while (!reader.done) {
    const tag = Number(reader.varint());
    const field: RawField = { number: tag >> 3, wire: tag & 7, number64: 0n, bytes: NOTHING };
    if (field.wire === 0) field.number64 = reader.varint();
    else if (field.wire === 1) field.bytes = reader.take(8);
    else if (field.wire === 2) field.bytes = reader.bytes();
    else if (field.wire === 5) field.bytes = reader.take(4);
    else throw malformed();
    yield field;
  }
}

function integer(value: bigint): number {
  const number = Number(BigInt.asIntN(64, value));
  if (!Number.isSafeInteger(number)) throw badRequest("an integer of the request's body is out of range");
  return number;
}

function timeOf(bytes: Buffer, micro: boolean): Json {
  let seconds = 0;
  let nanos = 0;
  let present = false;
  for (const f of fields(bytes)) {
    present = true;
    if (f.number === 1) seconds = integer(f.number64);
    if (f.number === 2) nanos = integer(f.number64);
  }
  if (!present) return null;
  const text = new Date(seconds * 1000).toISOString().slice(0, 19);
  return micro ? `${text}.${String(Math.floor(nanos / 1000)).padStart(6, "0")}Z` : `${text}Z`;
}

function intOrString(bytes: Buffer): Json {
  let text = false;
  let int = 0;
  let string = "";
  for (const f of fields(bytes)) {
    if (f.number === 1) text = f.number64 === 1n;
    if (f.number === 2) int = integer(BigInt.asIntN(32, f.number64));
    if (f.number === 3) string = f.bytes.toString("utf8");
  }
  return text ? string : int;
}

const first = (bytes: Buffer): Buffer => [...fields(bytes)].find((f) => f.number === 1)?.bytes ?? NOTHING;

function rawJson(bytes: Buffer): Json {
  const raw = first(bytes).toString("utf8");
  if (raw === "") return null;
  try {
    return JSON.parse(raw) as Json;
  } catch {
    throw malformed();
  }
}

const EXTENSIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1";
const SCHEMA = `${EXTENSIONS}.JSONSchemaProps`;

/** A schema, or something beside it that JSON writes in its place: a list of schemas, a list of words, yes or no. */
function schemaOr(bytes: Buffer, other: (all: RawField[]) => Json, depth: number): Json {
  const all = [...fields(bytes)];
  const schema = all.find((f) => f.number === (other === allows ? 2 : 1));
  return schema && schema.bytes.length > 0 ? message(SCHEMA, schema.bytes, depth + 1) : other(all);
}
const second = (all: RawField[]) => all.filter((f) => f.number === 2).map((f) => f.bytes);
const allows = (all: RawField[]): Json => all.some((f) => f.number === 1 && f.number64 === 1n);

/** Messages whose JSON is not an object of their fields. */
const SPECIAL: Record<string, (bytes: Buffer, depth: number) => Json> = {
  [`${META}.Time`]: (b) => timeOf(b, false),
  [`${META}.MicroTime`]: (b) => timeOf(b, true),
  [`${META}.FieldsV1`]: rawJson,
  "k8s.io.apimachinery.pkg.runtime.RawExtension": rawJson,
  "k8s.io.apimachinery.pkg.api.resource.Quantity": (b) => first(b).toString("utf8"),
  "k8s.io.apimachinery.pkg.util.intstr.IntOrString": intOrString,
  [`${EXTENSIONS}.JSON`]: rawJson,
  [`${EXTENSIONS}.JSONSchemaPropsOrArray`]: (b, depth) =>
    schemaOr(b, (all) => second(all).map((one) => message(SCHEMA, one, depth + 1)), depth),
  [`${EXTENSIONS}.JSONSchemaPropsOrStringArray`]: (b, depth) =>
    schemaOr(b, (all) => second(all).map((one) => one.toString("utf8")), depth),
  [`${EXTENSIONS}.JSONSchemaPropsOrBool`]: (b, depth) => schemaOr(b, allows, depth),
};

/** Lists that protobuf wraps in a message with one field. */
const LISTS = new Set(["ExtraValue", "Verbs"]);

function value(type: string, field: RawField, depth: number): Json {
  switch (type) {
    case "string":
      return field.bytes.toString("utf8");
    case "bytes":
      return field.bytes.toString("base64");
    case "bool":
      return field.number64 !== 0n;
    case "double":
      if (field.bytes.length !== 8) throw malformed();
      return field.bytes.readDoubleLE();
    case "int32":
    case "int64":
    case "uint32":
    case "uint64":
      return integer(field.number64);
    default:
      return message(type, field.bytes, depth);
  }
}

function message(type: string, bytes: Buffer, depth: number): Json {
  const special = SPECIAL[type];
  if (depth > DEPTH_MAX) throw malformed();
  if (special) return special(bytes, depth);
  const name = type.slice(type.lastIndexOf(".") + 1);
  if (LISTS.has(name)) return [...fields(bytes)].filter((f) => f.number === 1).map((f) => f.bytes.toString("utf8"));
  const codes = messages()[type];
  if (!codes) throw malformed();
  const object: JsonObject = {};
  for (const field of fields(bytes)) {
    const code = codes[String(field.number)];
    if (code) put(object, code, field, depth);
  }
  return type === SCHEMA ? withoutZeros(object) : object;
}

/** Go's encoder writes every plain field. Where the kind's own schema ends (below `items`) nothing else would take the empty ones away. */
function withoutZeros(schema: JsonObject): JsonObject {
  const kept = Object.entries(schema).filter(([name, v]) => SCHEMA_VALUES.has(name) || (v !== "" && v !== false));
  return Object.fromEntries(kept);
}
const SCHEMA_VALUES = new Set(["default", "example", "additionalProperties", "additionalItems"]);

function put(object: JsonObject, [name, type, repeated]: FieldCode, field: RawField, depth: number): void {
  if (type.startsWith("map:")) {
    object[name] ??= {};
    const map = object[name] as JsonObject;
    const [key, entry] = mapEntry(type.slice("map:".length), field.bytes, depth);
    Object.defineProperty(map, key, { value: entry, enumerable: true, configurable: true, writable: true });
    return;
  }
  const decoded = value(type, field, depth + 1);
  if (name === "") {
    if (decoded !== null && typeof decoded === "object") Object.assign(object, decoded);
  } else if (repeated) {
    object[name] ??= [];
    (object[name] as Json[]).push(decoded);
  } else if (decoded !== null) object[name] = decoded;
}

function mapEntry(type: string, bytes: Buffer, depth: number): [string, Json] {
  let key = "";
  let entry: Json = type === "string" || type === "bytes" ? "" : null;
  for (const field of fields(bytes)) {
    if (field.number === 1) key = field.bytes.toString("utf8");
    if (field.number === 2) entry = value(type, field, depth + 1);
  }
  return [key, entry];
}

/** The object in its JSON form, with kind and apiVersion. Throws StatusError 400 for what is no such body. */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, 4).equals(MAGIC)) throw malformed();
  let raw = NOTHING;
  let apiVersion = "";
  let kind = "";
  for (const field of fields(body.subarray(4))) {
    if (field.number === 2) raw = field.bytes;
    if (field.number !== 1) continue;
    for (const meta of fields(field.bytes)) {
      if (meta.number === 1) apiVersion = meta.bytes.toString("utf8");
      if (meta.number === 2) kind = meta.bytes.toString("utf8");
    }
  }
  const name = messageOf(apiVersion, kind);
  if (!name)
    throw badRequest(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`);
  const object = message(name, raw, 0) as JsonObject;
  return { kind, apiVersion, ...object };
}
