/** Ranges of addresses as the node's network counts them, in both families. */
import { addressBits, addressValue, familyOf, nthAddress, parseRange } from "#platform/rules/ranges.ts";

export interface Cidr {
  family: 4 | 6;
  /** First address of the range. */
  base: bigint;
  /** Prefix length: 0 to 32, or to 128. */
  prefix: number;
}

/** Undefined for what is not a CIDR. Host bits are dropped. */
export function parseCidr(text: string): Cidr | undefined {
  const range = parseRange(text);
  return range && { family: range.family, base: range.base, prefix: range.bits };
}

/** parseCidr for a value that configuration has already promised. */
export function cidrOf(text: string): Cidr {
  const cidr = parseCidr(text);
  if (!cidr) throw new Error(`${JSON.stringify(text)} is not a range of addresses such as 10.244.0.0/16`);
  return cidr;
}

export const cidrText = (cidr: Cidr): string => `${nth(cidr, 0)}/${cidr.prefix}`;
export const sizeOf = ({ family, prefix }: Cidr): bigint => 1n << BigInt(addressBits(family) - prefix);
/** False for what is no address, or one of the other family. */
export function contains(cidr: Cidr, address: string): boolean {
  if (familyOf(address) !== (cidr.family === 4 ? "IPv4" : "IPv6")) return false;
  const value = addressValue(address);
  return value >= cidr.base && value < cidr.base + sizeOf(cidr);
}
export const overlap = (a: Cidr, b: Cidr): boolean =>
  a.family === b.family && a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);

/** The n-th address of a range; the first usable one, which the bridge has, is 1. */
export const nth = ({ family, base, prefix }: Cidr, n: number | bigint): string =>
  nthAddress({ family, base, bits: prefix, canonical: true }, BigInt(n));

/** What a node has of the cluster's range: a /24 of IPv4, a /64 of IPv6. Node `index` of this machine gets the index-th. */
export function podRangeOfNode(podCIDR: string, index: number): string {
  const cidr = cidrOf(podCIDR);
  const prefix = cidr.family === 4 ? 24 : 64;
  return `${nth(cidr, BigInt(index) << BigInt(addressBits(cidr.family) - prefix))}/${prefix}`;
}
