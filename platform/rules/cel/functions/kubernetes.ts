/** Kubernetes' own libraries: quantity, url, regex, semver, format, jsonpatch. */

import { validateLabels } from "#sdk/api/labels.ts";
import { isDNS1035Label, isDNS1123Label, isDNS1123Subdomain, isQualifiedName } from "#sdk/api/names.ts";
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  type Quantity,
  quantityOf,
  subtractQuantities,
} from "#sdk/api/quantity.ts";
import { CelError } from "../errors.ts";
import { findAll } from "../patterns.ts";
import { parseDate, parseTimestamp } from "../time.ts";
import { BOOL, DOUBLE, INT, listOf, mapOf, opaque, optionalOf, STRING } from "../types.ts";
import { OpaqueValue, Optional, sizeOf } from "../values.ts";
import { type CelFunction, global, method, walk } from "./function.ts";

const QUANTITY = opaque("kubernetes.Quantity");
const URL_TYPE = opaque("kubernetes.URL");
const SEMVER = opaque("kubernetes.Semver");
const FORMAT = opaque("kubernetes.NamedFormat");

class Held<T> extends OpaqueValue {
  readonly typeName: string;
  readonly value: T;
  readonly text: (value: T) => string;
  constructor(typeName: string, value: T, text: (value: T) => string) {
    super();
    this.typeName = typeName;
    this.value = value;
    this.text = text;
  }
  equals(other: OpaqueValue): boolean {
    return other.toString() === this.toString();
  }
  toString(): string {
    return this.text(this.value);
  }
}

const walked: CelFunction["cost"] = ([text]) => walk(sizeOf(text));

const parses =
  (parse: (...args: never[]) => unknown) =>
  (...args: never[]) => {
    try {
      parse(...args);
      return true;
    } catch {
      return false;
    }
  };

const BILLION = 1_000_000_000n;

class QuantityValue extends Held<Quantity> {
  constructor(value: Quantity) {
    super("kubernetes.Quantity", value, formatQuantity);
  }
  override equals(other: OpaqueValue): boolean {
    return other instanceof QuantityValue && compareQuantities(this.value, other.value) === 0;
  }
}

export function toQuantity(text: string): QuantityValue {
  try {
    return new QuantityValue(parseQuantity(text));
  } catch (error) {
    throw new CelError(error instanceof Error ? error.message : String(error));
  }
}

const isWhole = (q: QuantityValue): boolean => {
  const value = q.value.nano / BILLION;
  return q.value.nano % BILLION === 0n && value < 2n ** 63n && value >= -(2n ** 63n);
};

function asInteger(q: QuantityValue): bigint {
  if (!isWhole(q)) throw new CelError("cannot convert value to integer");
  return q.value.nano / BILLION;
}

const order = (a: QuantityValue, b: QuantityValue) => compareQuantities(a.value, b.value);

const quantities: CelFunction[] = [
  global("quantity", [STRING], QUANTITY, toQuantity, walked),
  global("isQuantity", [STRING], BOOL, parses(toQuantity), walked),
  method("sign", [QUANTITY], INT, (q: QuantityValue) => (q.value.nano > 0n ? 1n : q.value.nano < 0n ? -1n : 0n)),
  method("isGreaterThan", [QUANTITY, QUANTITY], BOOL, (a: QuantityValue, b: QuantityValue) => order(a, b) > 0),
  method("isLessThan", [QUANTITY, QUANTITY], BOOL, (a: QuantityValue, b: QuantityValue) => order(a, b) < 0),
  method("compareTo", [QUANTITY, QUANTITY], INT, (a: QuantityValue, b: QuantityValue) => BigInt(order(a, b))),
  method("asApproximateFloat", [QUANTITY], DOUBLE, (q: QuantityValue) => Number(q.value.nano) / 1e9),
  method("asInteger", [QUANTITY], INT, asInteger),
  method("isInteger", [QUANTITY], BOOL, isWhole),
  method(
    "add",
    [QUANTITY, QUANTITY],
    QUANTITY,
    (a: QuantityValue, b: QuantityValue) => new QuantityValue(addQuantities(a.value, b.value)),
  ),
  method(
    "add",
    [QUANTITY, INT],
    QUANTITY,
    (a: QuantityValue, n: bigint) => new QuantityValue(addQuantities(a.value, quantityOf(n))),
  ),
  method(
    "sub",
    [QUANTITY, QUANTITY],
    QUANTITY,
    (a: QuantityValue, b: QuantityValue) => new QuantityValue(subtractQuantities(a.value, b.value)),
  ),
  method(
    "sub",
    [QUANTITY, INT],
    QUANTITY,
    (a: QuantityValue, n: bigint) => new QuantityValue(subtractQuantities(a.value, quantityOf(n))),
  ),
];

