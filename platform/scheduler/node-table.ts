/**
 * What the scheduler knows of nodes and of what their pods ask for, including pods it has only decided about (assumed).
 * Every change has a position in a log of bounded length: whoever keeps something about nodes asks what changed since then.
 */
import { deepEqual } from "#platform/base/equal.ts";
import {
  podNonzeroRequests,
  podRequests,
  type ResourceAmounts,
  resourceAmounts,
} from "#platform/rules/pod-requests.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { Amounts, Demand, NodeDelta, NodeEntry, NodeTable, NodeUsage, PodFacts } from "./framework.ts";
import type { PlacedPod } from "./preemption.ts";

interface Measure {
  requests: ResourceAmounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
}

interface Placed extends Measure {
  priority: number;
  node: string;
  pod: PodFacts;
  /** nominated: room is being made for it there; assumed: decided, not yet seen in the API. */
  state: "seen" | "assumed" | "nominated";
}

/** The pods of a node, known before the node itself when they arrive first. */
interface Place {
  pods: Map<string, Placed>;
  sum: ResourceAmounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
}

/** Labels of a tenant's namespace. */
export type NamespaceLabels = (tenant: string, namespace: string) => Record<string, string>;

/** What changed about a node: its object (or whether it is there), or only its pods. */
export type Change = [id: number, object: boolean];

export interface SchedulerTable extends NodeTable {
  putNode(node: Node): void;
  removeNode(name: string): void;
  /** A pod that the API shows on a node; takes the place of the assumption. True where that was not known of it. */
  putPod(key: string, pod: Pod): boolean;
  removePod(key: string): void;
  /** Decided, not yet seen in the API. */
  assume(key: string, pod: Pod, node: string): void;
  /** The binding failed. Does nothing once the API has shown the pod on a node. */
  forget(key: string): void;
  /** Room is being made for it: it counts there until it is forgotten or placed. */
  nominate(key: string, pod: Pod, node: string): void;
  nominatedNode(key: string): string | undefined;
  /** On a node, or decided about; one that is only nominated is not. */
  isPlaced(key: string): boolean;
  /** Of a pod that is placed. */
  nodeOf(key: string): string | undefined;
  /** What is known about these pods beside their objects changed. */
  refresh(test: (pod: PodFacts) => boolean): void;
  podsOn(id: number): PlacedPod[];
  /** As if these pods were gone, until `show`; what is told of them meanwhile counts from then on. */
  hide(keys: Iterable<string>): void;
  show(): void;
  /** The nodes named as they would be without these pods; empty sets: as they are. */
  without(removed: ReadonlyMap<number, ReadonlySet<string>>): NodeDelta;
  idOf(name: string): number | undefined;
  /** Of every node, in a fixed order; not to be changed. */
  ids(): readonly number[];
  nameOf(id: number): string;
  /** A label of the node. */
  labelOf(id: number, key: string): string | undefined;
  /** No two nodes have the same value of this label. */
  isUnique(key: string): boolean;
  /** Nodes with what of their allocatable nobody has asked for. */
  free(): Iterable<{ node: Node; free: Amounts }>;
  /** No id is or was greater than or equal to this. */
  capacity(): number;
  /** Some pod there has a lower priority. */
  hasLowerPriority(id: number, priority: number): boolean;
  /** How many changes there were. */
  position(): number;
  /** Undefined where it is too long ago: anything may have changed. */
  changesSince(position: number): Iterable<Change> | undefined;
  deltaSince(position: number): NodeDelta;
  /** How many of the pods on nodes pass the test; each test is remembered and kept up to date. */
  count(test: (pod: PodFacts) => boolean): number;
}

const LOG_MAX = 50_000;
const NONE: ReadonlySet<string> = new Set();

