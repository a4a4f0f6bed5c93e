/**
 * Who would have to go so that a gang fits, anywhere: all who may are taken away, then come back, the most important first, as long as the gang
 * still fits (upstream: pkg/scheduler/framework/preemption, podgrouppreemption.go). They come back by halves: most of them are not in its way.
 */
import type { PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import { byImportance, type PlacedPod, priorityOf, violating } from "./preemption.ts";

/** Placements of the whole gang that are tried; who was not tried by then goes. */
const TRIES_MAX = 200;

/** Pods that go together, or stay. */
export interface Unit {
  pods: PlacedPod[];
  priority: number;
}

/** Each pod is in one unit. `wholeOf`: the pods that would have to go with it, itself among them. */
export function unitsOf(pods: Iterable<PlacedPod>, wholeOf: (pod: PlacedPod) => readonly PlacedPod[]): Unit[] {
  const units: Unit[] = [];
  const seen = new Set<string>();
  for (const pod of pods) {
    if (seen.has(pod.key)) continue;
    const whole = wholeOf(pod).filter(({ key }) => !seen.has(key));
    for (const { key } of whole) seen.add(key);
    units.push({ pods: whole, priority: Math.max(...whole.map((one) => priorityOf(one.pod))) });
  }
  return units;
}

/** By the key of each of the gang's pods the node where it goes when these pods are gone; undefined: too few of them fit. */
export type TryWithout = (gone: ReadonlySet<string>) => Promise<ReadonlyMap<string, string> | undefined>;

export interface GangVictims {
  victims: PlacedPod[];
  places: ReadonlyMap<string, string>;
}

/** Undefined where it does not fit even without all of them, or where nobody has to go. */
export async function findGangVictims(
  units: readonly Unit[],
  budgets: readonly PodDisruptionBudget[],
  tryWithout: TryWithout,
): Promise<GangVictims | undefined> {
  if (units.length === 0) return undefined;
  const gone = new Set(units);
  const keysOf = (some: Iterable<Unit>) => new Set([...some].flatMap(({ pods }) => pods.map(({ key }) => key)));
  let places = await tryWithout(keysOf(gone));
  if (!places) return undefined;
  let tries = 1;
  const bringBack = async (some: readonly Unit[]): Promise<void> => {
    if (some.length === 0 || tries++ >= TRIES_MAX) return;
    const back = new Set(some);
    const found = await tryWithout(keysOf([...gone].filter((unit) => !back.has(unit))));
    if (found) {
      places = found;
      for (const unit of some) gone.delete(unit);
    } else if (some.length > 1) {
      const half = some.length >> 1;
      await bringBack(some.slice(0, half));
      await bringBack(some.slice(half));
    }
  };
  const ordered = units.toSorted(moreImportant);
  const unwilling = violating(
    ordered.flatMap(({ pods }) => pods),
    budgets,
  );
  const violates = ({ pods }: Unit) => pods.some(({ key }) => unwilling.has(key));
  await bringBack(ordered.filter(violates));
  await bringBack(ordered.filter((unit) => !violates(unit)));
  return gone.size > 0 ? { victims: [...gone].flatMap(({ pods }) => pods), places } : undefined;
}

/** By priority, then gangs before single pods, then whoever runs longer. */
const moreImportant = (a: Unit, b: Unit): number =>
  b.priority - a.priority ||
  Number(b.pods.length > 1) - Number(a.pods.length > 1) ||
  byImportance(a.pods.toSorted(byImportance)[0]!, b.pods.toSorted(byImportance)[0]!);
