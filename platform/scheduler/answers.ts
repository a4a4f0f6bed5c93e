/**
 * What plugins said, kept for as long as it holds (NodePlugin.scope): pods of one class share verdicts and scores, and a pod that is bound
 * makes one node be asked about again, not all of them.
 */
import type {
  FilterOutcome,
  FilterPlugin,
  NodePlugin,
  PodClass,
  ScoreChanges,
  ScorePlugin,
  VerdictChanges,
} from "./framework.ts";
import type { SchedulerTable } from "./node-table.ts";

/** Of one plugin and kind of answer; the one that was used least lately goes. */
const CLASSES_MAX = 128;

export const UNKNOWN = -(2 ** 31);

/** A verdict's code (0 fits, n > 0 is outcomes[n - 1]) or a score, by node. */
class Answers {
  /** Up to where the table's changes have been taken into account. */
  position = -1;
  values = new Int32Array(0);
  outcomes: readonly FilterOutcome[] = [];

  /** Voids what does not hold any more. */
  follow(table: SchedulerTable, scope: NodePlugin["scope"]): void {
    const position = table.position();
    if (this.values.length < table.capacity()) {
      const wider = new Int32Array(Math.max(64, table.capacity() * 2)).fill(UNKNOWN);
      wider.set(this.values);
      this.values = wider;
    }
    if (position === this.position && scope !== "call") return;
    const changes = this.position < 0 || scope === "call" ? undefined : table.changesSince(this.position);
    this.position = position;
    if (!changes) {
      this.forget();
      return;
    }
    for (const [id, object] of changes) {
      if (scope === "node" || object) this.values[id] = UNKNOWN;
      if (scope !== "objects" || !object) continue;
      this.forget();
      return;
    }
  }

  forget(): void {
    this.values.fill(UNKNOWN);
    this.outcomes = [];
  }
}

/** How much a plugin costs and achieves, as measured lately. */
export interface Power {
  /** Microseconds a node. */
  cost: number;
  /** Of the nodes asked about, how many were refused. */
  rejects: number;
}

interface Known {
  position: number;
  verdicts: Map<string, Answers>;
  scores: Map<string, Answers>;
  power: Power;
}

const SMOOTHING = 0.1;

export interface Asker {
  /** Brings a plugin's table up to date: one that is new, or failed to follow, gets everything. */
  sync(plugin: NodePlugin): Promise<void>;
  /**
   * Those for the nodes named are known. `since`: of a plugin that says itself what has changed, an answer of this position of the table
   * or later is good enough.
   */
  verdicts(plugin: FilterPlugin, pod: PodClass, nodes: readonly number[], since?: number): Promise<Answers>;
  scores(plugin: ScorePlugin, pod: PodClass, nodes: readonly number[], since?: number): Promise<Answers>;
  power(plugin: NodePlugin): Power;
  /** Answers that were asked for, and those that were there, in nodes. */
  readonly counts: { asked: number; cached: number; calls: number };
}

