/**
 * CEL values in JavaScript: int is bigint, uint a Uint, double number, bytes Uint8Array, list an array, map a Map, a message an
 * ObjectValue, null null. Times and durations carry nanoseconds.
 */
import { CelError } from "./errors.ts";
import type { CelType } from "./types.ts";

export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    if (value < 0n || value >= 2n ** 64n) throw new CelError("unsigned integer overflow");
    this.value = value;
  }
}

/** Nanoseconds since the epoch, UTC. */
export class Timestamp {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    if (nanos < -62135596800n * 1_000_000_000n || nanos > 253402300799n * 1_000_000_000n + 999_999_999n) {
      throw new CelError("range error: timestamp out of range");
    }
    this.nanos = nanos;
  }
}

export class Duration {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    if (nanos >= 2n ** 63n || nanos < -(2n ** 63n)) throw new CelError("range error: duration out of range");
    this.nanos = nanos;
  }
}

/** A value of a type with declared fields. Absent fields are not in the map. */
export class ObjectValue {
  readonly type: string;
  readonly fields: ReadonlyMap<string, unknown>;
  constructor(type: string, fields: ReadonlyMap<string, unknown>) {
    this.type = type;
    this.fields = fields;
  }
}

export class Optional {
  static readonly none = new Optional(undefined);
  /** undefined: nothing is there. */
  readonly value: unknown;
  private constructor(value: unknown) {
    this.value = value;
  }
  static of(value: unknown): Optional {
    return new Optional(value);
  }
  get present(): boolean {
    return this.value !== undefined;
  }
}

/** A value that only functions look into. Equality and text are the library's own. */
export abstract class OpaqueValue {
  abstract readonly typeName: string;
  abstract equals(other: OpaqueValue): boolean;
  /** The text that costs and messages count. */
  abstract toString(): string;
}

export class TypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export function kindOf(value: unknown): string {
  switch (typeof value) {
    case "bigint":
      return "int";
    case "number":
      return "double";
    case "string":
      return "string";
    case "boolean":
      return "bool";
  }
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "list";
  if (value instanceof Map) return "map";
  if (value instanceof ObjectValue) return "object";
  if (value instanceof Uint) return "uint";
  if (value instanceof Timestamp) return "timestamp";
  if (value instanceof Duration) return "duration";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof Optional) return "optional";
  if (value instanceof TypeValue) return "type";
  return "opaque";
}

/** Whether a value at run time may stand for the declared type; looks no deeper than its outside. */
export function fits(type: CelType, value: unknown): boolean {
  if (type.kind === "dyn" || type.kind === "parameter") return true;
  const kind = kindOf(value);
  if (type.kind === "opaque") return kind === "opaque" && (value as OpaqueValue).typeName === type.name;
  // Messages serve where maps do when their type is not known.
  if (type.kind === "map") return kind === "map" || kind === "object";
  return type.kind === kind;
}

export function typeNameOf(value: unknown): string {
  const kind = kindOf(value);
  if (kind === "null") return "null_type";
  if (kind === "object") return (value as ObjectValue).type;
  if (kind === "opaque") return (value as OpaqueValue).typeName;
  if (kind === "timestamp") return "google.protobuf.Timestamp";
  if (kind === "duration") return "google.protobuf.Duration";
  return kind === "optional" ? "optional_type" : kind;
}

const numeric = (value: unknown): number | bigint | undefined =>
  typeof value === "bigint" || typeof value === "number" ? value : value instanceof Uint ? value.value : undefined;

/** Across int, uint and double, exactly. */
const same = (x: number | bigint, y: number | bigint): boolean => x >= y && x <= y;

/** undefined where the two cannot be ordered. */
export function compare(a: unknown, b: unknown): number | undefined {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : same(x, y) ? 0 : undefined;
  const sign = (l: string | bigint | number, r: string | bigint | number) => (l < r ? -1 : l > r ? 1 : 0);
  if (typeof a === "string" && typeof b === "string") return Buffer.compare(Buffer.from(a), Buffer.from(b));
  if (typeof a === "boolean" && typeof b === "boolean") return sign(Number(a), Number(b));
  if (a instanceof Timestamp && b instanceof Timestamp) return sign(a.nanos, b.nanos);
  if (a instanceof Duration && b instanceof Duration) return sign(a.nanos, b.nanos);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  return undefined;
}

const entriesOf = (value: Map<unknown, unknown> | ObjectValue): ReadonlyMap<unknown, unknown> =>
  value instanceof ObjectValue ? value.fields : value;

export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return same(x, y);
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => equal(v, b[i]));
  const isMap = (v: unknown): v is Map<unknown, unknown> | ObjectValue => v instanceof Map || v instanceof ObjectValue;
  if (isMap(a) && isMap(b)) {
    const [left, right] = [entriesOf(a), entriesOf(b)];
    if (left.size !== right.size) return false;
    for (const [key, value] of left) if (!right.has(key) || !equal(value, right.get(key))) return false;
    return true;
  }
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos;
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos;
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  if (a instanceof TypeValue) return b instanceof TypeValue && a.name === b.name;
  if (a instanceof Optional) {
    return b instanceof Optional && a.present === b.present && (!a.present || equal(a.value, b.value));
  }
  if (a instanceof OpaqueValue) return b instanceof OpaqueValue && a.typeName === b.typeName && a.equals(b);
  return false;
}

/** Map keys of JSON are strings; whole numbers of any kind are the same key. */
export const mapKey = (key: unknown): unknown => {
  if (key instanceof Uint) return key.value;
  return typeof key === "number" && Number.isInteger(key) ? BigInt(key) : key;
};

/** How large a value is to functions that walk it: characters, elements, entries. */
export function sizeOf(value: unknown): number {
  if (typeof value === "string" || value instanceof Uint8Array || Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (value instanceof ObjectValue) return value.fields.size;
  return value instanceof OpaqueValue ? value.toString().length : 1;
}
