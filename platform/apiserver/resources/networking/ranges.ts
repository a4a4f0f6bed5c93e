/** Ranges of addresses in both families. */
import { isIP, isIPv4 } from "node:net";

export interface Range {
  family: 4 | 6;
  /** Of the first address of the range. */
  base: bigint;
  bits: number;
  /** The text is what the range is written like: no bits beyond the mask, no spare zeros. */
  canonical: boolean;
}

function ipv4(text: string): bigint {
  return text.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
}

function ipv6(text: string): bigint {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const plain = dotted
    ? `${dotted[1]}${(ipv4(dotted[2] ?? "") >> 16n).toString(16)}:${(ipv4(dotted[2] ?? "") & 0xffffn).toString(16)}`
    : text;
  const [head = "", tail] = plain.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = !tail ? [] : tail.split(":");
  const middle = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...middle, ...right].reduce((sum, part) => sum * 65536n + BigInt(`0x${part}`), 0n);
}

export const addressValue = (address: string): bigint => (isIPv4(address) ? ipv4(address) : ipv6(address));

export function parseRange(text: string): Range | undefined {
  const slash = text.lastIndexOf("/");
  const [address, length] = [text.slice(0, slash), text.slice(slash + 1)];
  const family = slash < 0 ? 0 : isIP(address);
  if (family !== 4 && family !== 6) return undefined;
  const size = family === 4 ? 32 : 128;
  if (address.includes("%") || !/^\d{1,3}$/.test(length) || Number(length) > size) return undefined;
  const rest = BigInt(size - Number(length));
  const value = addressValue(address);
  const base = (value >> rest) << rest;
  return { family, base, bits: Number(length), canonical: base === value && String(Number(length)) === length };
}

export function containsRange(outer: Range, inner: Range): boolean {
  if (outer.family !== inner.family) return false;
  const rest = BigInt((outer.family === 4 ? 32 : 128) - outer.bits);
  return inner.base >> rest === outer.base >> rest;
}
