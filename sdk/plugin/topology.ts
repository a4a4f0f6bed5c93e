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

/** The values of one label, numbered. */
export interface Domains {
  /** By node: its domain, -1 where it lacks the label. */
  of: Int32Array;
  /** By domain. */
  nodes: number[][];
}

/** Pods by the values of one node label. */
export class Counter<T extends Labelled, G> {
  readonly key: string;
  /** What one pod of a group counts; 0: nothing. */
  readonly weigh: (group: G) => number;
  /** By domain. */
  counts = new Int32Array(0);
  /** By domain: it has nodes whose pods count. */
  present = new Uint8Array(0);
  /** How many are present. */
  domainCount = 0;
  /** Over all domains. */
  total = 0;
  #domains: Domains = { of: new Int32Array(0), nodes: [] };
  readonly #eligible: ((row: NodeRow<T>) => boolean) | undefined;
  /** By node; undefined: all count. */
  #counting: Uint8Array | undefined;

  /** `eligible`: nodes whose pods count; left out: all that have the label. */
  constructor(key: string, weigh: (group: G) => number, eligible?: (row: NodeRow<T>) => boolean) {
    this.key = key;
    this.weigh = weigh;
    this.#eligible = eligible;
  }

  /** The node's domain; below 0 where it lacks the label. */
  domainOf(id: number): number {
    return this.#domains.of[id] ?? -1;
  }

  /** The node's count; undefined where it lacks the label. */
  at(id: number): number | undefined {
    const domain = this.domainOf(id);
    return domain < 0 ? undefined : this.counts[domain];
  }

