/** When a pod must leave its node because of NoExecute taints: pure (upstream: pkg/controller/tainteviction). */
import type { Pod, Taint, Toleration } from "#sdk/api/generated/types.ts";

export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  switch (toleration.operator ?? "Equal") {
    case "Exists":
      return true;
    case "Equal":
      return toleration.key !== undefined && (toleration.value ?? "") === (taint.value ?? "");
    case "Lt":
    case "Gt": {
      const [wanted, given] = [Number(toleration.value), Number(taint.value)];
      return toleration.operator === "Lt" ? given < wanted : given > wanted;
    }
    default:
      return false;
  }
}

/**
 * Milliseconds until eviction: 0 now, undefined never. Tolerated for a while counts from when the taint was added, so
 * that it is the same whoever counts; `seenAt` stands in for taints that don't say.
 */
export const evictionInMs = (pod: Pod, taints: readonly Taint[], seenAt: number, now: number): number | undefined =>
  dueInMs(pod.spec?.tolerations ?? [], taints, seenAt, now);

/** The same for what is not a pod's but has taints and is tolerated: a device. */
export function dueInMs(
  tolerations: readonly Toleration[],
  taints: readonly Taint[],
  seenAt: number,
  now: number,
): number | undefined {
  let soonest: number | undefined;
  for (const taint of taints.filter((t) => t.effect === "NoExecute")) {
    const matching = tolerations.filter((t) => tolerates(t, taint));
    if (matching.length === 0) return 0;
    const seconds = matching.flatMap((t) => t.tolerationSeconds ?? []);
    if (seconds.length === 0) continue;
    const since = taint.timeAdded ? Date.parse(taint.timeAdded) : seenAt;
    const inMs = Math.max(0, since + Math.max(0, Math.min(...seconds)) * 1000 - now);
    soonest = Math.min(soonest ?? inMs, inMs);
  }
  return soonest;
}
