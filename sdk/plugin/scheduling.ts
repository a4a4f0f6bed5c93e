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
}

const nothing: Amounts = { cpuMilli: 0, memory: 0, ephemeralStorage: 0, others: [] };

export class NodeTable<T> {
  readonly #rows: (NodeRow<T> | undefined)[] = [];
  readonly #parse: (object: string) => T;
  constructor(parse: (object: string) => T) {
    this.#parse = parse;
  }

  apply(delta: NodeDelta): void {
    if (delta.whole) this.#rows.length = 0;
    for (const id of delta.removed) this.#rows[id] = undefined;
    for (const { id, name, allocatable, podsMax, object } of delta.nodes) {
      const facts = this.#parse(object);
      const row = this.#rows[id];
      if (row) Object.assign(row, { name, allocatable, podsMax, facts });
      else {
        const empty = { requested: nothing, nonzeroCpuMilli: 0, nonzeroMemory: 0, pods: 0 };
        this.#rows[id] = { name, allocatable, podsMax, facts, ...empty };
      }
    }
    for (const { id, ...usage } of delta.usage) {
      const row = this.#rows[id];
      if (row) Object.assign(row, usage);
    }
  }

  row(id: number): NodeRow<T> | undefined {
    return this.#rows[id];
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
export function verdicts<T>(
  table: NodeTable<T>,
  nodes: ArrayLike<number>,
  judge: (row: NodeRow<T>) => Outcome | undefined,
): Verdicts {
  const outcomes: Outcome[] = [];
  const codes = new Array<number>(nodes.length);
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
