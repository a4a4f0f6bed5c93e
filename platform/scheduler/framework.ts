/**
 * The scheduler's ports: every predicate and priority comes from a component behind these (sdk/wit/v1/scheduling.wit says
 * the same for guests). Filled by platform/plugin-host, wired in main.
 */
import type { LabelSelector, Node, Pod } from "#sdk/api/generated/types.ts";

/** cpu in millicores, the others in bytes or counts. */
export interface Amounts {
  cpuMilli: number;
  memory: number;
  ephemeralStorage: number;
  /** Extended resources and huge pages: (name, amount). */
  others: [name: string, amount: number][];
}

/** A pod as components see it: beside its own fields, facts about it that are not in the object. */
export type PodFacts = Pod & {
  tenant: string;
  namespaceLabels: Record<string, string>;
  /** It is being deleted. */
  terminating: boolean;
  /** What its claims mean for where it can run (volumes.ts); undefined without any. */
  claims: readonly object[] | undefined;
  /** Of the services and owners that select it; only on pods to be placed. */
  defaultSelector?: LabelSelector;
};

/** What a pod asks for. */
export interface Demand {
  requests: Amounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
}

/** Pods that a plugin cannot tell apart. */
export interface PodClass extends Demand {
  /** What the plugin's `view` answered. */
  view: string;
}

export interface NodeEntry {
  /** A table index: stable while the node exists, used again after it was removed. */
  id: number;
  name: string;
  allocatable: Amounts;
  podsMax: number;
  node: Node;
}

/** What the pods on a node ask for, in sum. */
export interface NodeUsage {
  id: number;
  requested: Amounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  pods: number;
}

export interface NodePods {
  id: number;
  /** All of them. An object that was shown before is the same pod, unchanged. */
  pods: readonly PodFacts[];
}

/** In the order in which it is to be applied. */
export interface NodeDelta {
  /** Forget everything first. */
  whole: boolean;
  removed: number[];
  nodes: NodeEntry[];
  usage: NodeUsage[];
  pods: NodePods[];
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

/** What differs from the last answer about a class; `whole`: nodes that are not listed fit. */
export interface VerdictChanges extends Verdicts {
  whole: boolean;
  nodes: ArrayLike<number>;
}

/** As VerdictChanges; nodes that are not listed score 0. */
export interface ScoreChanges {
  whole: boolean;
  nodes: ArrayLike<number>;
  scores: ArrayLike<number>;
}

/** Whether a plugin has a say about a pod: by the pod itself, or because some pod on a node makes it have one. */
export interface Concern {
  pod(pod: PodFacts): boolean;
  pods: ((pod: PodFacts) => boolean) | undefined;
}

export interface NodePlugin {
  name: string;
  /** Of several, the lower is asked first, and named first where a pod does not fit. */
  order: number;
  /**
   * How long an answer about a node holds for one class: not at all; until its object changes; until any node's object changes; until its
   * object or its pods change; until the plugin says so.
   */
  scope: "call" | "object" | "objects" | "node" | "cluster";
  /** What it is shown of a pod: for equal texts and requests it gives equal answers. */
  view(pod: PodFacts): string;
  /**
   * Keys of node labels: of pods of one class that are placed at once, no two go to nodes with the same value of one of them, and what
   * each changes for the others stays there. Empty: it stays on the node. Undefined: such pods are placed one at a time.
   */
  apart(pod: PodFacts): readonly string[] | undefined;
  /** In order, before the calls that depend on it. A plugin that is new receives `whole` first. */
  sync(delta: NodeDelta): Promise<void>;
}

export interface FilterPlugin extends NodePlugin {
  filterConcern: Concern;
  /** One answer for each pod class. A throw fails the attempt: the plugin's failure policy has been applied already. */
  evaluate(pods: readonly PodClass[], nodes: readonly number[]): Promise<Verdicts[]>;
  /** Where the scope is "cluster". */
  updateVerdicts(pod: PodClass): Promise<VerdictChanges>;
}

export interface ScorePlugin extends NodePlugin {
  weight: number;
  scoreConcern: Concern;
  /** To 0–100, over the candidates of one pod (see normalize.ts); "hook": the plugin does it. */
  normalization: "none" | "hook" | "maximum" | "reversed" | "mirrored" | "range";
  /** For each pod class the nodes' scores, in their order. */
  score(pods: readonly PodClass[], nodes: readonly number[]): Promise<ArrayLike<number>[]>;
  /** Where the scope is "cluster". */
  updateScores(pod: PodClass): Promise<ScoreChanges>;
  normalize(scores: ArrayLike<number>): Promise<ArrayLike<number>>;
}

export interface SchedulingPlugins {
  /** Called once, before anything is scheduled. */
  attach(table: NodeTable): void;
  /** What is enabled now, for a pod of this tenant: root's, and the tenant's own. */
  filters(tenant: string): readonly FilterPlugin[];
  scores(tenant: string): readonly ScorePlugin[];
  /** Where it is another than the plugin's own. */
  weightOf?(plugin: ScorePlugin): number;
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
