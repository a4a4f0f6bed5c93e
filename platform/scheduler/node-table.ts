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
import { tenantOf } from "#sdk/client/port.ts";
import type { Amounts, NodeDelta, NodeEntry, NodeTable, NodeUsage, PodClass, PodOnNode } from "./framework.ts";
import type { PlacedPod } from "./preemption.ts";

interface Demand {
  requests: ResourceAmounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  priority: number;
}
interface Placed extends Demand {
  node: string;
  pod: PodOnNode;
  /** nominated: room is being made for it there; assumed: decided, not yet seen in the API. */
  state: "seen" | "assumed" | "nominated";
}

/** Labels of a tenant's namespace. */
export type NamespaceLabels = (tenant: string, namespace: string) => Record<string, string>;

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
  /** Room is being made for it: it counts there until it is forgotten or placed. */
  nominate(key: string, pod: Pod, node: string): void;
  nominatedNode(key: string): string | undefined;
  /** On a node, or decided about; one that is only nominated is not. */
  isPlaced(key: string): boolean;
  podsOn(id: number): PlacedPod[];
  /** The nodes named as they would be without these pods; empty sets: as they are. */
  without(removed: ReadonlyMap<number, ReadonlySet<string>>): NodeDelta;
  idOf(name: string): number | undefined;
  /** Everything that changed since the last call. */
  takeDelta(): NodeDelta;
  ids(): number[];
  nameOf(id: number): string;
  /** Some pod there has a lower priority. */
  hasLowerPriority(id: number, priority: number): boolean;
}

export function createNodeTable(namespaceLabels: NamespaceLabels = () => ({})): SchedulerTable {
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
  const place = (key: string, pod: Pod, node: string, state: Placed["state"]) => {
    unplace(key);
    const shown = { ...pod, ...belonging(pod, namespaceLabels) };
    placed.set(key, { ...demandOf(pod), node, pod: shown, state });
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
  const none: ReadonlySet<string> = new Set();
  const podsOf = (id: number, without = none): Placed[] =>
    [...(podsOn.get(entries.get(id)?.name ?? "") ?? [])].filter((k) => !without.has(k)).map((k) => placed.get(k)!);
  const entry = (id: number, without = none): NodeEntry => ({
    ...entries.get(id)!,
    pods: podsOf(id, without).map(({ pod }) => pod),
  });

  const usage = (id: number, without = none): NodeUsage => {
    const pods = podsOf(id, without);
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
      entries.set(id, { id, name, allocatable: amountsOf(amounts), podsMax, node, pods: [] });
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
    putPod: (key, pod) => place(key, pod, pod.spec?.nodeName ?? "", "seen"),
    removePod: unplace,
    assume: (key, pod, node) => place(key, pod, node, "assumed"),
    nominate: (key, pod, node) => place(key, pod, node, "nominated"),
    nominatedNode(key) {
      const present = placed.get(key);
      return present?.state === "nominated" ? present.node : undefined;
    },
    forget(key) {
      const state = placed.get(key)?.state;
      if (state === "assumed" || state === "nominated") unplace(key);
    },
    isPlaced(key) {
      const state = placed.get(key)?.state;
      return state === "seen" || state === "assumed";
    },
    podsOn: (id) =>
      [...(podsOn.get(entries.get(id)?.name ?? "") ?? [])].map((key) => ({ key, pod: placed.get(key)!.pod })),
    without: (gone) => ({
      whole: false,
      nodes: [],
      podChanges: [...gone].map(([id, keys]) => entry(id, keys)),
      usage: [...gone].map(([id, keys]) => usage(id, keys)),
      removed: [],
    }),
    idOf: (name) => ids.get(name),
    takeDelta() {
      const delta = {
        whole: false,
        nodes: [...dirtyNodes].map((id) => entry(id)),
        podChanges: [...dirtyUsage].filter((id) => !dirtyNodes.has(id)).map((id) => entry(id)),
        usage: [...dirtyUsage].map((id) => usage(id)),
        removed,
      };
      dirtyNodes.clear();
      dirtyUsage.clear();
      removed = [];
      return delta;
    },
    whole: () => ({
      whole: true,
      nodes: [...entries.keys()].map((id) => entry(id)),
      podChanges: [],
      usage: [...entries.keys()].map((id) => usage(id)),
      removed: [],
    }),
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

const belonging = (pod: Pod, labels: NamespaceLabels): { tenant: string; namespaceLabels: Record<string, string> } => {
  const tenant = tenantOf(pod);
  return { tenant, namespaceLabels: labels(tenant, pod.metadata.namespace ?? "") };
};

export function podClassOf(pod: Pod, tenant: string, namespaceLabels: NamespaceLabels = () => ({})): PodClass {
  const { requests, nonzeroCpuMilli, nonzeroMemory } = demandOf(pod);
  const shown = { ...pod, ...belonging(pod, namespaceLabels) };
  return { tenant, requests: amountsOf(requests), nonzeroCpuMilli, nonzeroMemory, pod: shown };
}