export function createNodeTable(facts: (pod: Pod) => PodFacts = (pod) => factsOf(pod, () => ({}))): SchedulerTable {
  const ids = new Map<string, number>();
  const entries = new Map<number, NodeEntry>();
  const free: number[] = [];
  const placed = new Map<string, Placed>();
  const hidden = new Map<string, Placed>();
  const places = new Map<string, Place>();
  const counts = new Map<(pod: PodFacts) => boolean, number>();
  let order: number[] | undefined;
  /** By the label's key, as it was found since a node changed. */
  const unique = new Map<string, boolean>();
  let capacity = 0;
  /** id * 2, and one more where the object changed. */
  let log: number[] = [];
  let forgotten = 0;

  const record = (id: number, object: boolean) => {
    log.push(id * 2 + (object ? 1 : 0));
    if (object) unique.clear();
    if (log.length > LOG_MAX) {
      forgotten += LOG_MAX / 2;
      log = log.slice(LOG_MAX / 2);
    }
  };
  const touch = (node: string) => {
    const id = ids.get(node);
    if (id !== undefined) record(id, false);
  };
  const recount = (pod: PodFacts, by: number) => {
    for (const [test, count] of counts) if (test(pod)) counts.set(test, count + by);
  };
  const known = (key: string) => placed.get(key) ?? hidden.get(key);
  const place = (key: string, pod: Pod, node: string, state: Placed["state"]) => {
    const old = known(key);
    if (old?.node === node && sameForScheduling(old.pod, pod)) {
      old.state = state;
      return;
    }
    unplace(key);
    const next = { ...measure(pod), priority: pod.spec?.priority ?? 0, node, pod: facts(pod), state };
    if (hidden.has(key)) hidden.set(key, next);
    else put(key, next);
  };
  const put = (key: string, next: Placed) => {
    const { node } = next;
    placed.set(key, next);
    let at = places.get(node);
    if (!at) {
      at = { pods: new Map(), sum: {}, nonzeroCpuMilli: 0, nonzeroMemory: 0 };
      places.set(node, at);
    }
    at.pods.set(key, next);
    addTo(at, next, 1);
    recount(next.pod, 1);
    touch(node);
  };
  const unplace = (key: string) => {
    const old = placed.get(key);
    if (!old) return;
    placed.delete(key);
    const at = places.get(old.node);
    at?.pods.delete(key);
    if (at?.pods.size === 0) places.delete(old.node);
    else if (at) addTo(at, old, -1);
    recount(old.pod, -1);
    touch(old.node);
  };
  const remove = (key: string) => {
    hidden.delete(key);
    unplace(key);
  };
  const placeOf = (id: number): Place | undefined => places.get(entries.get(id)?.name ?? "");
  const factsOn = (id: number, without = NONE): PodFacts[] => {
    const facts: PodFacts[] = [];
    for (const [key, { pod }] of placeOf(id)?.pods ?? []) if (!without.has(key)) facts.push(pod);
    return facts;
  };
  const usage = (id: number, without = NONE): NodeUsage => {
    const at = placeOf(id);
    const left: Place = {
      pods: at?.pods ?? new Map(),
      sum: { ...at?.sum },
      nonzeroCpuMilli: at?.nonzeroCpuMilli ?? 0,
      nonzeroMemory: at?.nonzeroMemory ?? 0,
    };
    let pods = left.pods.size;
    for (const key of without) {
      const gone = left.pods.get(key);
      if (!gone) continue;
      addTo(left, gone, -1);
      pods--;
    }
    const { sum, nonzeroCpuMilli, nonzeroMemory } = left;
    return { id, requested: amountsOf(sum), nonzeroCpuMilli, nonzeroMemory, pods };
  };
  const whole = (): NodeDelta => {
    const all = [...entries.keys()];
    return {
      whole: true,
      removed: [],
      nodes: [...entries.values()],
      usage: all.map((id) => usage(id)),
      pods: all.map((id) => ({ id, pods: factsOn(id) })),
    };
  };
  const changesSince = (position: number) => (position < forgotten ? undefined : changes(log, position - forgotten));

  return {
    putNode(node) {
      const name = node.metadata.name ?? "";
      const known = ids.get(name);
      const id = known ?? free.pop() ?? capacity++;
      ids.set(name, id);
      const { pods: podsMax = 0, ...amounts } = resourceAmounts(node.status?.allocatable);
      entries.set(id, { id, name, allocatable: amountsOf(amounts), podsMax, node });
      if (known === undefined) order = undefined;
      record(id, true);
    },
    removeNode(name) {
      const id = ids.get(name);
      if (id === undefined) return;
      ids.delete(name);
      entries.delete(id);
      free.push(id);
      order = undefined;
      record(id, true);
    },
    putPod(key, pod) {
      const isNew = known(key)?.state !== "seen";
      place(key, pod, pod.spec?.nodeName ?? "", "seen");
      return isNew;
    },
    removePod: remove,
    assume: (key, pod, node) => place(key, pod, node, "assumed"),
    nominate: (key, pod, node) => place(key, pod, node, "nominated"),
    nominatedNode(key) {
      const present = known(key);
      return present?.state === "nominated" ? present.node : undefined;
    },
    forget(key) {
      const state = known(key)?.state;
      if (state === "assumed" || state === "nominated") remove(key);
    },
    nodeOf(key) {
      const found = known(key);
      return found && found.state !== "nominated" ? found.node : undefined;
    },
    isPlaced(key) {
      const state = known(key)?.state;
      return state === "seen" || state === "assumed";
    },
    refresh(test) {
      for (const present of placed.values()) {
        if (!test(present.pod)) continue;
        recount(present.pod, -1);
        present.pod = facts(present.pod);
        recount(present.pod, 1);
        touch(present.node);
      }
      for (const one of hidden.values()) if (test(one.pod)) one.pod = facts(one.pod);
    },
    hide(keys) {
      for (const key of keys) {
        const present = placed.get(key);
        if (!present) continue;
        unplace(key);
        hidden.set(key, present);
      }
    },
    show() {
      const all = [...hidden];
      hidden.clear();
      for (const [key, present] of all) put(key, present);
    },
    podsOn: (id) => [...(placeOf(id)?.pods ?? [])].map(([key, { pod }]) => ({ key, pod })),
    without: (gone) => ({
      whole: false,
      removed: [],
      nodes: [],
      usage: [...gone].map(([id, keys]) => usage(id, keys)),
      pods: [...gone].map(([id, keys]) => ({ id, pods: factsOn(id, keys) })),
    }),
    idOf: (name) => ids.get(name),
    ids() {
      order ??= [...entries.keys()];
      return order;
    },
    nameOf: (id) => entries.get(id)?.name ?? "",
    isUnique(key) {
      let known = unique.get(key);
      if (known === undefined) {
        const values = [...entries.values()].flatMap(({ node }) => node.metadata.labels?.[key] ?? []);
        known = new Set(values).size === values.length;
        unique.set(key, known);
      }
      return known;
    },
    labelOf: (id, key) => entries.get(id)?.node.metadata.labels?.[key],
    *free() {
      for (const { id, node, allocatable, podsMax } of entries.values()) {
        const { requested, pods } = usage(id);
        if (pods < podsMax) yield { node, free: less(allocatable, requested) };
      }
    },
    capacity: () => capacity,
    hasLowerPriority(id, than) {
      for (const { priority } of placeOf(id)?.pods.values() ?? []) if (priority < than) return true;
      return false;
    },
    position: () => forgotten + log.length,
    changesSince,
    deltaSince(position) {
      const since = changesSince(position);
      if (!since) return whole();
      const changed = new Map<number, boolean>();
      for (const [id, object] of since) changed.set(id, object || (changed.get(id) ?? false));
      const present = [...changed.keys()].filter((id) => entries.has(id));
      return {
        whole: false,
        removed: [...changed.keys()].filter((id) => !entries.has(id)),
        nodes: present.filter((id) => changed.get(id)).map((id) => entries.get(id)!),
        usage: present.map((id) => usage(id)),
        pods: present.map((id) => ({ id, pods: factsOn(id) })),
      };
    },
    count(test) {
      let count = counts.get(test);
      if (count === undefined) {
        count = 0;
        for (const { pod } of placed.values()) if (test(pod)) count++;
        counts.set(test, count);
      }
      return count;
    },
    whole,
  };
}