interface Url {
  text: string;
  scheme: string;
  host: string;
  path: string;
  query: string;
}
const RELATIVE_BASE = "http://x.invalid";

/** Absolute URLs and absolute paths, as Go's ParseRequestURI. */
function toUrl(text: string): Held<Url> {
  const failure = () =>
    new CelError(
      `URL parse error during conversion from string: parse ${JSON.stringify(text)}: invalid URI for request`,
    );
  const relative = text.startsWith("/");
  if ((!relative && !/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text)) || /[\s\p{Cc}]/u.test(text)) throw failure();
  const parts = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?]*)(?:\?(.*))?$/s.exec(text);
  if (!parts) throw failure();
  try {
    new URL(text, relative ? RELATIVE_BASE : undefined);
  } catch {
    throw failure();
  }
  const host = (parts[2] ?? "").replace(/^.*@/, "");
  const url = { text, scheme: parts[1] ?? "", host, path: parts[3] ?? "", query: parts[4] ?? "" };
  return new Held("kubernetes.URL", url, (u) => u.text);
}

function queryOf({ value }: Held<Url>): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const [key, text] of new URLSearchParams(value.query)) out.set(key, [...(out.get(key) ?? []), text]);
  return out;
}

const port = (host: string) => /:(\d*)$/.exec(host)?.[1] ?? "";
const hostname = (host: string) => host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");

const urls: CelFunction[] = [
  global("url", [STRING], URL_TYPE, toUrl, walked),
  global("isURL", [STRING], BOOL, parses(toUrl), walked),
  method("getScheme", [URL_TYPE], STRING, (u: Held<Url>) => u.value.scheme),
  method("getHost", [URL_TYPE], STRING, (u: Held<Url>) => u.value.host),
  method("getHostname", [URL_TYPE], STRING, (u: Held<Url>) => hostname(u.value.host)),
  method("getPort", [URL_TYPE], STRING, (u: Held<Url>) => port(u.value.host)),
  method("getEscapedPath", [URL_TYPE], STRING, (u: Held<Url>) => u.value.path),
  method("getQuery", [URL_TYPE], mapOf(STRING, listOf(STRING)), queryOf),
];

const matchCost = ([text, pattern]: readonly unknown[]) =>
  Math.ceil((1 + sizeOf(text)) * 0.1) * Math.ceil(sizeOf(pattern) * 0.25);
const all = (text: string, pattern: string, limit: bigint) =>
  findAll(pattern, text, limit < 0n ? Number.POSITIVE_INFINITY : Number(limit));

const regex: CelFunction[] = [
  method("find", [STRING, STRING], STRING, (text: string, p: string) => findAll(p, text, 1)[0] ?? "", matchCost),
  method("findAll", [STRING, STRING], listOf(STRING), (text: string, p: string) => all(text, p, -1n), matchCost),
  method("findAll", [STRING, STRING, INT], listOf(STRING), all, matchCost),
];

const SEMVER_TEXT =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$/;
interface Semver {
  text: string;
  numbers: bigint[];
  pre: string[];
}
class SemverValue extends Held<Semver> {
  constructor(value: Semver) {
    super("kubernetes.Semver", value, (v) => v.text);
  }
  override equals(other: OpaqueValue): boolean {
    return other instanceof SemverValue && semverOrder(this, other) === 0;
  }
}

export function toSemver(text: string): SemverValue {
  const match = SEMVER_TEXT.exec(text);
  if (!match) throw new CelError(`No Major.Minor.Patch elements found`);
  const numbers = [match[1], match[2], match[3]].map((n) => BigInt(n ?? 0));
  return new SemverValue({ text, numbers, pre: match[4]?.split(".") ?? [] });
}

/** "v1.0" becomes "1.0.0". */
function normalized(text: string, normalize: boolean): SemverValue {
  if (!normalize) return toSemver(text);
  const match = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(.*)$/.exec(text.trim());
  if (!match) return toSemver(text);
  return toSemver(`${[match[1], match[2], match[3]].map((n) => BigInt(n ?? 0)).join(".")}${match[4]}`);
}

