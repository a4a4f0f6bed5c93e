/**
 * Places for the pods of a gang: anywhere, or all within one domain (nodes with the same value of a label). Domains are tried one after the other,
 * the largest first; the first that takes all of them is theirs, else the one that takes most.
 */

import type { Refusal } from "./decide.ts";
import type { FilterOutcome } from "./framework.ts";
import type { Gang } from "./gangs.ts";
import type { SchedulerTable } from "./node-table.ts";
import { type Candidate, cannotBeToldApart, type Placed, type Placer } from "./place.ts";
import type { QueuedPod, SchedulingEvent } from "./queue.ts";

/** So many are tried for a gang at a time. */
const DOMAINS_MAX = 256;

export interface GangPlaces {
  placed: Placed["placed"];
  /** Who got none, and why. */
  left: readonly Candidate[];
  refusal: Refusal | undefined;
}

export interface GangPlacesParts {
  table: SchedulerTable;
  /** As it would be asked about if it chose nodes by these labels. */
  candidateOf(item: QueuedPod, within: Readonly<Record<string, string>>): Candidate | undefined;
  giveUp(candidate: Candidate): void;
}

export interface Gathered {
  gang: Gang;
  /** Those of its pods that are to be decided about. */
  members: readonly Candidate[];
}

/** Places as many as fit; what is placed counts from then on. Where it throws, nothing is. */
export type PlaceGang = (by: Placer, gathered: Gathered) => Promise<GangPlaces>;

export function createGangPlaces({ table, candidateOf, giveUp }: GangPlacesParts): PlaceGang {
  const anywhere = async (by: Placer, members: readonly Candidate[]): Promise<GangPlaces> => {
    const left = members.toSorted((a, b) => (a.question.signature < b.question.signature ? -1 : 1));
    const placed: Placed["placed"] = [];
    let refusal: Refusal | undefined;
    try {
      while (left.length > 0 && !refusal) {
        const same = left.filter((other) => cannotBeToldApart(other, left[0]!));
        const step = await by.place(same);
        refusal = step.refusal;
        placed.push(...step.placed);
        for (const [candidate] of step.placed) left.splice(left.indexOf(candidate), 1);
      }
    } catch (error) {
      for (const [candidate] of placed) giveUp(candidate);
      throw error;
    }
    return { placed, left, refusal };
  };

  /** The largest first; where some of the gang have a place, theirs alone. */
  const domainsOf = (key: string, gang: Gang): string[] => {
    const taken = [...gang.placed].flatMap((pod) => table.nodeOf(pod) ?? []);
    const own = taken.flatMap((node) => table.labelOf(table.idOf(node) ?? -1, key) ?? []);
    if (own.length > 0) return [...new Set(own)];
    const sizes = new Map<string, number>();
    for (const id of table.ids()) {
      const value = table.labelOf(id, key);
      if (value !== undefined) sizes.set(value, (sizes.get(value) ?? 0) + 1);
    }
    const ordered = [...sizes].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    return ordered.slice(0, DOMAINS_MAX).map(([value]) => value);
  };

  const within = (by: Placer, members: readonly Candidate[], key: string, value: string): Promise<GangPlaces> =>
    anywhere(
      by,
      members.flatMap(({ item }) => candidateOf(item, { [key]: value }) ?? []),
    );

  const inOneDomain = async (by: Placer, { gang, members }: Gathered, key: string): Promise<GangPlaces> => {
    const why = new Map<number, FilterOutcome>();
    const until = new Set<SchedulingEvent>();
    let best: { value: string; count: number } | undefined;
    const [first = "", ...others] = domainsOf(key, gang);
    for (const value of [first, ...others]) {
      const places = await within(by, members, key, value);
      const { placed, left, refusal } = places;
      if (left.length === 0) return places;
      for (const [candidate] of placed) giveUp(candidate);
      // What other domains have against a node is only that it is not in them.
      for (const [id, outcome] of refusal?.failures ?? [])
        if (!why.has(id) || table.labelOf(id, key) === value) why.set(id, outcome);
      for (const event of refusal?.until ?? []) until.add(event);
      if (placed.length > (best?.count ?? 0)) best = { value, count: placed.length };
    }
    const refusal = { failures: why, until: [...until] };
    const most = best && (await within(by, members, key, best.value));
    return most ? { ...most, refusal } : { placed: [], left: members, refusal };
  };

  return (by, gathered) => {
    const { topologyKey } = gathered.gang;
    return topologyKey === undefined ? anywhere(by, gathered.members) : inOneDomain(by, gathered, topologyKey);
  };
}
