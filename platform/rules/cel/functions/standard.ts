/** CEL's standard functions and operators. */
import { CelError } from "../errors.ts";
import { matches } from "../patterns.ts";
import { durationText, parseDuration, parseTimestamp, partsIn, timestampText } from "../time.ts";
import {
  BOOL,
  BYTES,
  type CelType,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listOf,
  mapOf,
  optionalOf,
  parameter,
  STRING,
  TIMESTAMP,
  TYPE,
  UINT,
} from "../types.ts";
import {
  compare,
  Duration,
  equal,
  mapKey,
  ObjectValue,
  Optional,
  sizeOf,
  Timestamp,
  TypeValue,
  typeNameOf,
  Uint,
} from "../values.ts";
import { type CelFunction, global, method, walk } from "./function.ts";

const A = parameter("A");
const B = parameter("B");

const int = (value: bigint): bigint => {
  if (value >= 2n ** 63n || value < -(2n ** 63n)) throw new CelError("integer overflow");
  return value;
};
const divisor = (value: bigint, what: string): bigint => {
  if (value === 0n) throw new CelError(what);
  return value;
};

type Arithmetic = { int(a: bigint, b: bigint): bigint; double?(a: number, b: number): number };
function arithmetic(name: string, { int: whole, double }: Arithmetic): CelFunction[] {
  return [
    global(name, [INT, INT], INT, (a: bigint, b: bigint) => int(whole(a, b))),
    global(name, [UINT, UINT], UINT, (a: Uint, b: Uint) => new Uint(whole(a.value, b.value))),
    ...(double ? [global(name, [DOUBLE, DOUBLE], DOUBLE, double)] : []),
  ];
}

const ORDERED: CelType[] = [INT, UINT, DOUBLE, STRING, BOOL, BYTES, TIMESTAMP, DURATION];
const NUMBERS: CelType[] = [INT, UINT, DOUBLE];
function ordering(name: string, holds: (order: number) => boolean): CelFunction[] {
  const call = (a: unknown, b: unknown) => {
    const order = compare(a, b);
    return order !== undefined && holds(order);
  };
  const cost = ([a, b]: readonly unknown[]) =>
    typeof a === "string" && typeof b === "string" ? walk(Math.min(a.length, b.length)) : 1;
  const pairs = ORDERED.map((t): [CelType, CelType] => [t, t]);
  for (const a of NUMBERS) for (const b of NUMBERS) if (a !== b) pairs.push([a, b]);
  return pairs.map((p) => global(name, p, BOOL, call, cost));
}

const equalityCost = ([a, b]: readonly unknown[]) => Math.max(1, walk(Math.min(sizeOf(a), sizeOf(b))));

const operators: CelFunction[] = [
  ...arithmetic("_+_", { int: (a, b) => a + b, double: (a, b) => a + b }),
  ...arithmetic("_-_", { int: (a, b) => a - b, double: (a, b) => a - b }),
  ...arithmetic("_*_", { int: (a, b) => a * b, double: (a, b) => a * b }),
  ...arithmetic("_/_", { int: (a, b) => a / divisor(b, "division by zero"), double: (a, b) => a / b }),
  ...arithmetic("_%_", { int: (a, b) => a % divisor(b, "modulus by zero") }),
  global(
    "_+_",
    [STRING, STRING],
    STRING,
    (a: string, b: string) => a + b,
    (_, r) => walk(sizeOf(r)),
  ),
  global(
    "_+_",
    [BYTES, BYTES],
    BYTES,
    (a: Uint8Array, b: Uint8Array) => Uint8Array.from([...a, ...b]),
    (_, r) => walk(sizeOf(r)),
  ),
  global(
    "_+_",
    [listOf(A), listOf(A)],
    listOf(A),
    (a: unknown[], b: unknown[]) => [...a, ...b],
    (_, r) => 1 + walk(sizeOf(r)),
  ),
  global("_+_", [TIMESTAMP, DURATION], TIMESTAMP, (t: Timestamp, d: Duration) => new Timestamp(t.nanos + d.nanos)),
  global("_+_", [DURATION, TIMESTAMP], TIMESTAMP, (d: Duration, t: Timestamp) => new Timestamp(t.nanos + d.nanos)),
  global("_+_", [DURATION, DURATION], DURATION, (a: Duration, b: Duration) => new Duration(a.nanos + b.nanos)),
  global("_-_", [TIMESTAMP, TIMESTAMP], DURATION, (a: Timestamp, b: Timestamp) => new Duration(a.nanos - b.nanos)),
  global("_-_", [TIMESTAMP, DURATION], TIMESTAMP, (t: Timestamp, d: Duration) => new Timestamp(t.nanos - d.nanos)),
  global("_-_", [DURATION, DURATION], DURATION, (a: Duration, b: Duration) => new Duration(a.nanos - b.nanos)),
  global("!_", [BOOL], BOOL, (a: boolean) => !a),
  global("-_", [INT], INT, (a: bigint) => int(-a)),
  global("-_", [DOUBLE], DOUBLE, (a: number) => -a),
  global("_==_", [A, A], BOOL, equal, equalityCost),
  global("_!=_", [A, A], BOOL, (a: unknown, b: unknown) => !equal(a, b), equalityCost),
  ...NUMBERS.flatMap((a) =>
    NUMBERS.filter((b) => b !== a).flatMap((b) => [
      global("_==_", [a, b], BOOL, equal),
      global("_!=_", [a, b], BOOL, (x: unknown, y: unknown) => !equal(x, y)),
    ]),
  ),
  ...ordering("_<_", (o) => o < 0),
  ...ordering("_<=_", (o) => o <= 0),
  ...ordering("_>_", (o) => o > 0),
  ...ordering("_>=_", (o) => o >= 0),
  global(
    "@in",
    [A, listOf(A)],
    BOOL,
    (a: unknown, list: unknown[]) => list.some((b) => equal(a, b)),
    ([, l]) => 1 + sizeOf(l),
  ),
  global("@in", [A, mapOf(A, B)], BOOL, (key: unknown, map: Map<unknown, unknown> | ObjectValue) =>
    map instanceof ObjectValue ? map.fields.has(String(key)) : map.has(mapKey(key)),
  ),
];

