/** Kubernetes' list functions, cel-go's list extension and its sets. */
import { CelError } from "../errors.ts";
import { BOOL, DOUBLE, DURATION, INT, listOf, optionalOf, parameter, UINT } from "../types.ts";
import { compare, Duration, equal, Optional, sizeOf, Uint } from "../values.ts";
import { type CelFunction, global, method } from "./function.ts";

const A = parameter("A");
const LIST = listOf(A);
const each: CelFunction["cost"] = ([list]) => Math.max(1, sizeOf(list));
const product: CelFunction["cost"] = ([a, b]) => Math.max(1, sizeOf(a) * sizeOf(b));

function order(a: unknown, b: unknown): number {
  const result = compare(a, b);
  if (result === undefined) throw new CelError("no such overload");
  return result;
}

function extreme(list: readonly unknown[], sign: number, name: string): unknown {
  if (list.length === 0) throw new CelError(`${name} called on empty list`);
  return list.reduce((best, item) => (order(item, best) * sign > 0 ? item : best));
}

const has = (list: readonly unknown[], item: unknown) => list.some((other) => equal(item, other));

function flatten(list: readonly unknown[], depth: bigint): unknown[] {
  if (depth < 0n) throw new CelError("level must be non-negative");
  return list.flatMap((item) =>
    Array.isArray(item) ? (depth > 1n ? flatten(item, depth - 1n) : depth === 1n ? item : [item]) : [item],
  );
}

function slice(list: readonly unknown[], start: bigint, end: bigint): unknown[] {
  if (start < 0n || end < 0n || start > end || end > BigInt(list.length)) {
    throw new CelError(`cannot slice(${start}, ${end}), list is length ${list.length}`);
  }
  return list.slice(Number(start), Number(end));
}

const RANGE_MAX = 100_000n;
function range(n: bigint): bigint[] {
  if (n > RANGE_MAX) throw new CelError(`range is limited to ${RANGE_MAX} elements`);
  return Array.from({ length: Math.max(0, Number(n)) }, (_, i) => BigInt(i));
}

const sum = <T>(items: readonly T[], start: T, add: (a: T, b: T) => T): T => items.reduce(add, start);

export const lists: readonly CelFunction[] = [
  method("isSorted", [LIST], BOOL, (l: unknown[]) => l.every((v, i) => i === 0 || order(l[i - 1], v) <= 0), each),
  method("sum", [listOf(INT)], INT, (l: bigint[]) => sum(l, 0n, (a, b) => a + b), each),
  method("sum", [listOf(UINT)], UINT, (l: Uint[]) => sum(l, new Uint(0n), (a, b) => new Uint(a.value + b.value)), each),
  method("sum", [listOf(DOUBLE)], DOUBLE, (l: number[]) => sum(l, 0, (a, b) => a + b), each),
  method(
    "sum",
    [listOf(DURATION)],
    DURATION,
    (l: Duration[]) => sum(l, new Duration(0n), (a, b) => new Duration(a.nanos + b.nanos)),
    each,
  ),
  method("min", [LIST], A, (l: unknown[]) => extreme(l, -1, "min"), each),
  method("max", [LIST], A, (l: unknown[]) => extreme(l, 1, "max"), each),
  method("indexOf", [LIST, A], INT, (l: unknown[], v: unknown) => BigInt(l.findIndex((x) => equal(x, v))), each),
  method(
    "lastIndexOf",
    [LIST, A],
    INT,
    (l: unknown[], v: unknown) => BigInt(l.findLastIndex((x) => equal(x, v))),
    each,
  ),
  method(
    "distinct",
    [LIST],
    LIST,
    (l: unknown[]) => l.filter((v, i) => l.findIndex((x) => equal(x, v)) === i),
    product,
  ),
  method("flatten", [listOf(LIST)], LIST, (l: unknown[]) => flatten(l, 1n), each),
  method("flatten", [LIST, INT], LIST, flatten, each),
  method("reverse", [LIST], LIST, (l: unknown[]) => [...l].reverse(), each),
  method("slice", [LIST, INT, INT], LIST, slice, each),
  method("sort", [LIST], LIST, (l: unknown[]) => [...l].sort(order), product),
  method("first", [LIST], optionalOf(A), (l: unknown[]) => (l.length ? Optional.of(l[0]) : Optional.none)),
  method("last", [LIST], optionalOf(A), (l: unknown[]) => (l.length ? Optional.of(l.at(-1)) : Optional.none)),
  global("lists.range", [INT], listOf(INT), range, (_, r) => Math.max(1, sizeOf(r))),
  global("sets.contains", [LIST, LIST], BOOL, (a: unknown[], b: unknown[]) => b.every((x) => has(a, x)), product),
  global("sets.intersects", [LIST, LIST], BOOL, (a: unknown[], b: unknown[]) => b.some((x) => has(a, x)), product),
  global(
    "sets.equivalent",
    [LIST, LIST],
    BOOL,
    (a: unknown[], b: unknown[]) => a.every((x) => has(b, x)) && b.every((x) => has(a, x)),
    product,
  ),
];
