/**
 * Gangs: pods that are placed together or not at all. A pod names its gang by the Workload API (spec.schedulingGroup and the PodGroup's
 * gang policy, KEP-4671) where it is served, or by annotations: `scheduling.capstan.dev/gang`, `…/gang-min-count` and `…/gang-topology-key`.
 */
import type { Pod, PodGroup } from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";

export const GANG_ANNOTATION = "scheduling.capstan.dev/gang";
export const GANG_MIN_ANNOTATION = "scheduling.capstan.dev/gang-min-count";

/** A label of nodes: all pods of the gang go to nodes with the same value of it. */
export const GANG_TOPOLOGY_ANNOTATION = "scheduling.capstan.dev/gang-topology-key";

export interface Gang {
  /** "tenant/namespace/name". */
  key: string;
  name: string;
  /** So many of its pods run, or none. */
  minCount: number;
  /** Of a PodGroup, which has the same key. */
  ofGroup: boolean;
  /** Whoever evicts one of its pods evicts all: always, only where the others would be too few, or never. */
  goesWhole: "always" | "tooFew" | "never";
  /** Of its own, beside those of its pods. */
  priority: number | undefined;
  /** The label of nodes whose value is the same for all of its pods (KEP-5732). */
  topologyKey: string | undefined;
  waiting: Set<string>;
  /** Decided about, or on a node. */
  placed: Set<string>;
}

export interface Gangs {
  /** A pod that waits for a node. Answers its gang, where it has one. */
  wait(key: string, pod: Pod): Gang | undefined;
  /** It has a node. */
  place(key: string, pod: Pod): void;
  /** It is gone, or has ended. */
  lose(key: string): void;
  of(key: string): Gang | undefined;
  /** The pods that have to be evicted with this one, itself among them; itself alone where the others of its gang can do without. */
  wholeOf(key: string): readonly string[];
}

interface Membership extends Pick<Gang, "name" | "ofGroup" | "goesWhole" | "priority" | "topologyKey"> {
  /** Undefined: its PodGroup is not there. */
  minCount: number | undefined;
}

/** A gang whose PodGroup is not there yet has all of its pods to wait for. */
const UNKNOWN_MIN = Number.POSITIVE_INFINITY;

/** `groupOf`: the PodGroup of this key, where there is one. */
export function createGangs(groupOf: (key: string) => PodGroup | undefined = () => undefined): Gangs {
  const gangs = new Map<string, Gang>();
  const byPod = new Map<string, Gang>();

  const membership = (pod: Pod): Membership | undefined => {
    const { annotations = {}, namespace = "" } = pod.metadata;
    const group = pod.spec?.schedulingGroup?.podGroupName;
    if (group) {
      const found = groupOf(`${tenantOf(pod)}/${namespace}/${group}`);
      const { disruptionMode, priority, schedulingConstraints } = found?.spec ?? {};
      const goesWhole = disruptionMode === "PodGroup" ? "always" : "never";
      const topologyKey = schedulingConstraints?.topology?.[0]?.key;
      const of = { name: group, ofGroup: true, goesWhole, priority, topologyKey } as const;
      if (!found) return { ...of, minCount: undefined };
      // Another policy places pods one by one.
      const gang = found.spec?.schedulingPolicy?.gang;
      return gang ? { ...of, minCount: gang.minCount } : undefined;
    }
    const name = annotations[GANG_ANNOTATION];
    if (!name) return undefined;
    const minCount = Number(annotations[GANG_MIN_ANNOTATION] ?? "1");
    const least = Number.isInteger(minCount) && minCount > 0 ? minCount : 1;
    const topologyKey = annotations[GANG_TOPOLOGY_ANNOTATION] || undefined;
    return { name, ofGroup: false, goesWhole: "tooFew", priority: undefined, topologyKey, minCount: least };
  };

  const join = (key: string, pod: Pod): Gang | undefined => {
    const member = membership(pod);
    if (!member) {
      lose(key);
      return undefined;
    }
    const gangKey = `${tenantOf(pod)}/${pod.metadata.namespace ?? ""}/${member.name}`;
    let gang = gangs.get(gangKey);
    if (byPod.get(key) !== gang) lose(key);
    if (!gang) {
      gang = {
        key: gangKey,
        name: member.name,
        minCount: 1,
        ofGroup: member.ofGroup,
        goesWhole: member.goesWhole,
        priority: member.priority,
        topologyKey: member.topologyKey,
        waiting: new Set(),
        placed: new Set(),
      };
      gangs.set(gangKey, gang);
    }
    gang.minCount = member.minCount ?? UNKNOWN_MIN;
    gang.goesWhole = member.goesWhole;
    gang.priority = member.priority;
    gang.topologyKey = member.topologyKey;
    byPod.set(key, gang);
    return gang;
  };

  const lose = (key: string) => {
    const gang = byPod.get(key);
    if (!gang) return;
    byPod.delete(key);
    gang.waiting.delete(key);
    gang.placed.delete(key);
    if (gang.waiting.size + gang.placed.size === 0) gangs.delete(gang.key);
  };

  return {
    wait(key, pod) {
      const gang = join(key, pod);
      gang?.placed.delete(key);
      gang?.waiting.add(key);
      return gang;
    },
    place(key, pod) {
      const gang = join(key, pod);
      gang?.waiting.delete(key);
      gang?.placed.add(key);
    },
    lose,
    of: (key) => byPod.get(key),
    wholeOf(key) {
      const gang = byPod.get(key);
      if (!gang?.placed.has(key)) return [key];
      const tooFew = gang.goesWhole === "tooFew" && gang.placed.size <= gang.minCount;
      return tooFew || gang.goesWhole === "always" ? [...gang.placed] : [key];
    },
  };
}

/** Enough of them are there to begin. */
export const isComplete = ({ waiting, placed, minCount }: Gang): boolean => waiting.size + placed.size >= minCount;
