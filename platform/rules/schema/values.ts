/** Leaf values whose JSON form Go's types check and rewrite: times, base64, quantities. */
import { canonicalQuantity } from "#sdk/api/quantity.ts";

/** A decoding error that ends the decoding at once, as an error from a Go UnmarshalJSON does. */
export class DecodeError extends Error {}

const TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)$/;

/** RFC 3339 in, UTC out: whole seconds, or six places for a MicroTime. */
export function canonicalTime(text: string, micro: boolean): string {
  const match = TIME.exec(text);
  const milliseconds = match ? Date.parse(text.replace(",", ".")) : Number.NaN;
  if (!match || Number.isNaN(milliseconds)) {
    const layout = micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00";
    throw new DecodeError(
      `parsing time ${JSON.stringify(text)} as "${layout}": cannot parse ${JSON.stringify(text)} as "2006"`,
    );
  }
  const seconds = new Date(milliseconds).toISOString().slice(0, 19);
  return micro ? `${seconds}.${(match[7] ?? "").padEnd(6, "0").slice(0, 6)}Z` : `${seconds}Z`;
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