  load(table: NodeTable<T, G>, domains: Domains, weightOf: (group: number) => number): void {
    this.#domains = domains;
    this.counts = new Int32Array(domains.nodes.length);
    this.present = new Uint8Array(domains.nodes.length);
    if (this.#eligible) this.#counting = new Uint8Array(domains.of.length);
    for (const id of table.ids()) {
      const domain = domains.of[id]!;
      const row = table.row(id)!;
      if (domain < 0 || (this.#eligible && !this.#eligible(row))) continue;
      if (this.#counting) this.#counting[id] = 1;
      this.present[domain] = 1;
      for (const [group, count] of row.groups) this.#add(domain, count * weightOf(group));
    }
    this.domainCount = this.present.reduce((sum, present) => sum + present, 0);
  }

  /** The domain whose count changed; below 0: none. */
  add(id: number, by: number): number {
    const domain = this.domainOf(id);
    if (domain < 0 || (this.#counting && this.#counting[id] === 0)) return -1;
    this.#add(domain, by);
    return domain;
  }

  #add(domain: number, by: number): void {
    this.counts[domain]! += by;
    this.total += by;
  }
}

/** What one rule says to one class of pods. */
export interface Rule<T extends Labelled, G> {
  counters: Counter<T, G>[];
  /** From the counts as they are now: a verdict's code, or a score. */
  judge(id: number): number;
  /**
   * Called with the changed domains of each counter before nodes are judged anew, and with undefined when all were counted anew. Answers
   * the domains that have to be looked at, or "all"; left out: those that changed.
   */
  settle?(changed: ReadonlySet<number>[] | undefined): Iterable<number>[] | "all";
}

export interface RuleChanges {
  whole: boolean;
  nodes: number[];
  values: number[];
}

interface Memory<T extends Labelled, G> {
  rule: Rule<T, G>;
  /** By node. */
  values: Int32Array;
  /** By counter: domains that changed since nodes were judged. */
  dirty: Set<number>[];
  isDirty: boolean;
  /** Nodes whose value changed since `update` last answered, perhaps more than once; undefined before it ever did. */
  untold: number[] | undefined;
}

interface Interest<T extends Labelled, G> {
  memory: Memory<T, G>;
  counter: number;
  weight: number;
}

const CLASSES_MAX = 128;

export class TopologyRules<T extends Labelled, G> {
  readonly #table: NodeTable<T, G>;
  readonly #make: (pod: PodClass) => Rule<T, G>;
  readonly #memories = new Map<string, Memory<T, G>>();
  /** By group: who counts its pods. */
  readonly #interests = new Map<number, Interest<T, G>[]>();
  readonly #domains = new Map<string, Domains>();

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
      for (const { memory, counter, weight } of this.#interestsIn(group)) {
        const domain = memory.rule.counters[counter]!.add(node, by * weight);
        if (domain < 0) continue;
        memory.dirty[counter]!.add(domain);
        memory.isDirty = true;
      }
    }
    for (const group of delta.forgotten) this.#interests.delete(group);
  }

  forgetAll(): void {
    this.#memories.clear();
    this.#interests.clear();
    this.#domains.clear();
  }

  /** What changed since the class was last asked about; everything for a class that is new. */
  update(pod: PodClass): RuleChanges {
    const memory = this.#memory(pod);
    this.#settle(memory);
    const { values, untold } = memory;
    memory.untold = [];
    if (untold) return { whole: false, nodes: untold, values: untold.map((id) => values[id]!) };
    const nodes = this.#table.ids().filter((id) => values[id] !== 0);
    return { whole: true, nodes, values: nodes.map((id) => values[id]!) };
  }

  /** Values of these nodes as they are now. */
  values(pod: PodClass, nodes: ArrayLike<number>): number[] {
    const memory = this.#memory(pod);
    this.#settle(memory);
    return Array.from(nodes, (id) => memory.values[id] ?? 0);
  }

  #memory(pod: PodClass): Memory<T, G> {
    const known = this.#memories.get(pod.object);
    if (known) {
      this.#memories.delete(pod.object);
      this.#memories.set(pod.object, known);
      return known;
    }
    const rule = this.#make(pod);
    const ids = this.#table.ids();
    const memory: Memory<T, G> = {
      rule,
      values: new Int32Array((ids.at(-1) ?? -1) + 1),
      dirty: rule.counters.map(() => new Set()),
      isDirty: false,
      untold: undefined,
    };
    for (const [i, counter] of rule.counters.entries()) this.#count(memory, counter, i);
    rule.settle?.(undefined);
    for (const id of ids) memory.values[id] = rule.judge(id);
    this.#memories.set(pod.object, memory);
    if (this.#memories.size > CLASSES_MAX) this.#drop(this.#memories.keys().next().value!);
    return memory;
  }

  #count(memory: Memory<T, G>, counter: Counter<T, G>, i: number): void {
    const weights = new Map<number, number>();
    for (const [id, group] of this.#table.groups) {
      const weight = counter.weigh(group);
      weights.set(id, weight);
      if (weight !== 0) this.#interests.get(id)?.push({ memory, counter: i, weight });
    }
    counter.load(this.#table, this.#domainsOf(counter.key), (group) => weights.get(group) ?? 0);
  }

  #interestsIn(id: number): readonly Interest<T, G>[] {
    const known = this.#interests.get(id);
    if (known) return known;
    const interests: Interest<T, G>[] = [];
    const group = this.#table.groups.get(id);
    if (group === undefined) return interests;
    for (const memory of this.#memories.values()) {
      for (const [counter, { weigh }] of memory.rule.counters.entries()) {
        const weight = weigh(group);
        if (weight !== 0) interests.push({ memory, counter, weight });
      }
    }
    this.#interests.set(id, interests);
    return interests;
  }

  #drop(key: string): void {
    const gone = this.#memories.get(key);
    this.#memories.delete(key);
    for (const [group, interests] of this.#interests) {
      this.#interests.set(
        group,
        interests.filter(({ memory }) => memory !== gone),
      );
    }
  }

  /** Judges anew the nodes that a change may have touched. */
  #settle(memory: Memory<T, G>): void {
    if (!memory.isDirty) return;
    const { rule, values, dirty, untold } = memory;
    const look = rule.settle ? rule.settle(dirty) : dirty;
    const judge = (ids: readonly number[]) => {
      for (const id of ids) {
        const value = rule.judge(id);
        if (value === values[id]) continue;
        values[id] = value;
        untold?.push(id);
      }
    };
    if (look === "all") judge(this.#table.ids());
    else {
      rule.counters.forEach(({ key }, i) => {
        const { nodes } = this.#domainsOf(key);
        for (const domain of look[i]!) judge(nodes[domain]!);
      });
    }
    for (const domains of dirty) domains.clear();
    memory.isDirty = false;
  }

  #domainsOf(key: string): Domains {
    let domains = this.#domains.get(key);
    if (domains) return domains;
    const ids = this.#table.ids();
    domains = { of: new Int32Array((ids.at(-1) ?? -1) + 1).fill(-1), nodes: [] };
    const numbers = new Map<string, number>();
    for (const id of ids) {
      const value = this.#table.row(id)!.facts.labels[key];
      if (value === undefined) continue;
      let number = numbers.get(value);
      if (number === undefined) {
        number = domains.nodes.push([]) - 1;
        numbers.set(value, number);
      }
      domains.of[id] = number;
      domains.nodes[number]!.push(id);
    }
    this.#domains.set(key, domains);
    return domains;
  }
}
