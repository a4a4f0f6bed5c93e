/** The arithmetic of a rollout: pure (upstream: pkg/controller/deployment/util). */
import type { Deployment, ReplicaSet } from "#sdk/api/generated/types.ts";
import { scaledValue } from "#sdk/api/intstr.ts";
import { DESIRED_REPLICAS, MAX_REPLICAS } from "./annotations.ts";

export const desired = (object: { spec?: { replicas?: number } }): number => object.spec?.replicas ?? 1;
export const isRollingUpdate = (d: Deployment): boolean => d.spec?.strategy?.type !== "Recreate";

/** How many pods may be above and below the wanted number; never both zero. */
function fenceposts(d: Deployment): { surge: number; unavailable: number } {
  const { maxSurge = "25%", maxUnavailable = "25%" } = d.spec?.strategy?.rollingUpdate ?? {};
  const surge = scaledValue(maxSurge, desired(d), true);
  const unavailable = scaledValue(maxUnavailable, desired(d), false);
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}

export const maxSurge = (d: Deployment): number => (isRollingUpdate(d) ? fenceposts(d).surge : 0);
export const maxUnavailable = (d: Deployment): number =>
  isRollingUpdate(d) && desired(d) > 0 ? Math.min(fenceposts(d).unavailable, desired(d)) : 0;

export const sum = (sets: readonly ReplicaSet[], of: (rs: ReplicaSet) => number | undefined): number =>
  sets.reduce((total, rs) => total + (of(rs) ?? 0), 0);
export const specSum = (sets: readonly ReplicaSet[]): number => sum(sets, desired);
export const availableSum = (sets: readonly ReplicaSet[]): number => sum(sets, (rs) => rs.status?.availableReplicas);

const created = (rs: ReplicaSet): number => Date.parse(rs.metadata.creationTimestamp ?? "") || 0;
export const byAge = (a: ReplicaSet, b: ReplicaSet): number =>
  created(a) - created(b) || ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1);

/** How large the new ReplicaSet may be now. */
export function newReplicaSetSize(d: Deployment, all: readonly ReplicaSet[], newSet: ReplicaSet | undefined): number {
  if (!isRollingUpdate(d)) return desired(d);
  const current = newSet ? desired(newSet) : 0;
  const room = desired(d) + maxSurge(d) - specSum(all);
  return room <= 0 ? current : current + Math.min(room, desired(d) - current);
}

/** The new ReplicaSet has everything and all of it is available. */
export const isSaturated = (d: Deployment, newSet: ReplicaSet | undefined): boolean =>
  newSet !== undefined &&
  desired(newSet) === desired(d) &&
  Number(newSet.metadata.annotations?.[DESIRED_REPLICAS]) === desired(d) &&
  newSet.status?.availableReplicas === desired(d);

/** The steps of a rolling update that shrink old ReplicaSets: name → new size. Unhealthy replicas go first. */
export function scaleDownOld(
  d: Deployment,
  all: readonly ReplicaSet[],
  activeOld: readonly ReplicaSet[],
  newSet: ReplicaSet,
): Map<string, number> {
  const sizes = new Map<string, number>();
  const minAvailable = desired(d) - maxUnavailable(d);
  const newUnavailable = desired(newSet) - (newSet.status?.availableReplicas ?? 0);
  let mayGo = specSum(all) - minAvailable - newUnavailable;
  if (specSum(activeOld) === 0 || mayGo <= 0) return sizes;
  const old = activeOld.toSorted(byAge);
  const sizeOf = (rs: ReplicaSet) => sizes.get(rs.metadata.name ?? "") ?? desired(rs);
  const shrink = (rs: ReplicaSet, by: number) => sizes.set(rs.metadata.name ?? "", sizeOf(rs) - by);

  for (const rs of old) {
    const unhealthy = Math.min(mayGo, desired(rs) - (rs.status?.availableReplicas ?? 0));
    if (mayGo <= 0 || unhealthy <= 0) continue;
    shrink(rs, unhealthy);
    mayGo -= unhealthy;
  }
  let spare = availableSum(all) - minAvailable;
  for (const rs of old) {
    const by = Math.min(sizeOf(rs), spare);
    if (by <= 0) continue;
    shrink(rs, by);
    spare -= by;
  }
  return sizes;
}

/**
 * Sizes after the Deployment itself was scaled in the middle of a rollout: what is added or removed is shared in
 * proportion, the larger first, the rest going to the largest.
 */
export function scaleInProportion(d: Deployment, active: readonly ReplicaSet[]): Map<string, number> {
  const allowed = desired(d) > 0 ? desired(d) + maxSurge(d) : 0;
  const toAdd = allowed - specSum(active);
  const direction = toAdd >= 0 ? -1 : 1;
  const sorted = active.toSorted((a, b) => desired(b) - desired(a) || direction * byAge(a, b));
  const sizes = new Map<string, number>();
  let added = 0;
  for (const rs of sorted) {
    const share = toAdd === 0 ? 0 : proportion(rs, d, toAdd, added);
    sizes.set(rs.metadata.name ?? "", desired(rs) + share);
    added += share;
  }
  const largest = sorted[0]?.metadata.name ?? "";
  if (sorted.length > 0) sizes.set(largest, Math.max(0, (sizes.get(largest) ?? 0) + toAdd - added));
  return sizes;
}

function proportion(rs: ReplicaSet, d: Deployment, toAdd: number, added: number): number {
  if (desired(rs) === 0 || toAdd === added) return 0;
  const annotated = Number(rs.metadata.annotations?.[MAX_REPLICAS]);
  const before = annotated > 0 ? annotated : (d.status?.replicas ?? 0);
  const allowed = toAdd - added;
  const wanted = fraction(rs, d, before);
  return toAdd > 0 ? Math.min(wanted, allowed) : Math.max(wanted, allowed);
}

function fraction(rs: ReplicaSet, d: Deployment, before: number): number {
  // Scaling down to nothing takes everything, whatever the proportions were.
  if (desired(d) === 0) return -desired(rs);
  if (before === 0) return 0;
  return roundHalfAway((desired(rs) * (desired(d) + maxSurge(d))) / before) - desired(rs);
}

const roundHalfAway = (value: number): number => Math.sign(value) * Math.round(Math.abs(value));
