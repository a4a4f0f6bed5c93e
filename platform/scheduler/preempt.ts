/** Makes room for a pod that fits nowhere: asks the filters about nodes without some of their pods, and evicts those. */
import type { Pod, PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import type { Asker } from "./answers.ts";
import type { Question, Search } from "./decide.ts";
import { evict, nominate } from "./evict.ts";
import type { FilterOutcome } from "./framework.ts";
import { findGangVictims, type TryWithout, unitsOf } from "./gang-preemption.ts";
import type { SchedulerTable } from "./node-table.ts";
import { findVictims, type PlacedPod, priorityOf } from "./preemption.ts";

/** Of a gang: so many nodes, and two for each of its pods, are looked at for whom they have. */
const GANG_NODES_MIN = 100;

export interface Preemptor {
  /** True where room is being made: the pod waits for its victims to be gone. */
  preempt(
    key: string,
    pod: Pod,
    question: Question,
    search: Search,
    failures: ReadonlyMap<number, FilterOutcome>,
    nominated: string | undefined,
  ): Promise<boolean>;
  /** The same for all pods of a gang that wait, `nominated` by their keys. Where no room can be made, nothing is kept for any of them. */
  preemptGang(
    gang: { pods: readonly PlacedPod[]; priority: number | undefined },
    failures: ReadonlyMap<number, FilterOutcome>,
    nominated: ReadonlyMap<string, string>,
    tryWithout: TryWithout,
  ): Promise<boolean>;
}

export interface PreemptorOptions {
  client: Client;
  table: SchedulerTable;
  asker: Asker;
  recorder: Recorder;
  budgets(): readonly PodDisruptionBudget[];
  /** The pods of its gang that would be too few without this one, itself among them; else itself alone. */
  wholeOf(pod: PlacedPod): readonly PlacedPod[];
}

export function createPreemptor(options: PreemptorOptions): Preemptor {
  const { client, table, asker, recorder, budgets, wholeOf } = options;
  /** Which of the nodes would fit if these pods were gone. The plugins' tables are as they were afterwards. */
  const fitting = async (question: Question, search: Search, removed: ReadonlyMap<number, ReadonlySet<string>>) => {
    const nodes = [...removed.keys()];
    const plugins = new Set(question.filters.map(({ plugin }) => plugin));
    for (const plugin of plugins) await asker.sync(plugin);
    const change = async (gone: ReadonlyMap<number, ReadonlySet<string>>) => {
      const delta = table.without(gone);
      for (const plugin of plugins) await plugin.sync(delta);
    };
    try {
      await change(removed);
      return new Set((await search.filter(question, nodes)).feasible);
    } finally {
      await change(new Map(nodes.map((node) => [node, new Set<string>()])));
    }
  };

  /** Somebody who is to make room is still there. */
  const isBeingMade = (node: string | undefined, priority: number): boolean => {
    const id = node === undefined ? undefined : table.idOf(node);
    const ends = ({ pod }: PlacedPod) => pod.metadata.deletionTimestamp && priorityOf(pod) < priority;
    return id !== undefined && table.podsOn(id).some(ends);
  };
  /** Those for whom room was being made, and who are in the way now, are to be decided about anew. */
  const takeBack = async (victims: readonly PlacedPod[]): Promise<PlacedPod[]> => {
    const nominees = victims.filter((victim) => table.nominatedNode(victim.key) !== undefined);
    for (const nominee of nominees) {
      table.forget(nominee.key);
      await nominate(client, nominee.pod, "");
    }
    return victims.filter((victim) => !nominees.includes(victim));
  };

  return {
    async preempt(key, pod, question, search, failures, nominated) {
      if (pod.spec?.preemptionPolicy === "Never") return false;
      if (isBeingMade(nominated, priorityOf(pod))) return true;
      const found = await findVictims(pod, failures, budgets(), {
        podsOn: (node) => table.podsOn(node).filter((other) => other.key !== key),
        wholeOf,
        fitsWithout: (removed) => fitting(question, search, removed),
      });
      if (!found) return false;
      const node = table.nameOf(found.node);
      const victims = await takeBack(found.victims);
      table.nominate(key, pod, node);
      await evict(client, recorder, victims, pod, node);
      await nominate(client, pod, node);
      return true;
    },
    async preemptGang({ pods: members, priority: own }, failures, nominated, tryWithout) {
      const priority = own ?? Math.min(...members.map(({ pod }) => priorityOf(pod)));
      const mayNot = members.some(({ pod }) => pod.spec?.preemptionPolicy === "Never");
      const places = new Map(nominated);
      let waits = [...places.values()].some((node) => isBeingMade(node, priority));
      if (!waits && !mayNot) {
        const nodes = [...failures].filter(([, { unresolvable }]) => !unresolvable).map(([id]) => id);
        const looked = nodes.slice(0, Math.max(GANG_NODES_MIN, 2 * members.length));
        const units = unitsOf(
          looked.flatMap((id) => table.podsOn(id)),
          wholeOf,
        );
        const lower = units.filter((unit) => unit.priority < priority);
        const found = await findGangVictims(lower, budgets(), tryWithout);
        if (found) {
          waits = true;
          places.clear();
          for (const [key, node] of found.places) places.set(key, node);
          const [first] = members;
          for (const victim of await takeBack(found.victims))
            await evict(client, recorder, [victim], first!.pod, victim.pod.spec?.nodeName ?? "");
        }
      }
      for (const { key, pod } of members) {
        const node = waits ? (places.get(key) ?? "") : "";
        if (node !== "") table.nominate(key, pod, node);
        await nominate(client, pod, node);
      }
      return waits;
    },
  };
}
