/** Ranges of nodes within the cluster's: IPv4, /24 each. Pure. */

const NODE_PREFIX = 24;
const NODE_SIZE = 256;

function parse(cidr: string): { first: number; prefix: number } | undefined {
  const [, a, b, c, d, prefix] = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr) ?? [];
  if (prefix === undefined) return undefined;
  const first = [a, b, c, d].reduce((sum, part) => sum * 256 + Number(part), 0);
  return { first, prefix: Number(prefix) };
}

const text = (first: number): string =>
  `${[24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join(".")}/${NODE_PREFIX}`;

/**
 * The last /24 of `cluster` that overlaps none of `taken`; undefined when all are. From the end, because the nodes of the control plane's
 * machine count their own from the beginning, and may become more.
 */
export function freeNodeRange(cluster: string, taken: readonly string[]): string | undefined {
  const whole = parse(cluster);
  if (!whole) return undefined;
  const used = taken.flatMap((one) => parse(one) ?? []);
  const end = whole.first + 2 ** (32 - whole.prefix);
  for (let first = end - NODE_SIZE; first >= whole.first; first -= NODE_SIZE) {
    const overlaps = used.some((one) => one.first < first + NODE_SIZE && first < one.first + 2 ** (32 - one.prefix));
    if (!overlaps) return text(first);
  }
  return undefined;
}
