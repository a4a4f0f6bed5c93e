/** One decision: which nodes for pods of one class, or why none. */
import { type Asker, classKey } from "./answers.ts";
import type {
  Demand,
  FilterOutcome,
  FilterPlugin,
  NodePlugin,
  PodClass,
  PodFacts,
  SchedulingPlugins,
  ScorePlugin,
} from "./framework.ts";
import { ABOUT_POD } from "./messages.ts";
import type { SchedulerTable } from "./node-table.ts";
import { normalized, SCORE_MAX } from "./normalize.ts";
import type { SchedulingEvent } from "./queue.ts";

export interface SearchOptions {
  /** A node that one filter refuses isn't shown to the next; otherwise every filter says what it has against every node. */
  shortCircuit: boolean;
  /** Filters that reject much for little are asked first. */
  orderByPower: boolean;
  /** Percent of the nodes that have to be found feasible before the best is chosen; 0: as upstream, by the number of nodes; 100: all. */
  percentageOfNodesToScore: number;
}

export const DEFAULT_SEARCH: SearchOptions = { shortCircuit: true, orderByPower: true, percentageOfNodesToScore: 0 };

/** A pod with everything that plugins are asked with. */
export interface Question {
  filters: Asked<FilterPlugin>[];
  scores: (Asked<ScorePlugin> & { weight: number })[];
  /** Equal for pods that get equal answers from all plugins. */
  signature: string;
  /** Keys of node labels by which such pods are kept apart when several are placed at once; undefined: they are placed one at a time. */
  apart: readonly string[] | undefined;
}

export interface Asked<P extends NodePlugin> {
  plugin: P;
  pod: PodClass;
  /** By what this one wants such pods kept apart. */
  apart: readonly string[] | undefined;
}

export interface Wanted {
  /** How many pods there are to place. */
  count: number;
  /** Nodes that are not to be looked at: they have just got such a pod, and were not asked about since. */
  except?: ReadonlySet<number>;
  /** With `except`, the table's position before these pods were placed: a plugin for which they changed those nodes only need not be asked again. */
  since?: number | undefined;
}

/** As many nodes as were wanted or fewer, each another and apart, in no order. */
export interface Placement {
  nodes: number[];
  /** The score that they share. */
  top: number;
  /** How many nodes were compared. */
  considered: number;
  /** What the plugins gave the first, before weights; empty where there was nothing to compare. */
  byPlugin: Record<string, number>;
}

export type Decision = Placement | Refusal;

export interface Refusal {
  /** By node: everything that spoke against it. */
  failures: Map<number, FilterOutcome>;
  /** What may change a refusal. */
  until: SchedulingEvent[];
}

const concerns = ({ pod, pods }: FilterPlugin["filterConcern"], facts: PodFacts, table: SchedulerTable): boolean =>
  pod(facts) || (pods !== undefined && table.count(pods) > 0);

/** What is to be asked about a pod, of whom. */
export function questionOf(
  facts: PodFacts,
  demand: Demand,
  plugins: SchedulingPlugins,
  table: SchedulerTable,
): Question {
  const classes = new Map<NodePlugin, Omit<Asked<NodePlugin>, "plugin">>();
  const asked = <P extends NodePlugin>(plugin: P): Asked<P> => {
    let known = classes.get(plugin);
    if (!known) {
      known = { pod: { ...demand, view: plugin.view(facts) }, apart: plugin.apart(facts) };
      classes.set(plugin, known);
    }
    return { plugin, ...known };
  };
  const filters = plugins.filters(facts.tenant).filter(({ filterConcern }) => concerns(filterConcern, facts, table));
  const scores = plugins.scores(facts.tenant).filter(({ scoreConcern }) => concerns(scoreConcern, facts, table));
  const question = {
    filters: filters.map(asked).sort((a, b) => a.plugin.order - b.plugin.order),
    scores: scores.map((plugin) => ({ ...asked(plugin), weight: plugins.weightOf?.(plugin) ?? plugin.weight })),
    signature: "",
    apart: together([...classes.values()]),
  };
  const parts = [...classes].map(([{ name }, { pod }]) => `${name} ${classKey(pod)}`);
  const { apart = ["alone"] } = question;
  question.signature = `${[...filters, ...scores].map(({ name }) => name)} ${apart}\n${parts.join("\n")}`;
  return question;
}

/** What all of them want kept apart; undefined where one wants the pod alone. */
function together(all: readonly Pick<Asked<NodePlugin>, "apart">[]): readonly string[] | undefined {
  const keys = new Set<string>();
  for (const { apart } of all) {
    if (!apart) return undefined;
    for (const key of apart) keys.add(key);
  }
  return [...keys];
}

const ENOUGH_MIN = 100;
const PERCENT_MIN = 5;

