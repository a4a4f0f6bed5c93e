/** One decision: which node for this pod, or why none. */
import type { FilterOutcome, FilterPlugin, PodClass, ScorePlugin } from "./framework.ts";

export type Decision =
  | { node: number }
  /** By node: everything that spoke against it. */
  | { failures: Map<number, FilterOutcome> };

const SCORE_MAX = 100;

/** A node that one filter refuses isn't shown to the next. Among equally good ones chance decides, so that several schedulers spread. */
export async function decide(
  pod: PodClass,
  nodes: readonly number[],
  filters: readonly FilterPlugin[],
  scores: readonly ScorePlugin[],
  random: () => number = Math.random,
): Promise<Decision> {
  const { feasible, failures } = await filterNodes(pod, nodes, filters);
  if (feasible.length === 0) return { failures };
  if (feasible.length === 1) return { node: feasible[0]! };
  return { node: await best(pod, feasible, scores, random) };
}

/** Which nodes every filter lets pass, and what the first that did not said of the others. */
export async function filterNodes(
  pod: PodClass,
  nodes: readonly number[],
  filters: readonly FilterPlugin[],
): Promise<{ feasible: number[]; failures: Map<number, FilterOutcome> }> {
  const failures = new Map<number, FilterOutcome>();
  let feasible = [...nodes];
  for (const filter of filters) {
    if (feasible.length === 0) break;
    const [verdicts] = await filter.evaluate([pod], feasible);
    if (!verdicts || verdicts.codes.length !== feasible.length)
      throw new Error(`filter ${filter.name} did not answer for every node`);
    const asked = feasible;
    feasible = asked.filter((id, i) => {
      const code = verdicts.codes[i]!;
      const outcome = verdicts.outcomes[code - 1];
      if (code > 0) failures.set(id, outcome ?? { reasons: [`refused by ${filter.name}`], unresolvable: false });
      return code === 0;
    });
  }
  return { feasible, failures };
}

async function best(
  pod: PodClass,
  nodes: readonly number[],
  plugins: readonly ScorePlugin[],
  random: () => number,
): Promise<number> {
  const totals = new Float64Array(nodes.length);
  for (const plugin of plugins) {
    const [own] = await plugin.score([pod], nodes);
    const scores = own && plugin.normalize ? await plugin.normalize(own) : own;
    if (!scores || scores.length !== nodes.length)
      throw new Error(`score ${plugin.name} did not answer for every node`);
    for (let i = 0; i < totals.length; i++) {
      totals[i]! += plugin.weight * Math.max(0, Math.min(SCORE_MAX, scores[i]!));
    }
  }
  const top = Math.max(...totals);
  const winners = nodes.filter((_, i) => totals[i] === top);
  return winners[Math.floor(random() * winners.length)]!;
}

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
  const texts = [...reasons].map(([reason, n]) => `${n} ${reason}`).sort();
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
