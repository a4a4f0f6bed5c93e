/** Gangs from the queue to bindings: nothing is bound before enough of a gang has a place, and room is made for a gang as a whole or not at all. */
import { messageOf } from "#platform/base/log.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import type { CycleOptions } from "./cycle.ts";
import type { Refusal } from "./decide.ts";
import { createGangPlaces } from "./gang-places.ts";
import { type Gang, isComplete } from "./gangs.ts";
import { fitMessage } from "./messages.ts";
import { type Candidate, cannotBeToldApart, type Placed, type Placer } from "./place.ts";
import { ALL_EVENTS, type QueuedPod, type SchedulingEvent } from "./queue.ts";

/** Gangs that are decided about at once have so many pods together. */
const GANG_PODS_MAX = 64;

interface Gathered {
  gang: Gang;
  /** Those of its pods that are to be decided about. */
  members: Candidate[];
  /** Nodes on which room was being made for some of them. */
  nominated: ReadonlyMap<Candidate, string>;
}

export interface GangParts {
  placer: Placer;
  /** As `placer`, for what is only tried: nobody is told of it. */
  trials: Placer;
  candidateOf(item: QueuedPod, within?: Readonly<Record<string, string>>): Candidate | undefined;
  /** The pod does not go to the node that it was given. */
  giveUp(key: string, pod: Pod): void;
  bind(item: QueuedPod, pod: Pod, node: string): Promise<void>;
  refuse(
    item: QueuedPod,
    pod: Pod,
    reason: "Unschedulable" | "SchedulerError",
    message: string,
    until?: readonly SchedulingEvent[],
  ): Promise<void>;
}

type Options = Pick<CycleOptions, "table" | "queue" | "gangs" | "preemptor" | "tellGang">;

/** Decides about a gang that is complete, of which this pod was taken from the queue, and perhaps about others like it. */
export type ScheduleGang = (gang: Gang, first: Candidate) => Promise<void>;

