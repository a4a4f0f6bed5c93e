/** Pods that leave their services before they are told to stop: pure (`decisions/073`). */
import type { Pod } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { DRAINING_UNTIL, isReady } from "../objects.ts";

/** On a Deployment, a ReplicaSet or a ReplicationController: how long, "5s". */
export const DRAIN = "rollout.capstan.dev/drain";
/** Nobody waits longer for a pod that only has to be forgotten. */
const DRAIN_MAX_MS = 600_000;

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** Milliseconds; 0 for pods that serve nobody, and where nobody asked for it. */
export function drainMs(owner: KubeObject, pod: Pod): number {
  const [, count, unit] = /^(\d+)(ms|s|m)$/.exec(owner.metadata.annotations?.[DRAIN] ?? "") ?? [];
  if (count === undefined || !isReady(pod)) return 0;
  return Math.min(DRAIN_MAX_MS, Number(count) * (UNITS[unit ?? ""] ?? 0));
}

/** Until a draining pod may be deleted; 0 or less: now. A time that cannot be read is over. */
export const drainedInMs = (pod: Pod, now: number): number =>
  (Date.parse(pod.metadata.annotations?.[DRAINING_UNTIL] ?? "") || 0) - now;
