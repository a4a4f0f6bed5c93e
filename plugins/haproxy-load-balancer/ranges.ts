/** Addresses of both families, and small ranges of them. Pure. */

export type Family = "IPv4" | "IPv6";

/** Of what is known to be an address or a range. */
export const familyOf = (text: string): Family => (text.includes(":") ? "IPv6" : "IPv4");

const V4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const GROUPS = 8;

/** Undefined for what is no address. */
function numberOf(address: string): bigint | undefined {
  if (V4.test(address)) {
    const parts = address.split(".").map(Number);
    return parts.every((part) => part < 256) ? parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n) : undefined;
  }
  const [head = "", tail, ...more] = address.split("::");
  const groups = (text: string | undefined) => (text ? text.split(":") : []);
  const [left, right] = [groups(head), groups(tail)];
  const missing = GROUPS - left.length - right.length;
  if (more.length > 0 || (tail === undefined ? missing !== 0 : missing < 1)) return undefined;
  const all = [...left, ...new Array<string>(tail === undefined ? 0 : missing).fill("0"), ...right];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return all.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
}

/** RFC 5952: the longest run of zeros is left out. */
function textOf(value: bigint, family: Family): string {
  if (family === "IPv4") return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join(".");
  const all = Array.from({ length: GROUPS }, (_, i) =>
    ((value >> BigInt(16 * (GROUPS - 1 - i))) & 65535n).toString(16),
  );
  const runs = [...all.join(":").matchAll(/(?<![0-9a-f])0(:0)+(?![0-9a-f])/g)].map(([run]) => run);
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), "");
  if (longest === "") return all.join(":");
  const text = all.join(":");
  const at = text.search(new RegExp(`(?<![0-9a-f])${longest}(?![0-9a-f])`));
  return `${text.slice(0, at).replace(/:$/, "")}::${text.slice(at + longest.length).replace(/^:/, "")}`;
}

export const isAddress = (text: string, family: Family): boolean =>
  familyOf(text) === family && numberOf(text) !== undefined;

export function isRange(text: string, family: Family): boolean {
  const [address = "", prefix = ""] = text.split("/");
  return isAddress(address, family) && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bitsOf(family);
}

const bitsOf = (family: Family): number => (family === "IPv4" ? 32 : 128);

/** Bits of a range that are its addresses', at most: all are counted out. */
const HOST_BITS_MAX = 16;

/** All addresses of a range, without its first and last where it has more than two. Undefined for what is none, or too large. */
export function addressesIn(range: string): string[] | undefined {
  const family = familyOf(range);
  const [address = "", prefix = ""] = range.split("/");
  const hostBits = bitsOf(family) - Number(prefix);
  const value = numberOf(address);
  if (value === undefined || !/^\d{1,3}$/.test(prefix) || hostBits < 0 || hostBits > HOST_BITS_MAX) return undefined;
  const base = (value >> BigInt(hostBits)) << BigInt(hostBits);
  const all = Array.from({ length: 2 ** hostBits }, (_, i) => textOf(base + BigInt(i), family));
  return all.length > 2 ? all.slice(1, -1) : all;
}
