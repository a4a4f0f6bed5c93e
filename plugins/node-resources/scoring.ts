/** NodeResourcesFit's strategies and NodeResourcesBalancedAllocation, as kube-scheduler has them. Scores are 0–100. */
import type { NodeRow } from "#sdk/plugin/scheduling.ts";
import type { Amounts, PodClass } from "#sdk/plugin/types.ts";

export interface WeightedResource {
  name: string;
  weight: number;
}

export interface ScoringStrategy {
  type?: "LeastAllocated" | "MostAllocated" | "RequestedToCapacityRatio";
  resources?: WeightedResource[];
  requestedToCapacityRatio?: { shape: { utilization: number; score: number }[] };
}

export const CPU_AND_MEMORY: readonly WeightedResource[] = [
  { name: "cpu", weight: 1 },
  { name: "memory", weight: 1 },
];

/** A pod's score on one node. */
export type Scorer = (pod: PodClass, node: NodeRow<unknown>) => number;

export const amountOf = (amounts: Amounts, name: string): number => {
  switch (name) {
    case "cpu":
      return amounts.cpuMilli;
    case "memory":
      return amounts.memory;
    case "ephemeral-storage":
      return amounts.ephemeralStorage;
    default:
      return amounts.others.find(([other]) => other === name)?.[1] ?? 0;
  }
};

const isExtended = (name: string): boolean => !["cpu", "memory", "ephemeral-storage"].includes(name);

interface Share {
  weight: number;
  /** With the pod. */
  requested: number;
  /** Without it. */
  allocated: number;
  capacity: number;
}

/** `nonzero`: containers that ask for no cpu or memory count a little of it. */
function sharesOf(
  pod: PodClass,
  node: NodeRow<unknown>,
  resources: readonly WeightedResource[],
  nonzero: boolean,
): Share[] {
  const shares: Share[] = [];
  for (const { name, weight } of resources) {
    let asked = amountOf(pod.requests, name);
    let allocated = amountOf(node.requested, name);
    if (nonzero && name === "cpu") [asked, allocated] = [pod.nonzeroCpuMilli, node.nonzeroCpuMilli];
    if (nonzero && name === "memory") [asked, allocated] = [pod.nonzeroMemory, node.nonzeroMemory];
    const capacity = amountOf(node.allocatable, name);
    if (capacity === 0 || (asked === 0 && isExtended(name))) continue;
    shares.push({ weight, requested: allocated + asked, allocated, capacity });
  }
  return shares;
}

const least = ({ requested, capacity }: Share): number =>
  requested > capacity ? 0 : Math.trunc(((capacity - requested) * 100) / capacity);
const most = ({ requested, capacity }: Share): number => Math.trunc((Math.min(requested, capacity) * 100) / capacity);

function mean(shares: readonly Share[], scoreOf: (share: Share) => number): number {
  let sum = 0;
  let weights = 0;
  for (const share of shares) {
    sum += scoreOf(share) * share.weight;
    weights += share.weight;
  }
  return weights === 0 ? 0 : Math.trunc(sum / weights);
}

/** Lines between the points of the shape; utilization in percent, scores 0–10. */
function ratio(shape: readonly { utilization: number; score: number }[]): (shares: readonly Share[]) => number {
  const points = shape.map(({ utilization, score }) => ({ utilization, score: score * 10 }));
  const at = (utilization: number): number => {
    const next = points.findIndex((point) => utilization <= point.utilization);
    if (next <= 0) return (next === 0 ? points[0] : points.at(-1))?.score ?? 0;
    const [a, b] = [points[next - 1]!, points[next]!];
    return (
      a.score + Math.trunc(((b.score - a.score) * (utilization - a.utilization)) / (b.utilization - a.utilization))
    );
  };
  return (shares) => {
    const rated = shares.map((share) => ({
      share,
      score: at(share.requested > share.capacity ? 100 : Math.trunc((share.requested * 100) / share.capacity)),
    }));
    const counted = rated.filter(({ score }) => score > 0);
    const weights = counted.reduce((sum, { share }) => sum + share.weight, 0);
    return weights === 0
      ? 0
      : Math.round(counted.reduce((sum, { share, score }) => sum + score * share.weight, 0) / weights);
  };
}

export function scorerOf(strategy: ScoringStrategy): Scorer {
  const resources = strategy.resources?.length ? strategy.resources : CPU_AND_MEMORY;
  const shares = (pod: PodClass, node: NodeRow<unknown>) => sharesOf(pod, node, resources, true);
  switch (strategy.type ?? "LeastAllocated") {
    case "LeastAllocated":
      return (pod, node) => mean(shares(pod, node), least);
    case "MostAllocated":
      return (pod, node) => mean(shares(pod, node), most);
    case "RequestedToCapacityRatio": {
      const rate = ratio(strategy.requestedToCapacityRatio?.shape ?? []);
      return (pod, node) => rate(shares(pod, node));
    }
  }
}

function evenness(shares: readonly Share[], used: (share: Share) => number): number {
  const fractions = shares.map((share) => Math.min(1, used(share) / share.capacity));
  let deviation = 0;
  if (fractions.length === 2) deviation = Math.abs(fractions[0]! - fractions[1]!) / 2;
  else if (fractions.length > 2) {
    const average = fractions.reduce((sum, fraction) => sum + fraction, 0) / fractions.length;
    deviation = Math.sqrt(fractions.reduce((sum, f) => sum + (f - average) ** 2, 0) / fractions.length);
  }
  return Math.trunc((1 - deviation) * 100);
}

/** 50–100: whether the node's resources are used more evenly with the pod than without it. A pod that asks for nothing: 0. */
export function balancedScorer(resources: readonly WeightedResource[]): Scorer {
  return (pod, node) => {
    if (resources.every(({ name }) => amountOf(pod.requests, name) === 0)) return 0;
    const shares = sharesOf(pod, node, resources, false);
    const change = evenness(shares, (share) => share.requested) - evenness(shares, (share) => share.allocated);
    return Math.trunc(50 + (50 + change) / 2);
  };
}
