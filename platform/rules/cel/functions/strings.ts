/** cel-go's string extension (version 2, with format and quote). */
import { CelError } from "../errors.ts";
import { durationText, timestampText } from "../time.ts";
import { DYN, INT, listOf, STRING } from "../types.ts";
import { Duration, kindOf, ObjectValue, OpaqueValue, sizeOf, Timestamp, TypeValue, Uint } from "../values.ts";
import { type CelFunction, global, method, walk } from "./function.ts";

const walked: CelFunction["cost"] = ([text]) => walk(sizeOf(text));
const twice: CelFunction["cost"] = ([text]) => 2 * walk(sizeOf(text));

/** Positions count characters, not UTF-16 units. */
const chars = (text: string): string[] => [...text];

const outOf = (index: bigint) => new CelError(`index out of range: ${index}`);

function charAt(text: string, index: bigint): string {
  const all = chars(text);
  if (index < 0n || index > BigInt(all.length)) throw outOf(index);
  return all[Number(index)] ?? "";
}

function indexOf(text: string, part: string, offset: bigint): bigint {
  const [all, wanted] = [chars(text), chars(part)];
  if (offset < 0n) throw outOf(offset);
  if (wanted.length === 0) return offset;
  for (let i = Number(offset); i + wanted.length <= all.length; i++) {
    if (wanted.every((c, k) => all[i + k] === c)) return BigInt(i);
  }
  return -1n;
}

function lastIndexOf(text: string, part: string, offset: bigint | undefined): bigint {
  const [all, wanted] = [chars(text), chars(part)];
  if (offset !== undefined && (offset < 0n || offset >= BigInt(Math.max(1, all.length)))) throw outOf(offset);
  if (wanted.length === 0) return offset ?? BigInt(all.length);
  const from = Math.min(all.length - wanted.length, offset === undefined ? all.length : Number(offset));
  for (let i = from; i >= 0; i--) if (wanted.every((c, k) => all[i + k] === c)) return BigInt(i);
  return -1n;
}

function substring(text: string, start: bigint, end: bigint | undefined): string {
  const all = chars(text);
  const stop = end ?? BigInt(all.length);
  if (start < 0n || start > BigInt(all.length)) throw outOf(start);
  if (stop < 0n || stop > BigInt(all.length)) throw outOf(stop);
  if (start > stop) throw new CelError(`invalid substring range. start: ${start}, end: ${stop}`);
  return all.slice(Number(start), Number(stop)).join("");
}

function replace(text: string, from: string, to: string, limit: bigint): string {
  if (limit < 0n) return text.replaceAll(from, () => to);
  let out = text;
  let at = 0;
  for (let n = 0n; n < limit; n++) {
    const found = out.indexOf(from, at);
    if (found < 0) break;
    out = out.slice(0, found) + to + out.slice(found + from.length);
    at = found + to.length + (from === "" ? 1 : 0);
  }
  return out;
}

function split(text: string, separator: string, limit: bigint): string[] {
  if (limit === 0n) return [];
  const parts = separator === "" ? chars(text) : text.split(separator);
  if (limit < 0n || BigInt(parts.length) <= limit) return parts;
  const kept = Number(limit) - 1;
  return [...parts.slice(0, kept), parts.slice(kept).join(separator)];
}

const ascii = (text: string, lower: boolean) =>
  text.replace(lower ? /[A-Z]+/g : /[a-z]+/g, (run) => (lower ? run.toLowerCase() : run.toUpperCase()));

