/** For filter and score plugins: the node table that deltas keep current, and verdicts from one answer a node. */
import type { Amounts, NodeDelta, Outcome, Verdicts } from "./types.ts";

export interface NodeRow<T> {
  name: string;
  allocatable: Amounts;
  podsMax: number;
  /** What `parse` made of the node's projection. */
  facts: T;
  requested: Amounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  pods: number;
  /** How many pods of which group. */
  groups: Map<number, number>;
}

const nothing: Amounts = { cpuMilli: 0, memory: 0, ephemeralStorage: 0, others: [] };

export interface PodChange {
  node: number;
  group: number;
  /** More (or fewer, below 0) than before. */
  by: number;
}

export interface Changes {
  /** Nodes came, went or changed: what was computed from nodes' facts is void. */
  nodes: boolean;
  /** Meaningless where `nodes` is true. */
  pods: PodChange[];
}

/** What nodes have left, by their ids: the interpreter reads numbers of an array several times faster than those of objects. */
export interface Room {
  /** -Infinity where there is no room for one more pod, or no such node. */
  readonly cpuMilli: number[];
  readonly memory: number[];
}

/** T: what is kept of a node, G: what is kept of a group of pods. */
export class NodeTable<T, G = undefined> {
  readonly groups = new Map<number, G>();
  readonly room: Room = { cpuMilli: [], memory: [] };
  readonly #rows: (NodeRow<T> | undefined)[] = [];
  readonly #parse: (object: string) => T;
  readonly #parseGroup: ((object: string) => G) | undefined;
  /** Groups without pods: known until the next delta, for who has to uncount the last one. */
  #leaving: readonly number[] = [];
  constructor(parse: (object: string) => T, parseGroup?: (object: string) => G) {
    this.#parse = parse;
    this.#parseGroup = parseGroup;
  }

  apply(delta: NodeDelta): Changes {
    if (delta.whole) {
      this.#rows.length = 0;
      this.groups.clear();
      for (const column of Object.values(this.room)) column.length = 0;
    }
    for (const id of delta.removed) {
      this.#rows[id] = undefined;
      this.room.cpuMilli[id] = Number.NEGATIVE_INFINITY;
    }
    for (const { id, name, allocatable, podsMax, object } of delta.nodes) {
      const facts = this.#parse(object);
      const row = this.#rows[id];
      if (row) Object.assign(row, { name, allocatable, podsMax, facts });
      else {
        const empty = { requested: nothing, nonzeroCpuMilli: 0, nonzeroMemory: 0, pods: 0, groups: new Map() };
        this.#rows[id] = { name, allocatable, podsMax, facts, ...empty };
      }
    }
    for (const { id, ...usage } of delta.usage) {
      const row = this.#rows[id];
      if (row) Object.assign(row, usage);
    }
    for (const { id } of delta.nodes) this.#measure(id);
    for (const { id } of delta.usage) this.#measure(id);
    const pods = this.#place(delta);
    return { nodes: delta.whole || delta.removed.length > 0 || delta.nodes.length > 0, pods };
  }

  #measure(id: number): void {
    const row = this.#rows[id];
    if (!row) return;
    const isFull = row.pods >= row.podsMax;
    this.room.cpuMilli[id] = isFull ? Number.NEGATIVE_INFINITY : row.allocatable.cpuMilli - row.requested.cpuMilli;
    this.room.memory[id] = row.allocatable.memory - row.requested.memory;
  }

  #place(delta: NodeDelta): PodChange[] {
    const parse = this.#parseGroup;
    if (!parse) return [];
    for (const id of this.#leaving) this.groups.delete(id);
    for (const { id, object } of delta.groups) this.groups.set(id, parse(object));
    const changes: PodChange[] = [];
    for (const { node, group, count } of delta.placements) {
      const present = this.#rows[node]?.groups;
      if (!present) continue;
      const by = count - (present.get(group) ?? 0);
      if (count === 0) present.delete(group);
      else present.set(group, count);
      if (by !== 0) changes.push({ node, group, by });
    }
    this.#leaving = delta.forgotten;
    return changes;
  }

  row(id: number): NodeRow<T> | undefined {
    return this.#rows[id];
  }

  /** Every node there is. */
  ids(): number[] {
    const ids: number[] = [];
    for (let id = 0; id < this.#rows.length; id++) if (this.#rows[id]) ids.push(id);
    return ids;
  }

  /** The groups of the pods on a node, each with how many there are. */
  *podsOn(row: NodeRow<T>): Iterable<[group: G, count: number]> {
    for (const [id, count] of row.groups) {
      const group = this.groups.get(id);
      if (group !== undefined) yield [group, count];
    }
  }
}