export function createAsker(table: SchedulerTable): Asker {
  const known = new WeakMap<NodePlugin, Known>();
  const counts = { asked: 0, cached: 0, calls: 0 };
  const knownOf = (plugin: NodePlugin): Known => {
    let present = known.get(plugin);
    if (!present) {
      present = { position: -1, verdicts: new Map(), scores: new Map(), power: { cost: 1, rejects: 0 } };
      known.set(plugin, present);
    }
    return present;
  };

  const sync = async (plugin: NodePlugin) => {
    const state = knownOf(plugin);
    const position = table.position();
    if (state.position === position) return;
    const delta = state.position < 0 ? table.whole() : table.deltaSince(state.position);
    state.position = -1;
    await plugin.sync(delta);
    state.position = position;
  };

  /** Fills in what is missing by asking about those nodes. */
  const complete = async (
    plugin: NodePlugin,
    answers: Answers,
    nodes: readonly number[],
    ask: (missing: number[]) => Promise<ArrayLike<number>>,
  ): Promise<void> => {
    const missing = nodes.filter((id) => answers.values[id] === UNKNOWN);
    counts.cached += nodes.length - missing.length;
    if (missing.length === 0) return;
    counts.asked += missing.length;
    counts.calls++;
    await sync(plugin);
    const started = performance.now();
    const values = await ask(missing);
    if (values.length !== missing.length) throw new Error(`plugin ${plugin.name} did not answer for every node`);
    for (let i = 0; i < missing.length; i++) answers.values[missing[i]!] = values[i]!;
    const { power } = knownOf(plugin);
    power.cost += SMOOTHING * (((performance.now() - started) * 1000) / missing.length - power.cost);
  };

  /** Where the plugin says itself what has changed: asks, and takes that over. */
  const update = async <C extends VerdictChanges | ScoreChanges>(
    plugin: NodePlugin,
    answers: Answers,
    since: number | undefined,
    ask: () => Promise<C>,
    valuesOf: (changes: C) => ArrayLike<number>,
  ): Promise<void> => {
    const position = table.position();
    const before = answers.position;
    const isWide = answers.values.length >= table.capacity();
    if (plugin.scope === "cluster" && since !== undefined && before >= since && isWide) return;
    answers.follow(table, plugin.scope);
    if (plugin.scope !== "cluster" || before === position) return;
    // Until the answer is here nothing is known; it may never come.
    answers.position = -1;
    await sync(plugin);
    counts.calls++;
    const changes = await ask();
    if (changes.whole) answers.values.fill(0);
    else if (before < 0) answers.forget();
    const values = valuesOf(changes);
    for (let i = 0; i < changes.nodes.length; i++) answers.values[changes.nodes[i]!] = values[i]!;
    answers.position = position;
  };

  return {
    sync,
    counts,
    power: (plugin) => knownOf(plugin).power,
    async verdicts(plugin, pod, nodes, since) {
      const state = knownOf(plugin);
      const answers = recent(state.verdicts, classKey(pod));
      await update(
        plugin,
        answers,
        since,
        () => plugin.updateVerdicts(pod),
        ({ whole, codes, outcomes }) => {
          if (whole) answers.outcomes = [];
          const known = outcomesOf(answers, outcomes);
          return Array.from(codes, (code) => (code === 0 ? 0 : known[code - 1]!));
        },
      );
      const asked: number[] = [];
      await complete(plugin, answers, nodes, async (missing) => {
        asked.push(...missing);
        const [verdicts] = await plugin.evaluate([pod], missing);
        if (!verdicts) return [];
        const known = outcomesOf(answers, verdicts.outcomes);
        return Array.from(verdicts.codes, (code) => (code === 0 ? 0 : known[code - 1]!));
      });
      if (asked.length > 0) {
        const refused = asked.filter((id) => answers.values[id]! > 0).length;
        state.power.rejects += SMOOTHING * (refused / asked.length - state.power.rejects);
      }
      return answers;
    },
    async scores(plugin, pod, nodes, since) {
      const answers = recent(knownOf(plugin).scores, classKey(pod));
      await update(
        plugin,
        answers,
        since,
        () => plugin.updateScores(pod),
        ({ scores }) => scores,
      );
      await complete(plugin, answers, nodes, async (missing) => (await plugin.score([pod], missing))[0] ?? []);
      return answers;
    },
  };
}

/** Outcomes of one answer among those known: by code - 1, the code here. */
function outcomesOf(answers: Answers, outcomes: readonly FilterOutcome[]): number[] {
  const all = [...answers.outcomes];
  const codes = outcomes.map((outcome) => {
    const text = JSON.stringify(outcome);
    const at = all.findIndex((other) => JSON.stringify(other) === text);
    return (at >= 0 ? at : all.push(outcome) - 1) + 1;
  });
  answers.outcomes = all;
  return codes;
}

export const classKey = ({ requests, nonzeroCpuMilli, nonzeroMemory, view }: PodClass): string => {
  const { cpuMilli, memory, ephemeralStorage, others } = requests;
  const more = others.length > 0 ? JSON.stringify(others) : "";
  return `${cpuMilli},${memory},${ephemeralStorage},${nonzeroCpuMilli},${nonzeroMemory},${more} ${view}`;
};

function recent(all: Map<string, Answers>, key: string): Answers {
  const present = all.get(key) ?? new Answers();
  all.delete(key);
  all.set(key, present);
  if (all.size > CLASSES_MAX) all.delete(all.keys().next().value!);
  return present;
}
