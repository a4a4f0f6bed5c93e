/**
 * For rules that count pods by topology (zones, hosts): what a class of pods was told about every node is remembered, and a pod that is
 * placed somewhere changes counts and the nodes of one domain, not everything. Counting is done by groups of pods, of which
 * there are as many as there are kinds of pods: a selector is matched once a group.
 */
import type { Changes, NodeRow, NodeTable } from "./scheduling.ts";
import type { NodeDelta, PodClass } from "./types.ts";

export interface Labelled {
  labels: Record<string, string>;
}

/** Pods by the values of one node label. */
export class Counter<T extends Labelled, G> {
  readonly key: string;
  /** Domains of the nodes that count, also those without a pod. */
  readonly counts = new Map<string, number>();
  /** Over all domains. */
  total = 0;
  readonly #weigh: (group: G) => number;
  readonly #eligible: (row: NodeRow<T>) => boolean;
  readonly #weights = new Map<number, number>();

  /** `weigh`: what one pod of a group counts (0: nothing). `eligible`: nodes whose pods count; left out: all that have the label. */
  constructor(key: string, weigh: (group: G) => number, eligible: (row: NodeRow<T>) => boolean = () => true) {
    this.key = key;
    this.#weigh = weigh;
    this.#eligible = eligible;
  }

  /** The node's count; undefined where it lacks the label. */
  at(row: NodeRow<T>): number | undefined {
    const value = row.facts.labels[this.key];
    return value === undefined ? undefined : (this.counts.get(value) ?? 0);
  }

  load(table: NodeTable<T, G>): void {
    for (const id of table.ids()) {
      const row = table.row(id)!;
      const value = row.facts.labels[this.key];
      if (value === undefined || !this.#eligible(row)) continue;
      let sum = 0;
      for (const [group, count] of row.groups) sum += count * this.#weight(table, group);
      this.counts.set(value, (this.counts.get(value) ?? 0) + sum);
      this.total += sum;
    }
  }

  /** The domain whose count changed. */
  add(table: NodeTable<T, G>, row: NodeRow<T>, group: number, by: number): string | undefined {
    const weight = this.#weight(table, group);
    if (weight === 0) return undefined;
    const value = row.facts.labels[this.key];
    if (value === undefined || !this.#eligible(row)) return undefined;
    this.counts.set(value, (this.counts.get(value) ?? 0) + by * weight);
    this.total += by * weight;
    return value;
  }

  forget(group: number): void {
    this.#weights.delete(group);
  }

  #weight(table: NodeTable<T, G>, id: number): number {
    let weight = this.#weights.get(id);
    if (weight === undefined) {
      const group = table.groups.get(id);
      weight = group === undefined ? 0 : this.#weigh(group);
      this.#weights.set(id, weight);
    }
    return weight;
  }
}

/** What one rule says to one class of pods. */
export interface Rule<T extends Labelled, G> {
  counters: Counter<T, G>[];
  /** From the counts as they are now: a verdict's code, or a score. */
  judge(row: NodeRow<T>): number;
  /**
   * Called with the changed domains of each counter before nodes are judged anew. Answers the domains that have to be looked at, or
   * "all"; left out: those that changed.
   */
  settle?(changed: ReadonlySet<string>[]): ReadonlySet<string>[] | "all";
}

export interface RuleChanges {
  whole: boolean;
  nodes: number[];
  values: number[];
}

interface Memory<T extends Labelled, G> {
  rule: Rule<T, G>;
  /** By node; missing: 0. */
  values: Map<number, number>;
  /** By counter: domains that changed since nodes were judged. */
  dirty: Set<string>[];
  /** Nodes whose value is another than when `update` last answered; undefined before it ever did. */
  untold: Set<number> | undefined;
}

const CLASSES_MAX = 128;

export class TopologyRules<T extends Labelled, G> {
  readonly #table: NodeTable<T, G>;
  readonly #make: (pod: PodClass) => Rule<T, G>;
  readonly #memories = new Map<string, Memory<T, G>>();
  /** Label → value → nodes. */
  readonly #domains = new Map<string, Map<string, number[]>>();

