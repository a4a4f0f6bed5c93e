/** Addresses as numbers and ranges of them, in both families: pure. */
import { isIP, isIPv4, isIPv6 } from "node:net";

export type Family = "IPv4" | "IPv6";

/** Undefined for what is no address. */
export const familyOf = (address: string): Family | undefined =>
  isIPv4(address) ? "IPv4" : isIPv6(address) ? "IPv6" : undefined;

/** The family of a range, which is known to be one. */
export const rangeFamily = (cidr: string): Family => (cidr.includes(":") ? "IPv6" : "IPv4");

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

export const addressBits = (family: 4 | 6): number => (family === 4 ? 32 : 128);

/** As Kubernetes writes it: IPv6 by RFC 5952. */
export function addressText(family: 4 | 6, value: bigint): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => (value >> BigInt(112 - 16 * i)) & 0xffffn);
  const [start, length] = longestZeros(groups);
  const text = (part: bigint[]) => part.map((group) => group.toString(16)).join(":");
  return length < 2 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

function longestZeros(groups: readonly bigint[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0n) end++;
    if (end - start > best[1]) best = [start, end - start];
  }
  return best;
}

/** An address as everybody else writes it; what is none stays as it is. */
export function canonicalAddress(address: string): string {
  const family = isIP(address);
  return family === 6 && !address.includes("%") ? addressText(6, addressValue(address)) : address;
}

/** The n-th address of a range. */
export const nthAddress = ({ family, base }: Range, n: bigint): string => addressText(family, base + n);

export const rangeSize = ({ family, bits }: Range): bigint => 1n << BigInt(addressBits(family) - bits);
