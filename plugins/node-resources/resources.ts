/** NodeResourcesFit as kube-scheduler has it: the filter, and the strategy LeastAllocated over cpu and memory with equal weights. */
import { type NodeRow, outcome } from "#sdk/plugin/scheduling.ts";
import type { Outcome, PodClass } from "#sdk/plugin/types.ts";

/** Undefined where it fits, which is decided first and fast. */
export function fit(pod: PodClass, node: NodeRow<unknown>): Outcome | undefined {
  const { requests } = pod;
  const { allocatable, requested } = node;
  if (
    node.pods < node.podsMax &&
    (requests.cpuMilli <= 0 || requests.cpuMilli <= allocatable.cpuMilli - requested.cpuMilli) &&
    (requests.memory <= 0 || requests.memory <= allocatable.memory - requested.memory) &&
    requests.ephemeralStorage <= 0 &&
    requests.others.length === 0
  ) {
    return undefined;
  }
  return insufficient(pod, node);
}

/** No eviction helps where even the empty node is too small. */
function insufficient({ requests }: PodClass, node: NodeRow<unknown>): Outcome | undefined {
  const { allocatable, requested } = node;
  const reasons: string[] = [];
  let unresolvable = false;
  if (node.pods + 1 > node.podsMax) reasons.push("Too many pods");
  const check = (name: string, wanted: number, capacity: number, used: number) => {
    if (wanted <= 0 || wanted <= capacity - used) return;
    reasons.push(`Insufficient ${name}`);
    if (wanted > capacity) unresolvable = true;
  };
  check("cpu", requests.cpuMilli, allocatable.cpuMilli, requested.cpuMilli);
  check("memory", requests.memory, allocatable.memory, requested.memory);
  check("ephemeral-storage", requests.ephemeralStorage, allocatable.ephemeralStorage, requested.ephemeralStorage);
  for (const [name, wanted] of requests.others) {
    check(name, wanted, amountOf(allocatable.others, name), amountOf(requested.others, name));
  }
  return reasons.length > 0 ? outcome(reasons, unresolvable) : undefined;
}

const amountOf = (others: [string, number][], name: string): number =>
  others.find(([other]) => other === name)?.[1] ?? 0;

const leastRequested = (requested: number, capacity: number): number =>
  requested > capacity ? 0 : Math.trunc(((capacity - requested) * 100) / capacity);

/** 0–100: how much would be left with the pod on the node. */
export function leastAllocated(pod: PodClass, node: NodeRow<unknown>): number {
  let sum = 0;
  let weights = 0;
  const add = (requested: number, capacity: number) => {
    if (capacity === 0) return;
    sum += leastRequested(requested, capacity);
    weights++;
  };
  add(node.nonzeroCpuMilli + pod.nonzeroCpuMilli, node.allocatable.cpuMilli);
  add(node.nonzeroMemory + pod.nonzeroMemory, node.allocatable.memory);
  return weights === 0 ? 0 : Math.trunc(sum / weights);
}