function* changes(log: readonly number[], from: number): Iterable<Change> {
  for (let i = from; i < log.length; i++) yield [log[i]! >> 1, (log[i]! & 1) === 1];
}

function addTo(at: Place, { requests, nonzeroCpuMilli, nonzeroMemory }: Placed, sign: 1 | -1): void {
  for (const [name, amount] of Object.entries(requests)) at.sum[name] = (at.sum[name] ?? 0) + sign * amount;
  at.nonzeroCpuMilli += sign * nonzeroCpuMilli;
  at.nonzeroMemory += sign * nonzeroMemory;
}

const withoutNode = ({ spec }: Pod): object => ({ ...spec, nodeName: undefined });

/** Pods change all the time (statuses): what schedulers look at seldom does. */
const sameForScheduling = (a: PodFacts, b: Pod): boolean =>
  a.metadata.uid === b.metadata.uid &&
  a.terminating === (b.metadata.deletionTimestamp !== undefined) &&
  deepEqual(a.metadata.labels, b.metadata.labels) &&
  deepEqual(a.metadata.annotations, b.metadata.annotations) &&
  deepEqual(withoutNode(a), withoutNode(b));

function amountsOf(amounts: ResourceAmounts): Amounts {
  const { cpu = 0, memory = 0, "ephemeral-storage": ephemeralStorage = 0, ...others } = amounts;
  return { cpuMilli: cpu, memory, ephemeralStorage, others: Object.entries(others) };
}

const less = (a: Amounts, b: Amounts): Amounts => ({
  cpuMilli: a.cpuMilli - b.cpuMilli,
  memory: a.memory - b.memory,
  ephemeralStorage: a.ephemeralStorage - b.ephemeralStorage,
  others: a.others.map(([name, amount]) => [name, amount - (b.others.find(([other]) => other === name)?.[1] ?? 0)]),
});

export function factsOf(pod: Pod, namespaceLabels: NamespaceLabels, claims?: readonly object[]): PodFacts {
  const tenant = tenantOf(pod);
  return {
    ...pod,
    claims,
    tenant,
    namespaceLabels: namespaceLabels(tenant, pod.metadata.namespace ?? ""),
    terminating: pod.metadata.deletionTimestamp !== undefined,
  };
}

const measures = new WeakMap<Pod, Measure>();

/** What a pod asks for; found once of each object, which is decided about and then placed. */
function measure(pod: Pod): Measure {
  const known = measures.get(pod);
  if (known) return known;
  const { cpuMilli, memory } = podNonzeroRequests(pod.spec);
  const measure = { requests: podRequests(pod.spec), nonzeroCpuMilli: cpuMilli, nonzeroMemory: memory };
  measures.set(pod, measure);
  return measure;
}

export function demandOf(pod: Pod): Demand {
  const { requests, ...nonzero } = measure(pod);
  return { requests: amountsOf(requests), ...nonzero };
}