function semverOrder({ value: a }: SemverValue, { value: b }: SemverValue): number {
  const sign = <T>(x: T, y: T) => (x < y ? -1 : x > y ? 1 : 0);
  for (let i = 0; i < 3; i++) {
    const order = sign(a.numbers[i] ?? 0n, b.numbers[i] ?? 0n);
    if (order !== 0) return order;
  }
  if (a.pre.length === 0 || b.pre.length === 0) return sign(b.pre.length, a.pre.length);
  for (let i = 0; i < Math.max(a.pre.length, b.pre.length); i++) {
    const [x, y] = [a.pre[i], b.pre[i]];
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1;
    const [nx, ny] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    const order = nx && ny ? sign(BigInt(x), BigInt(y)) : nx !== ny ? (nx ? -1 : 1) : sign(x, y);
    if (order !== 0) return order;
  }
  return 0;
}

const part = (i: number) => (v: SemverValue) => v.value.numbers[i] ?? 0n;

const semvers: CelFunction[] = [
  global("semver", [STRING], SEMVER, toSemver, walked),
  global("semver", [STRING, BOOL], SEMVER, normalized, walked),
  global("isSemver", [STRING], BOOL, parses(toSemver), walked),
  global("isSemver", [STRING, BOOL], BOOL, parses(normalized), walked),
  method("isGreaterThan", [SEMVER, SEMVER], BOOL, (a: SemverValue, b: SemverValue) => semverOrder(a, b) > 0),
  method("isLessThan", [SEMVER, SEMVER], BOOL, (a: SemverValue, b: SemverValue) => semverOrder(a, b) < 0),
  method("compareTo", [SEMVER, SEMVER], INT, (a: SemverValue, b: SemverValue) => BigInt(semverOrder(a, b))),
  method("major", [SEMVER], INT, part(0)),
  method("minor", [SEMVER], INT, part(1)),
  method("patch", [SEMVER], INT, part(2)),
];

type Check = (text: string) => string[];
const holds =
  (test: (text: string) => boolean, message: string): Check =>
  (text) =>
    test(text) ? [] : [message];
const prefix =
  (check: Check): Check =>
  (text) =>
    check(text.replace(/-$/, "a"));
const isUri = parses(toUrl) as (text: string) => boolean;
const isTime = parses(parseTimestamp) as (text: string) => boolean;
const labelValue: Check = (text) =>
  validateLabels({ x: text }, "").map((cause) => (cause.message ?? "").replace(/^Invalid value: "[^"]*": /, ""));

const FORMATS: Record<string, Check> = {
  dns1123Label: isDNS1123Label,
  dns1123Subdomain: (text) => isDNS1123Subdomain(text),
  dns1035Label: isDNS1035Label,
  qualifiedName: isQualifiedName,
  dns1123LabelPrefix: prefix(isDNS1123Label),
  dns1123SubdomainPrefix: prefix((text) => isDNS1123Subdomain(text)),
  dns1035LabelPrefix: prefix(isDNS1035Label),
  labelValue,
  uri: holds(isUri, "invalid URL"),
  uuid: holds(
    (t) => /^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$/.test(t),
    "does not match the UUID format",
  ),
  byte: holds((t) => t.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(t), "invalid base64"),
  date: holds((t) => parseDate(t) !== undefined, "invalid date"),
  datetime: holds(isTime, "invalid datetime"),
};

const formatValue = (name: string): Held<string> => new Held("kubernetes.NamedFormat", name, (n) => n);

const formats: CelFunction[] = [
  ...Object.keys(FORMATS).map((name) => global(`format.${name}`, [], FORMAT, () => formatValue(name))),
  global("format.named", [STRING], optionalOf(FORMAT), (name: string) =>
    Object.hasOwn(FORMATS, name) ? Optional.of(formatValue(name)) : Optional.none,
  ),
  method(
    "validate",
    [FORMAT, STRING],
    optionalOf(listOf(STRING)),
    (format: Held<string>, text: string) => {
      const errors = FORMATS[format.value]?.(text) ?? [];
      return errors.length > 0 ? Optional.of(errors) : Optional.none;
    },
    ([, text]) => walk(sizeOf(text)),
  ),
];

export const kubernetes: readonly CelFunction[] = [...quantities, ...urls, ...regex, ...semvers, ...formats];