  constructor(table: NodeTable<T, G>, make: (pod: PodClass) => Rule<T, G>) {
    this.#table = table;
    this.#make = make;
  }

  /** After the table has applied it. */
  applied(delta: NodeDelta, changes: Changes): void {
    if (changes.nodes) {
      this.forgetAll();
      return;
    }
    for (const { node, group, by } of changes.pods) {
      const row = this.#table.row(node);
      if (!row) continue;
      for (const { rule, dirty } of this.#memories.values()) {
        rule.counters.forEach((counter, i) => {
          const domain = counter.add(this.#table, row, group, by);
          if (domain !== undefined) dirty[i]!.add(domain);
        });
      }
    }
    for (const group of delta.forgotten) {
      for (const { rule } of this.#memories.values()) for (const counter of rule.counters) counter.forget(group);
    }
  }

  forgetAll(): void {
    this.#memories.clear();
    this.#domains.clear();
  }

  /** What changed since the class was last asked about; everything for a class that is new. */
  update(pod: PodClass): RuleChanges {
    const memory = this.#memory(pod);
    this.#settle(memory);
    const { values, untold } = memory;
    memory.untold = new Set();
    if (!untold) return { whole: true, nodes: [...values.keys()], values: [...values.values()] };
    const nodes = [...untold];
    return { whole: false, nodes, values: nodes.map((id) => values.get(id) ?? 0) };
  }

  /** Values of these nodes as they are now. */
  values(pod: PodClass, nodes: ArrayLike<number>): number[] {
    const memory = this.#memory(pod);
    this.#settle(memory);
    return Array.from(nodes, (id) => memory.values.get(id) ?? 0);
  }

  #memory(pod: PodClass): Memory<T, G> {
    const known = this.#memories.get(pod.object);
    if (known) {
      this.#memories.delete(pod.object);
      this.#memories.set(pod.object, known);
      return known;
    }
    const rule = this.#make(pod);
    for (const counter of rule.counters) counter.load(this.#table);
    rule.settle?.(rule.counters.map((counter) => new Set(counter.counts.keys())));
    const values = new Map<number, number>();
    for (const id of this.#table.ids()) {
      const value = rule.judge(this.#table.row(id)!);
      if (value !== 0) values.set(id, value);
    }
    const memory: Memory<T, G> = { rule, values, dirty: rule.counters.map(() => new Set()), untold: undefined };
    this.#memories.set(pod.object, memory);
    if (this.#memories.size > CLASSES_MAX) this.#memories.delete(this.#memories.keys().next().value!);
    return memory;
  }

  /** Judges anew the nodes that a change may have touched. */
  #settle({ rule, values, dirty, untold }: Memory<T, G>): void {
    if (dirty.every((domains) => domains.size === 0)) return;
    const look = rule.settle ? rule.settle(dirty) : dirty;
    const judge = (id: number) => {
      const value = rule.judge(this.#table.row(id)!);
      if (value === (values.get(id) ?? 0)) return;
      values.set(id, value);
      untold?.add(id);
    };
    if (look === "all") this.#table.ids().forEach(judge);
    else {
      rule.counters.forEach(({ key }, i) => {
        for (const domain of look[i]!) for (const id of this.#nodesOf(key, domain)) judge(id);
      });
    }
    for (const domains of dirty) domains.clear();
  }

  #nodesOf(key: string, value: string): readonly number[] {
    let index = this.#domains.get(key);
    if (!index) {
      index = new Map();
      for (const id of this.#table.ids()) {
        const found = this.#table.row(id)!.facts.labels[key];
        if (found === undefined) continue;
        const nodes = index.get(found);
        if (nodes) nodes.push(id);
        else index.set(found, [id]);
      }
      this.#domains.set(key, index);
    }
    return index.get(value) ?? [];
  }
}
