/** Between JSON and CEL values. */
import { durationText, parseDate, parseDuration, parseTimestamp, timestampText } from "./time.ts";
import { type CelType, DYN } from "./types.ts";
import {
  type Duration,
  kindOf,
  ObjectValue,
  type OpaqueValue,
  type Optional,
  type Timestamp,
  type TypeValue,
  Uint,
} from "./values.ts";

const RESERVED = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);
const SIGNS: Record<string, string> = { _: "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__" };

/** The name under which expressions know a field ("foo-bar" is foo__dash__bar); undefined where there is none. */
export function fieldName(name: string): string | undefined {
  if (!/^[A-Za-z_./-][A-Za-z0-9_./-]*$/.test(name)) return undefined;
  if (RESERVED.has(name)) return `__${name}__`;
  return name.replace(/__|[./-]/g, (sign) => SIGNS[sign === "__" ? "_" : sign] ?? sign);
}

/** JSON without a known type: whole numbers are int, others double. */
function untyped(json: unknown): unknown {
  if (typeof json === "number") return Number.isSafeInteger(json) ? BigInt(json) : json;
  if (Array.isArray(json)) return json.map(untyped);
  if (json === null || typeof json !== "object") return json ?? null;
  const out = new Map<string, unknown>();
  for (const [key, value] of Object.entries(json)) if (value !== undefined) out.set(key, untyped(value));
  return out;
}

/**
 * A JSON value as the type declares it. A value that is not of its type stays what it is: the schema has refused it, or the
 * expression will.
 */
export function fromJson(json: unknown, type: CelType = DYN): unknown {
  if (json === null || json === undefined) return null;
  switch (type.kind) {
    case "int":
      return typeof json === "number" && Number.isInteger(json) ? BigInt(json) : untyped(json);
    case "uint":
      return typeof json === "number" && Number.isInteger(json) && json >= 0 ? new Uint(BigInt(json)) : untyped(json);
    case "double":
      return typeof json === "number" ? json : untyped(json);
    case "list":
      return Array.isArray(json) ? json.map((item) => fromJson(item, type.element)) : untyped(json);
    case "map":
      return isObject(json) ? mapFrom(json, type.value) : untyped(json);
    case "object":
      return isObject(json) ? objectFrom(json, type) : untyped(json);
    case "timestamp":
      return typeof json === "string" ? (parseDate(json) ?? parseTimestamp(json)) : untyped(json);
    case "duration":
      return typeof json === "string" ? parseDuration(json) : untyped(json);
    case "bytes":
      return typeof json === "string" ? Uint8Array.from(Buffer.from(json, "base64")) : untyped(json);
    default:
      return untyped(json);
  }
}

const isObject = (json: unknown): json is Record<string, unknown> =>
  typeof json === "object" && json !== null && !Array.isArray(json);

function mapFrom(json: Record<string, unknown>, type: CelType): Map<string, unknown> {
  const out = new Map<string, unknown>();
  for (const [key, value] of Object.entries(json)) if (value !== undefined) out.set(key, fromJson(value, type));
  return out;
}

function objectFrom(json: Record<string, unknown>, type: Extract<CelType, { kind: "object" }>): ObjectValue {
  const fields = new Map<string, unknown>();
  for (const [key, value] of Object.entries(json)) {
    const name = fieldName(key);
    if (value === undefined || name === undefined || !Object.hasOwn(type.fields, name)) continue;
    fields.set(name, fromJson(value, type.fields[name]));
  }
  return new ObjectValue(type.name, fields);
}

/** Message fields go by the names expressions know; JSON by the schema's. */
function jsonName(name: string): string {
  const reserved = /^__([a-z]+)__$/.exec(name);
  if (reserved && RESERVED.has(reserved[1] ?? "")) return reserved[1] ?? "";
  return name
    .replaceAll("__underscores__", "\u0000")
    .replaceAll("__dot__", ".")
    .replaceAll("__dash__", "-")
    .replaceAll("__slash__", "/")
    .replaceAll("\u0000", "__");
}

/** A CEL value as JSON (results of mutations, params of messages). Throws TypeError for a value that has no JSON. */
export function toJson(value: unknown): unknown {
  switch (kindOf(value)) {
    case "int":
      return Number(value as bigint);
    case "uint":
      return Number((value as Uint).value);
    case "list":
      return (value as unknown[]).map(toJson);
    case "map":
      return Object.fromEntries([...(value as Map<unknown, unknown>)].map(([k, v]) => [String(k), toJson(v)]));
    case "object":
      return Object.fromEntries([...(value as ObjectValue).fields].map(([k, v]) => [jsonName(k), toJson(v)]));
    case "timestamp":
      return timestampText(value as Timestamp);
    case "duration":
      return durationText(value as Duration);
    case "bytes":
      return Buffer.from(value as Uint8Array).toString("base64");
    case "optional":
      return (value as Optional).present ? toJson((value as Optional).value) : null;
    case "opaque":
      return (value as OpaqueValue).toString();
    case "type":
      throw new TypeError(`a type has no JSON: ${(value as TypeValue).name}`);
    default:
      return value;
  }
}
