/** Addresses and ranges as fields have them since before they were judged strictly (apimachinery's util/validation/ip.go, ValidateEndpointIP). */
import { isIP } from "node:net";
import { addressValue, parseRange } from "#platform/rules/ranges.ts";
import { type Causes, invalidValue } from "../registry/causes.ts";

export const NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
export const NOT_A_RANGE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/** Zeros before a part of an IPv4 address have meant octal numbers to some. */
const withoutZeros = (text: string): string => (/^\d+(\.\d+){3}$/.test(text) ? text.replace(/\b0+(?=\d)/g, "") : text);

/** 4 or 6, with zeros overlooked; 0 for what is no address. */
function familyOf(text: string): number {
  return text.includes("%") ? 0 : isIP(withoutZeros(text));
}

export const isIPv4 = (text: string): boolean => familyOf(text) === 4;
export const isIPv6 = (text: string): boolean => familyOf(text) === 6;

const MAPPED = 0xffffn << 32n;
const isMapped = (text: string): boolean => isIPv6(text) && addressValue(text) >> 32n === MAPPED >> 32n;

/** `old`: what the field had before stays, whatever is asked of new values. */
export function validateIP(text: string, field: string, old: readonly string[] = []): Causes {
  if (old.includes(text)) return [];
  if (familyOf(text) === 0) return [invalidValue(field, text, NOT_AN_ADDRESS)];
  if (isIP(text) === 0) return [invalidValue(field, text, "must not have leading 0s")];
  return isMapped(text) ? [invalidValue(field, text, "must not be an IPv4-mapped IPv6 address")] : [];
}

/** How the address is written by those who agree on it (RFC 5952). */
const canonical = (text: string): string =>
  isIP(text) === 6 ? new URL(`http://[${text}]/`).hostname.slice(1, -1) : text;

/** As new fields ask for it: in one way only. */
export function validateCanonicalIP(text: string, field: string): Causes {
  const causes = validateIP(text, field);
  if (causes.length > 0 || canonical(text) === text) return causes;
  return [invalidValue(field, text, `must be in canonical form (${JSON.stringify(canonical(text))})`)];
}

export function validateCIDR(text: string, field: string, old: readonly string[] = []): Causes {
  if (old.includes(text)) return [];
  const slash = text.lastIndexOf("/");
  const [address, length] = [text.slice(0, slash), text.slice(slash + 1)];
  const plain = `${withoutZeros(address)}/${length.replace(/^0+(?=\d)/, "")}`;
  const range = slash < 0 ? undefined : parseRange(plain);
  if (!range) return [invalidValue(field, text, NOT_A_RANGE)];
  if (plain !== text) return [invalidValue(field, text, "must not have leading 0s in IP or prefix length")];
  if (isMapped(address)) return [invalidValue(field, text, "must not have an IPv4-mapped IPv6 address")];
  return range.base === addressValue(address)
    ? []
    : [invalidValue(field, text, "must not have bits set beyond the prefix length")];
}

const within = (text: string, range: string): boolean => {
  const outer = parseRange(range);
  if (outer?.family !== familyOf(text)) return false;
  const rest = BigInt((outer.family === 4 ? 32 : 128) - outer.bits);
  return addressValue(withoutZeros(text)) >> rest === outer.base >> rest;
};
const isIn = (text: string, ranges: readonly string[]): boolean => ranges.some((range) => within(text, range));

/** Addresses that would reach what the sender's host keeps to itself. */
export function validateEndpointIP(text: string, field: string): Causes {
  if (familyOf(text) === 0) return [invalidValue(field, text, "must be a valid IP address")];
  const refused = (detail: string) => [invalidValue(field, text, detail)];
  if (isIn(text, ["0.0.0.0/32", "::/128"])) return refused(`may not be unspecified (${text})`);
  if (isIn(text, ["127.0.0.0/8", "::1/128"])) return refused("may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (isIn(text, ["169.254.0.0/16", "fe80::/10"]))
    return refused("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (isIn(text, ["224.0.0.0/24", "ff02::/16"]))
    return refused("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
  return [];
}