const characters = (text: string): bigint => BigInt([...text].length);
const lengthOf = (value: { size: number } | ObjectValue): bigint =>
  BigInt(value instanceof ObjectValue ? value.fields.size : value.size);

const sizes = ["size"].flatMap((name) =>
  [global, method].flatMap((declare) => [
    declare(name, [STRING], INT, characters, ([s]) => walk(sizeOf(s))),
    declare(name, [BYTES], INT, (b: Uint8Array) => BigInt(b.length)),
    declare(name, [listOf(A)], INT, (l: unknown[]) => BigInt(l.length)),
    declare(name, [mapOf(A, B)], INT, lengthOf),
  ]),
);

const range = (what: string) => new CelError(`${what} range error`);

function toInt(value: number): bigint {
  if (!Number.isFinite(value) || value >= 2 ** 63 || value < -(2 ** 63)) throw new CelError("integer overflow");
  return BigInt(Math.trunc(value));
}

function textToNumber(text: string, kind: string, pattern: RegExp): string {
  if (!pattern.test(text)) throw new CelError(`type conversion error from 'string' to '${kind}'`);
  return text;
}

const doubleText = (value: number): string =>
  Number.isNaN(value)
    ? "NaN"
    : Number.isFinite(value)
      ? String(value).replace("e+", "e+")
      : value > 0
        ? "+Inf"
        : "-Inf";

function toBool(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new CelError("type conversion error from 'string' to 'bool'");
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new CelError("invalid UTF-8 in bytes, cannot convert to string");
  }
}

const same = <T>(value: T): T => value;
const conversions: CelFunction[] = [
  global("int", [INT], INT, same),
  global("int", [UINT], INT, (u: Uint) => int(u.value)),
  global("int", [DOUBLE], INT, toInt),
  global("int", [STRING], INT, (s: string) => int(BigInt(textToNumber(s, "int", /^[+-]?\d+$/)))),
  global("int", [TIMESTAMP], INT, (t: Timestamp) => t.nanos / 1_000_000_000n),
  global("int", [DURATION], INT, (d: Duration) => d.nanos),
  global("uint", [UINT], UINT, same),
  global("uint", [INT], UINT, (n: bigint) => new Uint(n)),
  global("uint", [DOUBLE], UINT, (n: number) => {
    if (!Number.isFinite(n)) throw range("unsigned integer");
    return new Uint(BigInt(Math.trunc(n)));
  }),
  global("uint", [STRING], UINT, (s: string) => new Uint(BigInt(textToNumber(s, "uint", /^\d+$/)))),
  global("double", [DOUBLE], DOUBLE, same),
  global("double", [INT], DOUBLE, (n: bigint) => Number(n)),
  global("double", [UINT], DOUBLE, (u: Uint) => Number(u.value)),
  global("double", [STRING], DOUBLE, (s: string) =>
    Number(textToNumber(s, "double", /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/)),
  ),
  global("string", [STRING], STRING, same),
  global("string", [BOOL], STRING, String),
  global("string", [INT], STRING, String),
  global("string", [UINT], STRING, (u: Uint) => String(u.value)),
  global("string", [DOUBLE], STRING, doubleText),
  global("string", [BYTES], STRING, utf8, ([b]) => walk(sizeOf(b))),
  global("string", [TIMESTAMP], STRING, timestampText),
  global("string", [DURATION], STRING, durationText),
  global("bytes", [BYTES], BYTES, same),
  global(
    "bytes",
    [STRING],
    BYTES,
    (s: string) => Uint8Array.from(Buffer.from(s)),
    ([s]) => walk(sizeOf(s)),
  ),
  global("bool", [BOOL], BOOL, same),
  global("bool", [STRING], BOOL, toBool),
  global("timestamp", [TIMESTAMP], TIMESTAMP, same),
  global("timestamp", [STRING], TIMESTAMP, parseTimestamp),
  global("timestamp", [INT], TIMESTAMP, (n: bigint) => new Timestamp(n * 1_000_000_000n)),
  global("duration", [DURATION], DURATION, same),
  global("duration", [STRING], DURATION, parseDuration),
  global("duration", [INT], DURATION, (n: bigint) => new Duration(n)),
  global("dyn", [A], DYN, same),
  global("type", [A], TYPE, (value: unknown) => new TypeValue(typeNameOf(value))),
];

