/** IPv4 arithmetic: addresses as unsigned 32-bit numbers, ranges as CIDR. */
import { isIPv4 } from "node:net";

export interface Cidr {
  /** First address of the range. */
  base: number;
  /** Prefix length, 0 to 32. */
  prefix: number;
}

export const parseAddress = (text: string): number | undefined =>
  isIPv4(text) ? text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0) : undefined;

export const addressText = (address: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");

/** Undefined for what is not an IPv4 CIDR. Host bits are dropped. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = "", prefixText = "", ...rest] = text.split("/");
  const base = parseAddress(address);
  if (base === undefined || rest.length > 0 || !/^\d{1,2}$/.test(prefixText) || Number(prefixText) > 32)
    return undefined;
  const prefix = Number(prefixText);
  return { base: base - (base % 2 ** (32 - prefix)), prefix };
}

/** parseCidr for a value that configuration has already promised. */
export function cidrOf(text: string): Cidr {
  const cidr = parseCidr(text);
  if (!cidr) throw new Error(`${JSON.stringify(text)} is not an IPv4 range such as 10.244.0.0/16`);
  return cidr;
}

export const cidrText = (cidr: Cidr): string => `${addressText(cidr.base)}/${cidr.prefix}`;
export const sizeOf = (cidr: Cidr): number => 2 ** (32 - cidr.prefix);
export const contains = (cidr: Cidr, address: number): boolean =>
  address >= cidr.base && address < cidr.base + sizeOf(cidr);
export const overlap = (a: Cidr, b: Cidr): boolean => a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);

/** The n-th address of a range; the first usable one, which the bridge has, is 1. */
export const nth = (cidr: Cidr, n: number): string => addressText(cidr.base + n);
