/** When a node is short of something (kubernetes/pkg/kubelet/eviction): signals against thresholds, and the conditions that follow. Pure. */

export type SignalName =
  | "memory.available"
  | "nodefs.available"
  | "nodefs.inodesFree"
  | "imagefs.available"
  | "imagefs.inodesFree"
  | "pid.available";

/** Bytes, inodes or processes. */
export interface Signal {
  available: number;
  capacity: number;
}
export type Signals = ReadonlyMap<SignalName, Signal>;

/** An amount, or a part of the whole and no more than `most`. */
export type Threshold = { signal: SignalName } & ({ amount: number } | { share: number; most?: number });

const GIB = 2 ** 30;

/** DefaultEvictionHard of the kubelet, bounded for large disks (decisions/045), with a tenth of the machine's processes besides. */
export const DEFAULT_THRESHOLDS: readonly Threshold[] = [
  { signal: "memory.available", amount: 100 << 20 },
  { signal: "nodefs.available", share: 0.1, most: 5 * GIB },
  { signal: "nodefs.inodesFree", share: 0.05 },
  { signal: "imagefs.available", share: 0.15, most: 5 * GIB },
  { signal: "imagefs.inodesFree", share: 0.05 },
  { signal: "pid.available", share: 0.1 },
];

export type PressureType = "MemoryPressure" | "DiskPressure" | "PIDPressure";

/** What is to be freed, as a resource's name. */
export type Scarce = "memory" | "ephemeral-storage" | "inodes" | "pids";

const CONDITIONS: Readonly<Record<SignalName, [PressureType, Scarce]>> = {
  "memory.available": ["MemoryPressure", "memory"],
  "nodefs.available": ["DiskPressure", "ephemeral-storage"],
  "nodefs.inodesFree": ["DiskPressure", "inodes"],
  "imagefs.available": ["DiskPressure", "ephemeral-storage"],
  "imagefs.inodesFree": ["DiskPressure", "inodes"],
  "pid.available": ["PIDPressure", "pids"],
};

export const pressureOf = (signal: SignalName): PressureType => CONDITIONS[signal][0];
export const scarceOf = (signal: SignalName): Scarce => CONDITIONS[signal][1];

/** A condition stays this long after its last cause: a node that swings does not draw pods to and fro. */
const TRANSITION_MS = 300_000;

export interface Met {
  threshold: Threshold;
  /** What the threshold comes to on this node. */
  quantity: number;
  available: number;
}

export const quantityOf = (threshold: Threshold, { capacity }: Signal): number =>
  "amount" in threshold
    ? threshold.amount
    : Math.min(Math.floor(capacity * threshold.share), threshold.most ?? Number.POSITIVE_INFINITY);

/** Memory first, as it is the one that ends in the kernel's own choice of a victim. */
export function metThresholds(thresholds: readonly Threshold[], signals: Signals): Met[] {
  const met = thresholds.flatMap((threshold): Met[] => {
    const signal = signals.get(threshold.signal);
    if (signal === undefined || signal.capacity === 0) return [];
    const quantity = quantityOf(threshold, signal);
    return signal.available < quantity ? [{ threshold, quantity, available: signal.available }] : [];
  });
  const isMemory = ({ threshold }: Met) => (threshold.signal === "memory.available" ? 0 : 1);
  return met.sort((a, b) => isMemory(a) - isMemory(b));
}

/** The conditions that hold: met now or within the transition period. `lastMet` is brought up to date. */
export function holdingPressures(
  met: readonly Met[],
  lastMet: Map<PressureType, number>,
  now: number,
): Set<PressureType> {
  for (const { threshold } of met) lastMet.set(pressureOf(threshold.signal), now);
  return new Set([...lastMet].filter(([, at]) => now - at < TRANSITION_MS).map(([type]) => type));
}