/** How many feasible nodes are enough (upstream: numFeasibleNodesToFind). */
export function enoughNodes(all: number, percentage: number): number {
  if (all < ENOUGH_MIN || percentage >= 100) return all;
  const adaptive = Math.max(PERCENT_MIN, 50 - Math.trunc(all / 125));
  return Math.max(ENOUGH_MIN, Math.trunc((all * (percentage === 0 ? adaptive : percentage)) / 100));
}

export interface SearchCounts {
  /** Nodes that were looked at, and those that did not have to be because enough were feasible. */
  examined: number;
  spared: number;
  /** Questions to filters that a refusal before made needless. */
  shortCircuited: number;
}

export interface Search {
  decide(question: Question, wanted: Wanted): Promise<Decision>;
  /** Of these nodes, which every filter lets pass, and what was said of the others. Nothing is remembered. */
  filter(
    question: Question,
    nodes: readonly number[],
  ): Promise<{ feasible: number[]; failures: Map<number, FilterOutcome> }>;
  readonly counts: SearchCounts;
}

export function createSearch(
  table: SchedulerTable,
  asker: Asker,
  options: SearchOptions = DEFAULT_SEARCH,
  random: () => number = Math.random,
): Search {
  const counts: SearchCounts = { examined: 0, spared: 0, shortCircuited: 0 };
  /** Where the next search starts, so that every node has its turn. */
  let start = 0;

  const inOrder = (filters: readonly Asked<FilterPlugin>[]) => {
    if (!options.orderByPower) return filters;
    const price = ({ plugin }: Asked<FilterPlugin>) => {
      const { cost, rejects } = asker.power(plugin);
      return cost / (rejects + 0.01);
    };
    return filters.toSorted((a, b) => price(a) - price(b));
  };

  /** Every domain is one node, and the nodes that changed are not looked at: what the plugin said of the others still holds. */
  const holding = ({ apart }: Asked<NodePlugin>, since: number | undefined): number | undefined =>
    apart?.every(table.isUnique) ? since : undefined;

  const passing = async (
    filters: readonly Asked<FilterPlugin>[],
    nodes: readonly number[],
    since: number | undefined,
  ): Promise<number[]> => {
    let left: readonly number[] = nodes;
    for (const [i, asking] of filters.entries()) {
      if (left.length === 0) break;
      const { plugin, pod } = asking;
      const shown = options.shortCircuit ? left : nodes;
      const { values } = await asker.verdicts(plugin, pod, shown, holding(asking, since));
      const asked = left.length;
      left = left.filter((id) => values[id] === 0);
      if (options.shortCircuit) counts.shortCircuited += (asked - left.length) * (filters.length - i - 1);
    }
    return [...left];
  };

  /** What to say of nodes that do not fit: the first refusal in the plugins' own order, whatever order they were asked in. */
  const explain = async (filters: readonly Asked<FilterPlugin>[], nodes: readonly number[]) => {
    const failures = new Map<number, FilterOutcome>();
    const refusing = new Set<NodePlugin["scope"]>();
    let left = [...nodes];
    for (const { plugin, pod } of filters) {
      const { values, outcomes } = await asker.verdicts(plugin, pod, options.shortCircuit ? left : nodes);
      for (const id of options.shortCircuit ? left : nodes) {
        const code = values[id]!;
        if (code <= 0) continue;
        const outcome = outcomes[code - 1] ?? { reasons: [`refused by ${plugin.name}`], unresolvable: false };
        refusing.add(plugin.scope);
        const before = failures.get(id);
        failures.set(id, before ? both(before, outcome) : outcome);
      }
      left = left.filter((id) => !failures.has(id));
    }
    // What is wrong with the pod itself is all there is to say.
    const about = [...failures.values()].find(({ reasons }) => reasons.some((reason) => reason.startsWith(ABOUT_POD)));
    if (about) for (const id of failures.keys()) failures.set(id, about);
    return { failures, until: eventsFor(refusing) };
  };

  const find = async (question: Question, { except, since }: Wanted): Promise<number[]> => {
    const ids = table.ids();
    const enough = enoughNodes(ids.length, options.percentageOfNodesToScore);
    const filters = inOrder(question.filters);
    const feasible: number[] = [];
    let examined = 0;
    while (examined < ids.length && feasible.length < enough) {
      const size = Math.min(ids.length - examined, Math.max(ENOUGH_MIN, enough - feasible.length));
      const chunk: number[] = [];
      for (let i = 0; i < size; i++) {
        const id = ids[(start + examined + i) % ids.length]!;
        if (!except?.has(id)) chunk.push(id);
      }
      for (const id of await passing(filters, chunk, since)) feasible.push(id);
      examined += size;
    }
    start = ids.length > 0 ? (start + examined) % ids.length : 0;
    counts.examined += examined;
    counts.spared += ids.length - examined;
    return feasible;
  };

  const rate = async (scores: Question["scores"], nodes: readonly number[], since: number | undefined) => {
    const totals = new Float64Array(nodes.length);
    const parts: [name: string, scores: ArrayLike<number>][] = [];
    for (const asking of scores) {
      const { plugin, pod, weight } = asking;
      const { values } = await asker.scores(plugin, pod, nodes, holding(asking, since));
      const own = new Float64Array(nodes.length);
      for (let i = 0; i < own.length; i++) own[i] = values[nodes[i]!]!;
      const scaled =
        plugin.normalization === "hook" ? await plugin.normalize(own) : normalized(plugin.normalization, own);
      if (scaled.length !== nodes.length) throw new Error(`score ${plugin.name} did not answer for every node`);
      parts.push([plugin.name, scaled]);
      for (let i = 0; i < totals.length; i++) {
        totals[i]! += weight * Math.max(0, Math.min(SCORE_MAX, scaled[i]!));
      }
    }
    return { totals, parts };
  };

  /** Whether a node may be taken beside those that were: by its place in the list. Remembers it where it may. */
  const apart = (nodes: readonly number[], keys: readonly string[]) => {
    const taken = keys.map(() => new Set<string>());
    return (i: number): boolean => {
      const values = keys.map((key) => table.labelOf(nodes[i]!, key));
      if (values.some((value, k) => value !== undefined && taken[k]!.has(value))) return false;
      for (const [k, value] of values.entries()) if (value !== undefined) taken[k]!.add(value);
      return true;
    };
  };

  return {
    counts,
    async decide(question, wanted) {
      const { count, except, since } = wanted;
      const feasible = await find(question, wanted);
      if (feasible.length === 0) {
        if (except && except.size > 0) return { nodes: [], top: 0, considered: 0, byPlugin: {} };
        return await explain(question.filters, table.ids());
      }
      if (feasible.length === 1) return { nodes: feasible, top: 0, considered: 1, byPlugin: {} };
      const { totals, parts } = await rate(question.scores, feasible, since);
      let top = Number.NEGATIVE_INFINITY;
      for (const total of totals) if (total > top) top = total;
      const best: number[] = [];
      for (let i = 0; i < totals.length; i++) if (totals[i] === top) best.push(i);
      const chosen = some(best, count, random, apart(feasible, question.apart ?? []));
      const byPlugin = Object.fromEntries(parts.map(([name, scaled]) => [name, scaled[chosen[0]!]!]));
      return { nodes: chosen.map((i) => feasible[i]!), top, considered: feasible.length, byPlugin };
    },
    async filter(question, nodes) {
      const failures = new Map<number, FilterOutcome>();
      let feasible = [...nodes];
      for (const { plugin, pod } of question.filters) {
        if (feasible.length === 0) break;
        const [verdicts] = await plugin.evaluate([pod], feasible);
        if (verdicts?.codes.length !== feasible.length) {
          throw new Error(`filter ${plugin.name} did not answer for every node`);
        }
        const { codes, outcomes } = verdicts;
        for (const [i, id] of feasible.entries()) if (codes[i] !== 0) failures.set(id, outcomes[codes[i]! - 1]!);
        feasible = feasible.filter((id) => !failures.has(id));
      }
      return { feasible, failures };
    },
  };
}

