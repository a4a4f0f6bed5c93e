/** Ranges of nodes within the cluster's: /24 of IPv4, /64 of IPv6 (upstream's --node-cidr-mask-size). Pure. */
import { addressBits, nthAddress, parseRange, type Range, rangeSize } from "#platform/rules/ranges.ts";

const NODE_BITS = { 4: 24, 6: 64 } as const;

const overlap = (a: Range, b: Range): boolean =>
  a.family === b.family && a.base < b.base + rangeSize(b) && b.base < a.base + rangeSize(a);

/**
 * The last range of a node's size in `cluster` that overlaps none of `taken`; undefined when all are. From the end, because the nodes of the
 * control plane's machine count their own from the beginning, and may become more.
 */
export function freeNodeRange(cluster: string, taken: readonly string[]): string | undefined {
  const whole = parseRange(cluster);
  if (!whole) return undefined;
  const bits = NODE_BITS[whole.family];
  const size = 1n << BigInt(addressBits(whole.family) - bits);
  const used = taken.flatMap((one) => parseRange(one) ?? []).filter(({ family }) => family === whole.family);
  // Nodes are many: what is no larger than a node's range is looked up.
  const wide = used.filter((one) => one.bits < bits);
  const bases = new Set(used.map(({ base }) => base - (base % size)));
  for (let first = whole.base + rangeSize(whole) - size; first >= whole.base; first -= size) {
    const range: Range = { family: whole.family, base: first, bits, canonical: true };
    if (!bases.has(first) && !wide.some((one) => overlap(one, range))) return `${nthAddress(range, 0n)}/${bits}`;
  }
  return undefined;
}
