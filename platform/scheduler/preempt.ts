/** Makes room for a pod that fits nowhere: asks the filters about nodes without some of their pods, and evicts those. */
import type { Pod, PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import type { Asker } from "./answers.ts";
import type { Question, Search } from "./decide.ts";
import { evict, nominate } from "./evict.ts";
import type { FilterOutcome } from "./framework.ts";
import type { SchedulerTable } from "./node-table.ts";
import { findVictims, priorityOf } from "./preemption.ts";

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
}

export interface PreemptorOptions {
  client: Client;
  table: SchedulerTable;
  asker: Asker;
  recorder: Recorder;
  budgets(): readonly PodDisruptionBudget[];
}

export function createPreemptor({ client, table, asker, recorder, budgets }: PreemptorOptions): Preemptor {
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

  return {
    async preempt(key, pod, question, search, failures, nominated) {
      if (pod.spec?.preemptionPolicy === "Never") return false;
      const waitingFor = nominated === undefined ? undefined : table.idOf(nominated);
      const still = (other: Pod) => other.metadata.deletionTimestamp && priorityOf(other) < priorityOf(pod);
      if (waitingFor !== undefined && table.podsOn(waitingFor).some((other) => still(other.pod))) return true;
      const found = await findVictims(pod, failures, budgets(), {
        podsOn: (node) => table.podsOn(node).filter((other) => other.key !== key),
        fitsWithout: (removed) => fitting(question, search, removed),
      });
      if (!found) return false;
      const node = table.nameOf(found.node);
      const nominees = found.victims.filter((victim) => table.nominatedNode(victim.key) !== undefined);
      for (const nominee of nominees) {
        table.forget(nominee.key);
        await nominate(client, nominee.pod, "");
      }
      table.nominate(key, pod, node);
      const victims = found.victims.filter((victim) => !nominees.includes(victim));
      await evict(client, recorder, victims, pod, node);
      await nominate(client, pod, node);
      return true;
    },
  };
}
