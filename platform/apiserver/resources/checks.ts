/** Small checks that many kinds share. Each answers with causes; a strategy's rules are lists of them. */
import { isDNS1123Subdomain, isPathSegmentName, isQualifiedName } from "#sdk/api/names.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import { type Causes, invalidValue, notSupported, required } from "../registry/causes.ts";
import { sorted } from "../registry/meta.ts";

/** One cause for each message of a format. */
export const each = (messages: readonly string[], field: string, value: unknown): Causes =>
  messages.map((m) => invalidValue(field, value, m));

export const atLeast = (value: number | undefined, least: number, field: string): Causes =>
  value !== undefined && value < least ? [invalidValue(field, value, `must be greater than or equal to ${least}`)] : [];

export const nonNegative = (value: number | undefined, field: string): Causes => atLeast(value, 0, field);

/** One of the values, or absent. */
export const oneOf = (value: string | undefined, field: string, supported: readonly string[]): Causes =>
  value === undefined || supported.includes(value) ? [] : [notSupported(field, value, supported)];

/** One of the values; absent and empty are answered as missing. */
export const chosen = (value: string | undefined, field: string, supported: readonly string[]): Causes =>
  value ? oneOf(value, field, supported) : [required(field)];

export const subdomain = (value: string | undefined, field: string): Causes =>
  each(isDNS1123Subdomain(value ?? ""), field, value ?? "");

/** A value that names something by one path segment. */
export const segment = (value: string | undefined, field: string): Causes =>
  value ? each(isPathSegmentName(value), field, value) : [required(field)];

/** The name of a driver or provisioner: a qualified name in any case. */
export const qualified = (value: string | undefined, field: string): Causes =>
  value ? each(isQualifiedName(value.toLowerCase()), field, value.toLowerCase()) : [required(field)];

export const nonNegativeQuantity = (value: string | number | undefined, field: string): Causes =>
  value !== undefined && parseQuantity(value).nano < 0n
    ? [invalidValue(field, String(value), "must be greater than or equal to 0")]
    : [];

/** Equal as JSON; to Go an absent list is an empty one. */
export const same = (a: unknown, b: unknown): boolean =>
  JSON.stringify(sorted(bare(a)) ?? null) === JSON.stringify(sorted(bare(b)) ?? null);

function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(bare);
  if (value === null || typeof value !== "object") return value ?? undefined;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, bare(v)]));
}

/** What was chosen at creation stays. */
export const immutable = (field: string, next: unknown, old: unknown): Causes =>
  same(next, old) ? [] : [invalidValue(field, next ?? null, "field is immutable")];