const DAY_MS = 86_400_000;
const PARTS: Record<string, (date: Date) => number> = {
  getFullYear: (d) => d.getUTCFullYear(),
  getMonth: (d) => d.getUTCMonth(),
  getDayOfYear: (d) => Math.floor((d.getTime() - Date.UTC(d.getUTCFullYear(), 0, 1)) / DAY_MS),
  getDayOfMonth: (d) => d.getUTCDate() - 1,
  getDate: (d) => d.getUTCDate(),
  getDayOfWeek: (d) => d.getUTCDay(),
  getHours: (d) => d.getUTCHours(),
  getMinutes: (d) => d.getUTCMinutes(),
  getSeconds: (d) => d.getUTCSeconds(),
  getMilliseconds: (d) => d.getUTCMilliseconds(),
};

const times: CelFunction[] = [
  ...Object.entries(PARTS).flatMap(([name, part]) => [
    method(name, [TIMESTAMP], INT, (t: Timestamp) => BigInt(part(partsIn(t, "UTC")))),
    method(name, [TIMESTAMP, STRING], INT, (t: Timestamp, zone: string) => BigInt(part(partsIn(t, zone)))),
  ]),
  method("getHours", [DURATION], INT, (d: Duration) => d.nanos / 3_600_000_000_000n),
  method("getMinutes", [DURATION], INT, (d: Duration) => d.nanos / 60_000_000_000n),
  method("getSeconds", [DURATION], INT, (d: Duration) => d.nanos / 1_000_000_000n),
  method("getMilliseconds", [DURATION], INT, (d: Duration) => (d.nanos / 1_000_000n) % 1000n),
];

const textCost = ([text, part]: readonly unknown[]) => walk(sizeOf(text)) * Math.max(1, walk(sizeOf(part)));
const matchCost = ([text, pattern]: readonly unknown[]) =>
  Math.ceil((1 + sizeOf(text)) * 0.1) * Math.ceil(sizeOf(pattern) * 0.25);

const texts: CelFunction[] = [
  method("contains", [STRING, STRING], BOOL, (a: string, b: string) => a.includes(b), textCost),
  method(
    "startsWith",
    [STRING, STRING],
    BOOL,
    (a: string, b: string) => a.startsWith(b),
    ([, b]) => walk(sizeOf(b)),
  ),
  method(
    "endsWith",
    [STRING, STRING],
    BOOL,
    (a: string, b: string) => a.endsWith(b),
    ([, b]) => walk(sizeOf(b)),
  ),
  method("matches", [STRING, STRING], BOOL, (a: string, b: string) => matches(b, a), matchCost),
  global("matches", [STRING, STRING], BOOL, (a: string, b: string) => matches(b, a), matchCost),
];

const present = (o: Optional): unknown => {
  if (!o.present) throw new CelError("optional.none() dereference");
  return o.value;
};

const isZero = (value: unknown): boolean =>
  value === null ||
  value === false ||
  value === "" ||
  equal(value, 0n) ||
  (typeof value === "object" && sizeOf(value) === 0);

const unwrapped = (list: readonly Optional[]) => list.flatMap((o) => (o.present ? [o.value] : []));

const optionals: CelFunction[] = [
  global("optional.of", [A], optionalOf(A), (value: unknown) => Optional.of(value)),
  global("optional.none", [], optionalOf(A), () => Optional.none),
  global("optional.ofNonZeroValue", [A], optionalOf(A), (value: unknown) =>
    isZero(value) ? Optional.none : Optional.of(value),
  ),
  global("optional.unwrap", [listOf(optionalOf(A))], listOf(A), unwrapped),
  method("unwrapOpt", [listOf(optionalOf(A))], listOf(A), unwrapped),
  method("hasValue", [optionalOf(A)], BOOL, (o: Optional) => o.present),
  method("value", [optionalOf(A)], A, present),
  method("or", [optionalOf(A), optionalOf(A)], optionalOf(A), (a: Optional, b: Optional) => (a.present ? a : b)),
  method("orValue", [optionalOf(A), A], A, (o: Optional, other: unknown) => (o.present ? o.value : other)),
];

export const standard: readonly CelFunction[] = [
  ...operators,
  ...sizes,
  ...conversions,
  ...times,
  ...texts,
  ...optionals,
];