export function createGangCycle({ table, queue, gangs, preemptor, tellGang }: Options, parts: GangParts): ScheduleGang {
  const { placer, candidateOf, giveUp, bind, refuse } = parts;
  const placeGang = createGangPlaces({ table, candidateOf, giveUp: ({ item, pod }) => giveUp(item.key, pod) });

  /** A gang's pods that wait, out of the queue; what is kept free for them does not stand in their way. */
  const gather = (gang: Gang, first: Candidate): Gathered => {
    const members = [first];
    for (const key of gang.waiting) {
      const item = key === first.item.key ? undefined : queue.takeKey(key);
      const member = item && candidateOf(item);
      if (member) members.push(member);
      else if (item) queue.done(item.key);
    }
    const nominated = new Map<Candidate, string>();
    for (const member of members) {
      const node = table.nominatedNode(member.item.key);
      if (node !== undefined) nominated.set(member, node);
      table.forget(member.item.key);
    }
    return { gang, members, nominated };
  };
  const giveBack = ({ members }: Gathered) => {
    for (const { item } of members) queue.giveBack(item);
  };
  const hasNominees = ({ waiting }: Gang) => [...waiting].some((key) => table.nominatedNode(key) !== undefined);

  /** The gangs that come next in the queue, as long as their pods cannot be told apart from these. */
  const gangsLike = (gathered: Gathered): Gathered[] => {
    const { members, nominated } = gathered;
    const found: Gathered[] = [];
    const [first] = members;
    if (gathered.gang.topologyKey !== undefined) return found;
    const isLike = (other: Candidate) => cannotBeToldApart(other, first!);
    const most = Math.min(GANG_PODS_MAX, placer.size(first!.question));
    let count = members.length;
    while (nominated.size === 0 && members.every(isLike)) {
      let like: Candidate | undefined;
      const item = queue.takeIf((next) => {
        const gang = gangs.of(next.key);
        if (
          !gang ||
          gang.topologyKey !== undefined ||
          !isComplete(gang) ||
          hasNominees(gang) ||
          count + gang.waiting.size > most
        )
          return false;
        like = candidateOf({ ...next });
        return like !== undefined && isLike(like);
      });
      const gang = item && gangs.of(item.key);
      if (!item || !gang || !like) break;
      const next = gather(gang, { ...like, item });
      if (!next.members.every(isLike)) {
        giveBack(next);
        break;
      }
      found.push(next);
      count += next.members.length;
    }
    return found;
  };

  /** Several gangs in one go; those that do not fit whole are tried one by one. */
  const scheduleSeveral = async (all: readonly Gathered[]): Promise<void> => {
    const whole: Placed["placed"] = [];
    const rest: Gathered[] = [];
    try {
      const { placed } = await placer.place(all.flatMap(({ members }) => members));
      for (const gathered of all) {
        const { gang, members } = gathered;
        const own = placed.splice(0, members.length);
        if (own.length === members.length && own.length + gang.placed.size >= gang.minCount) {
          tellGang(gang, "Scheduled", "");
          whole.push(...own);
        } else {
          for (const [{ item, pod }] of own) giveUp(item.key, pod);
          rest.push(gathered);
        }
      }
    } catch (error) {
      for (const { item, pod } of all.flatMap(({ members }) => members)) {
        await refuse(item, pod, "SchedulerError", messageOf(error));
      }
      return;
    }
    for (const gathered of rest) if (gathered !== all[0]) giveBack(gathered);
    for (const [{ item, pod }, node] of whole) await bind(item, pod, node);
    if (rest[0] === all[0]) await scheduleOne(all[0]!);
  };

  /** All who wait, as many as the gang needs, or none. */
  const scheduleOne = async (gathered: Gathered): Promise<void> => {
    const { gang, members } = gathered;
    let placed: Placed["placed"] = [];
    try {
      const places = await placeGang(placer, gathered);
      const { left, refusal } = places;
      placed = places.placed;
      const why = refusal ? fitMessage(table.ids().length, refusal.failures.values()) : "";
      if (placed.length + gang.placed.size < gang.minCount) {
        for (const [{ item, pod }] of placed) giveUp(item.key, pod);
        const text = `gang "${gang.name}": ${placed.length + gang.placed.size} of ${gang.minCount} pods fit: ${why}`;
        const waits = refusal !== undefined && (await makeRoom(gathered, refusal));
        tellGang(gang, "Unschedulable", text);
        const until = waits ? ALL_EVENTS : (refusal?.until ?? []);
        for (const { item, pod } of members) await refuse(item, pod, "Unschedulable", text, until);
        return;
      }
      tellGang(gang, "Scheduled", "");
      for (const { item, pod } of left) await refuse(item, pod, "Unschedulable", why, refusal?.until ?? []);
      for (const [{ item, pod }, node] of placed.splice(0)) await bind(item, pod, node);
    } catch (error) {
      for (const [{ item, pod }] of placed) giveUp(item.key, pod);
      tellGang(gang, "SchedulerError", messageOf(error));
      for (const { item, pod } of members) await refuse(item, pod, "SchedulerError", messageOf(error));
    }
  };

  /** True where room is being made, or was before and its pods are not gone yet. */
  const makeRoom = async (gathered: Gathered, { failures }: Refusal): Promise<boolean> => {
    const { gang, members, nominated } = gathered;
    const tryWithout = async (gone: ReadonlySet<string>) => {
      let placed: Placed["placed"] = [];
      table.hide(gone);
      try {
        placed = (await placeGang(parts.trials, gathered)).placed;
        const fits = placed.length + gang.placed.size >= gang.minCount;
        return fits ? new Map(placed.map(([{ item }, node]) => [item.key, node])) : undefined;
      } finally {
        for (const [{ item, pod }] of placed) giveUp(item.key, pod);
        table.show();
      }
    };
    const nodes = new Map([...nominated].map(([{ item }, node]) => [item.key, node]));
    const pods = members.map(({ item, pod }) => ({ key: item.key, pod }));
    return await preemptor.preemptGang({ pods, priority: gang.priority }, failures, nodes, tryWithout);
  };

  return async (gang, first) => {
    const gathered = gather(gang, first);
    const all = [gathered, ...gangsLike(gathered)];
    if (all.length === 1) await scheduleOne(gathered);
    else await scheduleSeveral(all);
  };
}
