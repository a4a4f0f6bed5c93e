/**
 * The scheduler's ports: every predicate and priority comes from a component behind these (sdk/wit/v1/scheduling.wit says
 * the same for guests). Filled by platform/plugin-host, wired in main.
 */
import type { Node, Pod } from "#sdk/api/generated/types.ts";

/** cpu in millicores, the others in bytes or counts. */
export interface Amounts {
  cpuMilli: number;
  memory: number;
  ephemeralStorage: number;
  /** Extended resources and huge pages: (name, amount). */
  others: [name: string, amount: number][];
}

/** A pod as far as scheduling sees it. */
export interface PodClass {
  tenant: string;
  requests: Amounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  pod: PodOnNode;
}

export interface NodeEntry {
  /** A table index: stable while the node exists, used again after it was removed. */
  id: number;
  name: string;
  allocatable: Amounts;
  podsMax: number;
  node: Node;
  /** The pods there; components that declare a projection of "pods" are shown it. */
  pods: readonly PodOnNode[];
}

/** A pod as components see it: of which tenant, and its namespace's labels, beside its own fields. */
export type PodOnNode = Pod & { tenant: string; namespaceLabels: Record<string, string> };

/** What the pods on a node ask for, in sum. */
export interface NodeUsage {
  id: number;
  requested: Amounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  pods: number;
}

export interface NodeDelta {
  /** Forget everything first. */
  whole: boolean;
  nodes: NodeEntry[];
  /** Nodes whose pods changed, and nothing else. */
  podChanges: NodeEntry[];
  usage: NodeUsage[];
  removed: number[];
}

/** Where an instance that starts (or starts again) gets everything from. */
export interface NodeTable {
  whole(): NodeDelta;
}

/** Why a node does not fit. */
export interface FilterOutcome {
  /** In upstream's words, without the number of nodes: "Insufficient cpu". */
  reasons: string[];
  /** No eviction of pods would help. */
  unresolvable: boolean;
}

export interface Verdicts {
  /** For each node asked about, in their order: 0 fits, n > 0 is outcomes[n - 1]. */
  codes: ArrayLike<number>;
  outcomes: FilterOutcome[];
}

export interface NodePlugin {
  name: string;
  /** In order, before the calls that depend on it. A plugin that is new receives `whole` first. */
  sync(delta: NodeDelta): Promise<void>;
}

export interface FilterPlugin extends NodePlugin {
  /** One answer for each pod class. A throw fails the attempt: the plugin's failure policy has been applied already. */
  evaluate(pods: readonly PodClass[], nodes: readonly number[]): Promise<Verdicts[]>;
}

export interface ScorePlugin extends NodePlugin {
  weight: number;
  /** For each pod class the nodes' scores, in their order. */
  score(pods: readonly PodClass[], nodes: readonly number[]): Promise<ArrayLike<number>[]>;
  /** From the plugin's own scale to 0–100, over the nodes that are still candidates for one pod. */
  normalize?(scores: ArrayLike<number>): Promise<ArrayLike<number>>;
}

export interface SchedulingPlugins {
  /** Called once, before anything is scheduled. */
  attach(table: NodeTable): void;
  /** What is enabled now, for a pod of this tenant: root's, and the tenant's own. */
  filters(tenant: string): readonly FilterPlugin[];
  scores(tenant: string): readonly ScorePlugin[];
  /** Called when the lists change: what was unschedulable may not be any more. */
  onChange(listener: () => void): void;
}

/** No plugin at all: every node is feasible and all are equally good. */
export const noPlugins: SchedulingPlugins = {
  attach: () => undefined,
  filters: () => [],
  scores: () => [],
  onChange: () => undefined,
};
