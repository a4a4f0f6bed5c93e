/** How each address family is written in nftables, and by the programs beside it. */
import { type Family, rangeFamily } from "#platform/rules/ranges.ts";

export interface FamilyWords {
  family: Family;
  /** Of tables, header fields (`ip saddr`) and `dnat ip to`. */
  ip: "ip" | "ip6";
  /** Of sets' keys. */
  type: "ipv4_addr" | "ipv6_addr";
  loopback: string;
  multicast: string;
  /** Option of the program `ip`. */
  option: "-4" | "-6";
  /** conntrack's name of it. */
  conntrack: "ipv4" | "ipv6";
  slices: "IPv4" | "IPv6";
}

const IPV4: FamilyWords = {
  family: "IPv4",
  ip: "ip",
  type: "ipv4_addr",
  loopback: "127.0.0.0/8",
  multicast: "224.0.0.0/4",
  option: "-4",
  conntrack: "ipv4",
  slices: "IPv4",
};
const IPV6: FamilyWords = {
  family: "IPv6",
  ip: "ip6",
  type: "ipv6_addr",
  loopback: "::1",
  multicast: "ff00::/8",
  option: "-6",
  conntrack: "ipv6",
  slices: "IPv6",
};

export const wordsOf = (family: Family): FamilyWords => (family === "IPv4" ? IPV4 : IPV6);
/** By a range of it. */
export const wordsFor = (cidr: string): FamilyWords => wordsOf(rangeFamily(cidr));

/** An address and a port as one text: "10.0.0.1:80", "[fd00::1]:80". */
export const withPort = (address: string, port: number): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

/** The reverse of withPort. */
export function splitPort(text: string): [address: string, port: string] {
  const at = text.lastIndexOf(":");
  return [text.slice(0, at).replace(/^\[|\]$/g, ""), text.slice(at + 1)];
}

/** An address as a part of a chain's or set's name. */
export const inName = (address: string): string => address.replaceAll(":", "_");
