/**
 * What the scheduler knows of nodes and of what their pods ask for, including pods it has only decided about (assumed).
 * Every change is gathered and leaves as one delta before the next decision.
 */
import {
  podNonzeroRequests,
  podRequests,
  type ResourceAmounts,
  resourceAmounts,
} from "#platform/rules/pod-requests.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import type { Amounts, NodeDelta, NodeEntry, NodeTable, NodeUsage, PodClass } from "./framework.ts";

interface Demand {
  requests: ResourceAmounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  priority: number;
}
interface Placed extends Demand {
  node: string;
  assumed: boolean;
}

export interface SchedulerTable extends NodeTable {
  putNode(node: Node): void;
  removeNode(name: string): void;
  /** A pod that the API shows on a node; takes the place of the assumption. */
  putPod(key: string, pod: Pod): void;
  removePod(key: string): void;
  /** Decided, not yet seen in the API. */
  assume(key: string, pod: Pod, node: string): void;
  /** The binding failed. Does nothing once the API has shown the pod on a node. */
  forget(key: string): void;
  isPlaced(key: string): boolean;
  /** Everything that changed since the last call. */
  takeDelta(): NodeDelta;
  ids(): number[];
  nameOf(id: number): string;
  /** Some pod there has a lower priority. */
  hasLowerPriority(id: number, priority: number): boolean;
}

export function createNodeTable(): SchedulerTable {
  const ids = new Map<string, number>();
  const entries = new Map<number, NodeEntry>();
  const free: number[] = [];
  const placed = new Map<string, Placed>();
  /** node name → keys of its pods; known before the node itself when pods arrive first. */
  const podsOn = new Map<string, Set<string>>();
  const dirtyNodes = new Set<number>();
  const dirtyUsage = new Set<number>();
  let removed: number[] = [];

  const touch = (node: string) => {
    const id = ids.get(node);
    if (id !== undefined) dirtyUsage.add(id);
  };
  const place = (key: string, pod: Pod, node: string, assumed: boolean) => {
    unplace(key);
    placed.set(key, { ...demandOf(pod), node, assumed });
    const present = podsOn.get(node);
    if (present) present.add(key);
    else podsOn.set(node, new Set([key]));
    touch(node);
  };
  const unplace = (key: string) => {
    const old = placed.get(key);
    if (!old) return;
    placed.delete(key);
    podsOn.get(old.node)?.delete(key);
    if (podsOn.get(old.node)?.size === 0) podsOn.delete(old.node);
    touch(old.node);
  };
  const podsOf = (id: number): Placed[] =>
    [...(podsOn.get(entries.get(id)?.name ?? "") ?? [])].map((key) => placed.get(key)!);

  const usage = (id: number): NodeUsage => {
    const pods = podsOf(id);
    const sum: ResourceAmounts = {};
    for (const { requests } of pods) {
      for (const [name, amount] of Object.entries(requests)) sum[name] = (sum[name] ?? 0) + amount;
    }
    return {
      id,
      requested: amountsOf(sum),
      nonzeroCpuMilli: pods.reduce((total, pod) => total + pod.nonzeroCpuMilli, 0),
      nonzeroMemory: pods.reduce((total, pod) => total + pod.nonzeroMemory, 0),
      pods: pods.length,
    };
  };

  return {
    putNode(node) {
      const name = node.metadata.name ?? "";
      const known = ids.get(name);
      const id = known ?? free.pop() ?? ids.size;
      ids.set(name, id);
      const allocatable = resourceAmounts(node.status?.allocatable);
      const { pods: podsMax = 0, ...amounts } = allocatable;
      entries.set(id, { id, name, allocatable: amountsOf(amounts), podsMax, node });
      removed = removed.filter((r) => r !== id);
      dirtyNodes.add(id);
      if (known === undefined) dirtyUsage.add(id);
    },
    removeNode(name) {
      const id = ids.get(name);
      if (id === undefined) return;
      ids.delete(name);
      entries.delete(id);
      dirtyNodes.delete(id);
      dirtyUsage.delete(id);
      free.push(id);
      removed.push(id);
    },
    putPod: (key, pod) => place(key, pod, pod.spec?.nodeName ?? "", false),
    removePod: unplace,
    assume: (key, pod, node) => place(key, pod, node, true),
    forget(key) {
      if (placed.get(key)?.assumed) unplace(key);
    },
    isPlaced: (key) => placed.has(key),
    takeDelta() {
      const delta = {
        whole: false,
        nodes: [...dirtyNodes].map((id) => entries.get(id)!),
        usage: [...dirtyUsage].map(usage),
        removed,
      };
      dirtyNodes.clear();
      dirtyUsage.clear();
      removed = [];
      return delta;
    },
    whole: () => ({ whole: true, nodes: [...entries.values()], usage: [...entries.keys()].map(usage), removed: [] }),
    ids: () => [...entries.keys()],
    nameOf: (id) => entries.get(id)?.name ?? "",
    hasLowerPriority: (id, priority) => podsOf(id).some((pod) => pod.priority < priority),
  };
}

function demandOf(pod: Pod): Demand {
  const nonzero = podNonzeroRequests(pod.spec);
  return {
    requests: podRequests(pod.spec),
    nonzeroCpuMilli: nonzero.cpuMilli,
    nonzeroMemory: nonzero.memory,
    priority: pod.spec?.priority ?? 0,
  };
}

function amountsOf(amounts: ResourceAmounts): Amounts {
  const { cpu = 0, memory = 0, "ephemeral-storage": ephemeralStorage = 0, ...others } = amounts;
  return { cpuMilli: cpu, memory, ephemeralStorage, others: Object.entries(others) };
}

export function podClassOf(pod: Pod, tenant: string): PodClass {
  const { requests, nonzeroCpuMilli, nonzeroMemory } = demandOf(pod);
  return { tenant, requests: amountsOf(requests), nonzeroCpuMilli, nonzeroMemory, pod };
}