/** A refusal by a node's object is changed by nodes, one by the pods there also by pods that go, one by all pods by any of them. */
function eventsFor(refusing: ReadonlySet<NodePlugin["scope"]>): SchedulingEvent[] {
  const some = (...scopes: NodePlugin["scope"][]) => scopes.some((scope) => refusing.has(scope));
  return [
    "node",
    "other",
    ...(some("node", "cluster", "call") ? (["podGone"] as const) : []),
    ...(some("cluster", "call") ? (["podPlaced"] as const) : []),
    ...(some("call") ? (["devices"] as const) : []),
  ];
}

const both = (a: FilterOutcome, b: FilterOutcome): FilterOutcome => ({
  reasons: [...a.reasons, ...b.reasons],
  unresolvable: a.unresolvable || b.unresolvable,
});

/** So many in a row that may not be taken: there are hardly others, and looking for them would cost more than the next search. */
const MISSES_MAX = 24;

/** As many as wanted of those that may be taken, or fewer, by chance: among equally good nodes several schedulers spread. */
function some(all: number[], wanted: number, random: () => number, mayTake: (item: number) => boolean): number[] {
  const chosen: number[] = [];
  let misses = 0;
  for (let i = 0; i < all.length && chosen.length < wanted && misses < MISSES_MAX; i++) {
    const j = i + Math.floor(random() * (all.length - i));
    [all[i], all[j]] = [all[j]!, all[i]!];
    if (mayTake(all[i]!)) {
      chosen.push(all[i]!);
      misses = 0;
    } else misses++;
  }
  return chosen;
}
