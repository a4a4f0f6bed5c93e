/** Leaf values whose JSON form Go's types check and rewrite: times, base64, quantities. */
import { canonicalQuantity } from "#sdk/api/quantity.ts";

/** A decoding error that ends the decoding at once, as an error from a Go UnmarshalJSON does. */
export class DecodeError extends Error {}

/** RFC 3339 by the parts of Go's layout: what each is read by, and within which numbers it lies. */
const TIME_PARTS: readonly [element: string, pattern: RegExp, range?: readonly [string, number, number]][] = [
  ["2006", /^\d{4}/],
  ["-", /^-/],
  ["01", /^\d\d/, ["month", 1, 12]],
  ["-", /^-/],
  ["02", /^\d\d/, ["day", 1, 31]],
  ["T", /^T/],
  ["15", /^\d\d/, ["hour", 0, 23]],
  [":", /^:/],
  ["04", /^\d\d/, ["minute", 0, 59]],
  [":", /^:/],
  ["05", /^\d\d/, ["second", 0, 59]],
];
const ZONE = ["Z07:00", /^(Z|[+-]\d\d:\d\d)/] as const;
/** A MicroTime has six places, a Time any number of them or none. */
const MICROSECONDS = [".000000", /^[.,]\d{6}/] as const;
const FRACTION = /^[.,]\d+/;

/** RFC 3339 in, UTC out: whole seconds, or six places for a MicroTime. Throws DecodeError in the words of Go's time package. */
export function canonicalTime(text: string, micro: boolean): string {
  const layout = micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00";
  const wrong = (why: string) => new DecodeError(`parsing time ${JSON.stringify(text)}${why}`);
  let rest = text;
  const take = (element: string, pattern: RegExp): string => {
    const found = pattern.exec(rest)?.[0];
    if (found === undefined)
      throw wrong(` as ${JSON.stringify(layout)}: cannot parse ${JSON.stringify(rest)} as ${JSON.stringify(element)}`);
    rest = rest.slice(found.length);
    return found;
  };
  for (const [element, pattern, range] of TIME_PARTS) {
    const found = Number(take(element, pattern));
    if (range && (found < range[1] || found > range[2])) throw wrong(`: ${range[0]} out of range`);
  }
  const fraction = micro ? take(...MICROSECONDS) : (FRACTION.exec(rest)?.[0] ?? "");
  if (!micro) rest = rest.slice(fraction.length);
  const zone = take(...ZONE);
  if (rest !== "") throw wrong(`: extra text: ${JSON.stringify(rest)}`);
  const written = `${text.slice(0, 19)}${zone}`;
  const milliseconds = Date.parse(written);
  const day = new Date(Date.parse(`${text.slice(0, 10)}T00:00:00Z`));
  if (Number.isNaN(milliseconds) || day.getUTCDate() !== Number(text.slice(8, 10))) throw wrong(": day out of range");
  const seconds = new Date(milliseconds).toISOString().slice(0, 19);
  return micro ? `${seconds}.${fraction.slice(1)}Z` : `${seconds}Z`;
}

/** Go's base64.StdEncoding: padded, line breaks ignored. */
export function checkBase64(text: string): string {
  const plain = /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, "") : text;
  if (plain.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(plain)) return plain;
  const wrong = /[^A-Za-z0-9+/]/.exec(text);
  const paddingOnly = wrong?.[0] === "=" && /^={0,2}$/.test(text.slice(wrong.index)) && text.length % 4 === 0;
  const at = wrong && !paddingOnly ? wrong.index : text.length - (text.length % 4);
  throw new DecodeError(`illegal base64 data at input byte ${at}`);
}

export function checkQuantity(value: string | number): string {
  try {
    return canonicalQuantity(value);
  } catch (error) {
    throw new DecodeError((error as Error).message);
  }
}
