/**
 * Gives nodes to several pods of one class, as one by one would: a node that has just got one is not looked at for the next, nor another in its
 * domain where such pods are kept apart, until it was asked about again. That is right as long as no node becomes better by being chosen.
 */
import type { Pod } from "#sdk/api/generated/types.ts";
import type { Question, Refusal, Search } from "./decide.ts";
import type { SchedulerTable } from "./node-table.ts";
import type { QueuedPod } from "./queue.ts";
import type { Traces } from "./traces.ts";

/** At once, while what they change stays on their nodes. */
const BATCH_MAX = 256;
/** At once, where plugins are asked about the others after each few of them. */
const BATCH_APART_MAX = 64;
const CLASSES_MAX = 1024;

export interface Candidate {
  item: QueuedPod;
  pod: Pod;
  question: Question;
  search: Search;
}

export interface Placed {
  placed: [Candidate, node: string][];
  /** Why the others have no node; they are the last of those that were given. */
  refusal?: Refusal;
}

export interface Placer {
  /** How many of a class may be placed at once now. */
  size(question: Question): number;
  /** Gives these, which cannot be told apart, nodes that count as theirs from then on. */
  place(candidates: readonly Candidate[]): Promise<Placed>;
}

export const cannotBeToldApart = (a: Candidate, b: Candidate): boolean =>
  a.question.signature === b.question.signature &&
  a.search === b.search &&
  (a.pod.spec?.priority ?? 0) === (b.pod.spec?.priority ?? 0);

/** How many of a class are placed at once: doubled while nodes do not become better by being chosen. */
interface Pace {
  size: number;
  /** The best score of the last time, and who got a pod then. */
  top: number;
  chosen: ReadonlySet<number>;
}

/** What is kept for a pod beside its room: it counts for the next decision, which may be another pod's of the same call. */
export interface Keeper {
  /** Throws where it is not there any more. */
  reserve(candidate: Candidate, node: number): void;
  /** The pod does not go there: its room and what was kept are free again. */
  giveUp(candidate: Candidate): void;
}

export function createPlacer(table: SchedulerTable, traces: Traces, keeper: Keeper): Placer {
  const paces = new Map<string, Pace>();

  const paceOf = ({ signature }: Question): Pace => {
    const known = paces.get(signature);
    if (known) return known;
    const pace = { size: 1, top: Number.POSITIVE_INFINITY, chosen: new Set<number>() };
    paces.set(signature, pace);
    if (paces.size > CLASSES_MAX) paces.delete(paces.keys().next().value!);
    return pace;
  };

  /** A score that rose by placing a pod: the next would go to the same node. */
  const adjust = (pace: Pace, nodes: readonly number[], top: number): number => {
    const isBetter = top > pace.top && nodes.some((id) => pace.chosen.has(id));
    pace.size = isBetter ? 1 : Math.min(BATCH_MAX, pace.size * 2);
    pace.top = top;
    return pace.size;
  };

  const sizeOf = (question: Question): number => {
    if (question.apart === undefined) return 1;
    return Math.min(paceOf(question).size, question.apart.length > 0 ? BATCH_APART_MAX : BATCH_MAX);
  };

  /** Until all have a node, or no node fits. */
  const fill = async (candidates: readonly Candidate[], placed: Placed["placed"]): Promise<{ refusal?: Refusal }> => {
    const { question, search, item } = candidates[0]!;
    const pace = paceOf(question);
    const chosen = new Set<number>();
    let size = sizeOf(question);
    /** Chosen since all nodes were looked at. */
    let except = new Set<number>();
    let since: number | undefined;
    while (placed.length < candidates.length) {
      const count = Math.min(candidates.length - placed.length, size);
      const before = table.position();
      const decision = await search.decide(question, { count, except, since });
      if ("failures" in decision) {
        traces.refused(item.key, decision.failures, table.nameOf);
        return { refusal: decision };
      }
      const { nodes, top } = decision;
      if (nodes.length === 0) {
        except = new Set();
        since = undefined;
        continue;
      }
      traces.placed(candidates[placed.length]!.item.key, decision, table.nameOf);
      if (placed.length === 0) size = Math.min(size, adjust(pace, nodes, top));
      if (size > 1) since ??= before;
      // Between the decision and here nothing is awaited: the next pod sees this one on its node.
      for (const id of nodes) {
        const candidate = candidates[placed.length]!;
        const node = table.nameOf(id);
        table.assume(candidate.item.key, candidate.pod, node);
        placed.push([candidate, node]);
        keeper.reserve(candidate, id);
        chosen.add(id);
        if (size > 1) except.add(id);
      }
    }
    pace.chosen = chosen;
    return {};
  };

  return {
    size: sizeOf,
    async place(candidates) {
      const placed: Placed["placed"] = [];
      try {
        return { placed, ...(await fill(candidates, placed)) };
      } catch (error) {
        for (const [candidate] of placed) keeper.giveUp(candidate);
        throw error;
      }
    },
  };
}
