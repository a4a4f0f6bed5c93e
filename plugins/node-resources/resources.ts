/** NodeResourcesFit's filter as kube-scheduler has it. */
import { type NodeRow, outcome } from "#sdk/plugin/scheduling.ts";
import type { Outcome, PodClass } from "#sdk/plugin/types.ts";
import { amountOf } from "./scoring.ts";

/** Extended resources that are not checked: by name, or by what stands before the slash. */
export interface Ignored {
  ignoredResources?: string[];
  ignoredResourceGroups?: string[];
}

/** Undefined where it fits, which is decided first and fast. */
export function fit(pod: PodClass, node: NodeRow<unknown>, ignored: Ignored = {}): Outcome | undefined {
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
  return insufficient(pod, node, ignored);
}

/** No eviction helps where even the empty node is too small. */
function insufficient({ requests }: PodClass, node: NodeRow<unknown>, ignored: Ignored): Outcome | undefined {
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
    if (ignored.ignoredResources?.includes(name)) continue;
    if (ignored.ignoredResourceGroups?.includes(name.split("/")[0]!)) continue;
    check(name, wanted, amountOf(allocatable, name), amountOf(requested, name));
  }
  return reasons.length > 0 ? outcome(reasons, unresolvable) : undefined;
}
