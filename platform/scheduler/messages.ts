/** What a pod is told when no node fits, in upstream's words. */
import type { FilterOutcome } from "./framework.ts";

/** A reason that has nothing to do with the node is said once, without a number. */
export const ABOUT_POD = "pod: ";

export const NO_NODES = "no nodes available to schedule pods";

/**
 * Upstream's words (framework.FitError): "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable."
 * `preemption`: what to say about it, where something is to be said.
 */
export function fitMessage(
  count: number,
  failures: Iterable<{ reasons: readonly string[] }>,
  preemption?: string,
): string {
  const reasons = new Map<string, number>();
  for (const failure of failures) {
    for (const reason of failure.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const text = (reason: string, n: number) =>
    reason.startsWith(ABOUT_POD) ? reason.slice(ABOUT_POD.length) : `${n} ${reason}`;
  const texts = [...reasons].map(([reason, n]) => text(reason, n)).sort();
  const list = texts.length > 0 ? ` ${texts.join(", ")}.` : "";
  return `0/${count} nodes are available:${list}${preemption ? ` preemption: ${preemption}` : ""}`;
}

/**
 * Evicting others would not help: where the filters say so, and where nobody of a lower priority runs. Undefined where it
 * might, because then there is nothing true to say without trying.
 */
export function preemptionMessage(
  failures: ReadonlyMap<number, FilterOutcome>,
  never: boolean,
  hasVictims: (node: number) => boolean,
): string | undefined {
  if (never) return "not eligible due to preemptionPolicy=Never.";
  const candidates = [...failures].filter(([, outcome]) => !outcome.unresolvable);
  if (candidates.some(([node]) => hasVictims(node))) return undefined;
  const said = [...failures.values()].map((outcome) => ({
    reasons: [
      outcome.unresolvable
        ? "Preemption is not helpful for scheduling"
        : "No preemption victims found for incoming pod",
    ],
  }));
  return fitMessage(failures.size, said);
}