const interned = new Map<string, Outcome>();
const INTERNED_MAX = 1000;

/** Equal outcomes are one object, by which `verdicts` knows them. */
export function outcome(reasons: string[], unresolvable: boolean): Outcome {
  const key = `${unresolvable}\n${reasons.join("\n")}`;
  let known = interned.get(key);
  if (!known) {
    if (interned.size >= INTERNED_MAX) interned.clear();
    known = { reasons, unresolvable };
    interned.set(key, known);
  }
  return known;
}

const GONE = outcome(["node(s) were not known"], true);

/** Asks about each node. `judge` answers undefined where the node fits, otherwise what `outcome` made. */
export function verdicts<T, G>(
  table: NodeTable<T, G>,
  nodes: ArrayLike<number>,
  judge: (row: NodeRow<T>) => Outcome | undefined,
): Verdicts {
  const outcomes: Outcome[] = [];
  // A typed array crosses in one piece.
  const codes = new Uint16Array(nodes.length);
  let last: Outcome | undefined;
  let lastCode = 0;
  for (let i = 0; i < nodes.length; i++) {
    const row = table.row(nodes[i] as number);
    const verdict = row ? judge(row) : GONE;
    if (verdict && verdict !== last) {
      last = verdict;
      lastCode = outcomes.indexOf(verdict) + 1 || outcomes.push(verdict);
    }
    codes[i] = verdict ? lastCode : 0;
  }
  return { codes, outcomes };
}

/** As `verdicts`, of nodes that lack room for so much CPU and memory and one more pod; the others fit, and are not asked about. */
export function verdictsOfRoom<T, G>(
  table: NodeTable<T, G>,
  { cpuMilli, memory }: Pick<Amounts, "cpuMilli" | "memory">,
  nodes: ArrayLike<number>,
  judge: (row: NodeRow<T>) => Outcome | undefined,
): Verdicts {
  const { cpuMilli: cpus, memory: memories } = table.room;
  // What asks for nothing of something fits where that is used up.
  const cpuWanted = cpuMilli > 0 ? cpuMilli : -Number.MAX_VALUE;
  const memoryWanted = memory > 0 ? memory : -Number.MAX_VALUE;
  const outcomes: Outcome[] = [];
  const count = nodes.length;
  const codes = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    const id = nodes[i] as number;
    if (cpuWanted <= (cpus[id] as number) && memoryWanted <= (memories[id] as number)) continue;
    const row = table.row(id);
    const verdict = row ? judge(row) : GONE;
    codes[i] = verdict ? outcomes.indexOf(verdict) + 1 || outcomes.push(verdict) : 0;
  }
  return { codes, outcomes };
}

/** Scores each node; one that is not known has 0. */
export function scores<T, G>(
  table: NodeTable<T, G>,
  nodes: ArrayLike<number>,
  scoreOf: (row: NodeRow<T>) => number,
): number[] {
  const answer = new Array<number>(nodes.length);
  for (let i = 0; i < nodes.length; i++) {
    const row = table.row(nodes[i] as number);
    answer[i] = row ? scoreOf(row) : 0;
  }
  return answer;
}

/** To 0–100 by the greatest; `reverse`: the greatest becomes 0 (upstream's DefaultNormalizeScore). */
export function normalizeByMaximum(scores: ArrayLike<number>, reverse: boolean): number[] {
  const all = Array.from(scores);
  const maximum = Math.max(0, ...all);
  if (maximum === 0) return all.map((score) => (reverse ? 100 : score));
  return all.map((score) => {
    const scaled = Math.trunc((100 * score) / maximum);
    return reverse ? 100 - scaled : scaled;
  });
}
