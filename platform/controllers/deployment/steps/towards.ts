/** Sizes of a Deployment's ReplicaSets on the way to given ones, within maxSurge and maxUnavailable: pure. */
import type { Deployment, ReplicaSet } from "#sdk/api/generated/types.ts";
import { availableSum, byAge, desired, maxSurge, maxUnavailable, specSum } from "../replicas.ts";

const nameOf = (rs: ReplicaSet): string => rs.metadata.name ?? "";
const unhealthyIn = (rs: ReplicaSet): number => Math.max(0, desired(rs) - (rs.status?.availableReplicas ?? 0));

/** The next size of each set that changes now. `targets` by name; a set that is not named goes. */
export function towards(
  d: Deployment,
  sets: readonly ReplicaSet[],
  targets: ReadonlyMap<string, number>,
): Map<string, number> {
  const sizes = new Map<string, number>();
  const targetOf = (rs: ReplicaSet) => targets.get(nameOf(rs)) ?? 0;
  let room = desired(d) + maxSurge(d) - specSum(sets);
  for (const rs of sets.toSorted((a, b) => byAge(b, a))) {
    const more = Math.min(room, targetOf(rs) - desired(rs));
    if (more <= 0) continue;
    sizes.set(nameOf(rs), desired(rs) + more);
    room -= more;
  }
  // What is not available serves nobody: it goes first. Of the rest as many as may be missing.
  let spare = availableSum(sets) - (desired(d) - maxUnavailable(d));
  for (const rs of sets.toSorted(byAge)) {
    const surplus = desired(rs) - targetOf(rs);
    if (surplus <= 0) continue;
    const idle = Math.min(surplus, unhealthyIn(rs));
    const serving = Math.min(surplus - idle, Math.max(0, spare));
    spare -= serving;
    if (idle + serving > 0) sizes.set(nameOf(rs), desired(rs) - idle - serving);
  }
  return sizes;
}

/** The new version's target, and the rest of the pods among the versions there were, the newest keeping most. */
export function stepTargets(
  d: Deployment,
  sets: readonly ReplicaSet[],
  newSet: ReplicaSet,
  target: number,
): Map<string, number> {
  const targets = new Map([[nameOf(newSet), target]]);
  let rest = Math.max(0, desired(d) - target);
  const old = sets.filter((rs) => rs !== newSet && nameOf(rs) !== nameOf(newSet));
  const running = old.filter((rs) => desired(rs) > 0).toSorted((a, b) => desired(b) - desired(a) || byAge(b, a));
  for (const rs of running) {
    const kept = Math.min(rest, desired(rs));
    targets.set(nameOf(rs), kept);
    rest -= kept;
  }
  // A version that had been made smaller serves again while the new one must not grow.
  const [largest] = running;
  if (rest > 0 && largest) targets.set(nameOf(largest), (targets.get(nameOf(largest)) ?? 0) + rest);
  return targets;
}
