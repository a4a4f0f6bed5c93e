/**
 * Which pods would have to go so that another fits: pure but for the filters, which are asked about nodes as they would be
 * (upstream: pkg/scheduler/framework/preemption). All candidates are tried in step: first without any pod of a lower
 * priority, then each gets its pods back one by one, most important first, as long as the newcomer still fits.
 */
import type { Pod, PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { FilterOutcome } from "./framework.ts";

/** No more nodes are tried: a good victim is found among so many. */
const CANDIDATES_MAX = 100;

export interface PlacedPod {
  key: string;
  pod: Pod;
}

export interface Trial {
  podsOn(node: number): PlacedPod[];
  /** The pods that would have to go with it, wherever they are, itself among them: a gang does not run in part. */
  wholeOf(pod: PlacedPod): readonly PlacedPod[];
  /** Those of the nodes where the pod fits when the pods named are gone. */
  fitsWithout(removed: ReadonlyMap<number, ReadonlySet<string>>): Promise<ReadonlySet<number>>;
}

export interface Victims {
  node: number;
  victims: PlacedPod[];
  violations: number;
}

export const priorityOf = (pod: Pod): number => pod.spec?.priority ?? 0;
const startOf = (pod: Pod): number =>
  Date.parse(pod.status?.startTime ?? pod.metadata.creationTimestamp ?? "") || Number.MAX_SAFE_INTEGER;
/** Most important first: higher priority, then longer running. */
export const byImportance = (a: PlacedPod, b: PlacedPod): number =>
  priorityOf(b.pod) - priorityOf(a.pod) || startOf(a.pod) - startOf(b.pod);

/** Pods whose eviction some budget does not allow, given that those before them go too. */
export function violating(pods: readonly PlacedPod[], budgets: readonly PodDisruptionBudget[]): Set<string> {
  const left = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]));
  const violations = new Set<string>();
  for (const { key, pod } of pods) {
    for (const budget of budgets) {
      const near = budget.metadata.namespace === pod.metadata.namespace && tenantOf(budget) === tenantOf(pod);
      if (!near || !selectsLabels(budget.spec?.selector, pod.metadata.labels)) continue;
      if (budget.status?.disruptedPods?.[pod.metadata.name ?? ""] !== undefined) continue;
      const allowed = left.get(budget)! - 1;
      left.set(budget, allowed);
      if (allowed < 0) violations.add(key);
    }
  }
  return violations;
}

/** Undefined where no node becomes good enough. */
export async function findVictims(
  pod: Pod,
  failures: ReadonlyMap<number, FilterOutcome>,
  budgets: readonly PodDisruptionBudget[],
  trial: Trial,
): Promise<Victims | undefined> {
  const lower = new Map<number, PlacedPod[]>();
  for (const [node, { unresolvable }] of failures) {
    if (unresolvable || lower.size >= CANDIDATES_MAX) continue;
    const mayGo = (other: PlacedPod) => trial.wholeOf(other).every((one) => priorityOf(one.pod) < priorityOf(pod));
    const pods = trial.podsOn(node).filter(mayGo);
    if (pods.length > 0) lower.set(node, pods.toSorted(byImportance));
  }
  const removed = new Map([...lower].map(([node, pods]) => [node, new Set(pods.map(({ key }) => key))]));
  if (removed.size === 0) return undefined;
  const fitting = await trial.fitsWithout(removed);
  for (const node of removed.keys()) if (!fitting.has(node)) removed.delete(node);
  const violations = new Map([...removed.keys()].map((node) => [node, violating(lower.get(node)!, budgets)]));
  await reprieve(lower, removed, violations, trial);
  const all = [...removed].map(([node, keys]) => {
    const here = lower.get(node)!.filter(({ key }) => keys.has(key));
    const victims = withWholes(here, trial.wholeOf);
    const elsewhere = violating(victims.slice(here.length), budgets).size;
    return { node, victims, violations: [...violations.get(node)!].filter((key) => keys.has(key)).length + elsewhere };
  });
  return pickNode(all);
}

/** These, and then the others who would have to go with one of them. */
function withWholes(pods: readonly PlacedPod[], wholeOf: Trial["wholeOf"]): PlacedPod[] {
  const keys = new Set(pods.map(({ key }) => key));
  const others = pods.flatMap((pod) => wholeOf(pod)).filter(({ key }) => !keys.has(key));
  return [...pods, ...new Map(others.map((other) => [other.key, other])).values()];
}

/** Pods come back one a step on every node: first those whose budget their eviction would violate. */
async function reprieve(
  lower: ReadonlyMap<number, PlacedPod[]>,
  removed: ReadonlyMap<number, Set<string>>,
  violations: ReadonlyMap<number, ReadonlySet<string>>,
  trial: Trial,
): Promise<void> {
  const orders = new Map(
    [...removed.keys()].map((node) => {
      const keys = lower.get(node)!.map(({ key }) => key);
      const violates = violations.get(node)!;
      return [node, [...keys.filter((key) => violates.has(key)), ...keys.filter((key) => !violates.has(key))]];
    }),
  );
  for (let step = 0; ; step++) {
    const tried = new Map<number, ReadonlySet<string>>();
    for (const [node, order] of orders) {
      const key = order[step];
      if (key !== undefined) tried.set(node, new Set([...removed.get(node)!].filter((other) => other !== key)));
    }
    if (tried.size === 0) return;
    const fitting = await trial.fitsWithout(tried);
    for (const node of fitting) removed.get(node)!.delete(orders.get(node)![step]!);
  }
}

/** Fewest violated budgets, then the least important victims, then the fewest, then those that started last. */
export function pickNode(candidates: readonly Victims[]): Victims | undefined {
  const rank = ({ victims, violations }: Victims): number[] => {
    const priorities = victims.map(({ pod }) => priorityOf(pod));
    const highest = Math.max(...priorities);
    const starts = victims.filter(({ pod }) => priorityOf(pod) === highest).map(({ pod }) => startOf(pod));
    // As upstream, a constant keeps sums of negative priorities from favouring many victims.
    const sum = priorities.reduce((total, priority) => total + priority + 2 ** 31, 0);
    return [violations, highest, sum, victims.length, -Math.min(...starts)];
  };
  const ranked = candidates.filter(({ victims }) => victims.length > 0).map((c) => ({ c, rank: rank(c) }));
  ranked.sort((a, b) => {
    const at = a.rank.findIndex((value, i) => value !== b.rank[i]);
    return at < 0 ? 0 : a.rank[at]! - b.rank[at]!;
  });
  return ranked[0]?.c;
}