const QUOTED: Record<string, string> = {
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

/** The value in the words of "%s". */
function shown(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "number")
    return Number.isFinite(value) ? String(value) : value > 0 ? "Infinity" : Number.isNaN(value) ? "NaN" : "-Infinity";
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Timestamp) return timestampText(value);
  if (value instanceof Duration) return durationText(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8");
  if (value instanceof TypeValue) return value.name;
  if (value instanceof OpaqueValue) return value.toString();
  if (Array.isArray(value)) return `[${value.map(shown).join(", ")}]`;
  const entries = value instanceof Map ? [...value] : value instanceof ObjectValue ? [...value.fields] : undefined;
  if (!entries) return String(value);
  const texts = entries.map(([k, v]): [string, string] => [shown(k), shown(v)]).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${texts.map(([k, v]) => `${k}: ${v}`).join(", ")}}`;
}

const wrong = (verb: string, value: unknown) =>
  new CelError(`error during formatting: %${verb} cannot take a value of type ${kindOf(value)}`);
const whole = (value: unknown): bigint | undefined =>
  typeof value === "bigint" ? value : value instanceof Uint ? value.value : undefined;

function hex(value: unknown, verb: string): string {
  const n = whole(value);
  const bytes =
    typeof value === "string" ? Buffer.from(value) : value instanceof Uint8Array ? Buffer.from(value) : undefined;
  if (n === undefined && !bytes) throw wrong(verb, value);
  const text = n === undefined ? (bytes?.toString("hex") ?? "") : n.toString(16);
  return verb === "X" ? text.toUpperCase() : text;
}

function verb(letter: string, precision: number | undefined, value: unknown): string {
  const n = whole(value);
  switch (letter) {
    case "s":
      return shown(value);
    case "d":
      if (n === undefined) throw wrong("d", value);
      return n.toString();
    case "f":
    case "e": {
      const number = typeof value === "number" ? value : n === undefined ? Number(value) : Number(n);
      if (Number.isNaN(number) && value !== "NaN") throw wrong(letter, value);
      if (letter === "f") return number.toFixed(precision ?? 6);
      return number.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, "e$10$2");
    }
    case "b":
      if (typeof value === "boolean") return value ? "1" : "0";
      if (n === undefined) throw wrong("b", value);
      return n.toString(2);
    case "o":
      if (n === undefined) throw wrong("o", value);
      return n.toString(8);
    case "x":
    case "X":
      return hex(value, letter);
    default:
      throw new CelError(`could not parse formatting clause: unrecognized formatting clause "${letter}"`);
  }
}

export function format(text: string, args: readonly unknown[]): string {
  let next = 0;
  return text.replace(/%%|%(?:\.(\d+))?(.?)/gs, (clause, precision: string | undefined, letter: string) => {
    if (clause === "%%") return "%";
    if (letter === "") throw new CelError("unexpected end of string");
    if (next >= args.length) throw new CelError(`index ${next} out of range`);
    return verb(letter, precision === undefined ? undefined : Math.min(100, Number(precision)), args[next++]);
  });
}

export const strings: readonly CelFunction[] = [
  method("charAt", [STRING, INT], STRING, charAt, walked),
  method("indexOf", [STRING, STRING], INT, (a: string, b: string) => indexOf(a, b, 0n), walked),
  method("indexOf", [STRING, STRING, INT], INT, indexOf, walked),
  method("lastIndexOf", [STRING, STRING], INT, (a: string, b: string) => lastIndexOf(a, b, undefined), walked),
  method("lastIndexOf", [STRING, STRING, INT], INT, lastIndexOf, walked),
  method("substring", [STRING, INT], STRING, (a: string, start: bigint) => substring(a, start, undefined), walked),
  method("substring", [STRING, INT, INT], STRING, substring, walked),
  method(
    "replace",
    [STRING, STRING, STRING],
    STRING,
    (a: string, b: string, c: string) => replace(a, b, c, -1n),
    twice,
  ),
  method("replace", [STRING, STRING, STRING, INT], STRING, replace, twice),
  method("split", [STRING, STRING], listOf(STRING), (a: string, b: string) => split(a, b, -1n), twice),
  method("split", [STRING, STRING, INT], listOf(STRING), split, twice),
  method("lowerAscii", [STRING], STRING, (a: string) => ascii(a, true), walked),
  method("upperAscii", [STRING], STRING, (a: string) => ascii(a, false), walked),
  method("trim", [STRING], STRING, (a: string) => a.trim(), walked),
  method("join", [listOf(STRING)], STRING, (a: string[]) => a.join(""), twice),
  method("join", [listOf(STRING), STRING], STRING, (a: string[], b: string) => a.join(b), twice),
  method("format", [STRING, listOf(DYN)], STRING, format, twice),
  global(
    "strings.quote",
    [STRING],
    STRING,
    (a: string) =>
      `"${chars(a)
        .map((c) => QUOTED[c] ?? c)
        .join("")}"`,
    walked,
  ),
];
