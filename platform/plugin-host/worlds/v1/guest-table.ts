/**
 * What the instances of one filter or score know of nodes and of the pods there, so that only what differs crosses: a node whose
 * projection did not change is not sent, and pods are sent as counts of groups (pods of which the component is shown the same).
 */
import type { NodeDelta as GuestDelta, NodeUsage, PodGroup, PodPlacement } from "#sdk/plugin/types.ts";
import { projector } from "../../projection.ts";

type Amounts = NodeUsage["requested"];

export interface NodeEntry {
  id: number;
  name: string;
  allocatable: Amounts;
  podsMax: number;
  node: unknown;
}

/** The pods on one node, all of them: equal objects are equal pods. */
export interface NodePods {
  id: number;
  pods: readonly object[];
}

/** In the order in which it is to be applied. */
export interface NodeDelta {
  /** Forget everything first. */
  whole: boolean;
  removed: number[];
  nodes: NodeEntry[];
  usage: NodeUsage[];
  pods: NodePods[];
}

interface Group extends PodGroup {
  /** Nodes that have pods of it. */
  nodes: number;
  /** By a delta; an instance that starts is told all. */
  sent: boolean;
}

const NONE: ReadonlyMap<number, number> = new Map();

export class GuestTable {
  readonly #textOfNode: (object: unknown) => string;
  readonly #textOfPod: ((object: unknown) => string) | undefined;
  readonly #nodes = new Map<number, string>();
  readonly #groups = new Map<string, Group>();
  readonly #byId = new Map<number, Group>();
  readonly #known = new WeakMap<object, Group>();
  /** By node: how many pods of which group, as last sent. */
  readonly #counts = new Map<number, ReadonlyMap<number, number>>();
  /** No node has them any more. */
  readonly #empty = new Set<Group>();
  #nextGroup = 0;

  readonly #usage: boolean;

  /** `usage`: what the pods on nodes ask for crosses. */
  constructor(nodePaths: readonly string[] | undefined, podPaths: readonly string[] | undefined, usage = true) {
    this.#usage = usage;
    this.#textOfNode = projector(nodePaths);
    this.#textOfPod = podPaths && podPaths.length > 0 ? projector(podPaths) : undefined;
  }

  /** For an instance that starts. What others were sent stays as it is. */
  whole(delta: NodeDelta): GuestDelta {
    const nodes = delta.nodes.map(({ node, ...entry }) => ({ ...entry, object: this.#textOfNode(node) }));
    const placements = delta.pods.flatMap(({ id, pods }) => placementsOf(id, this.#count(pods)));
    const used = new Set(placements.map(({ group }) => group));
    const groups = [...used].map((id) => this.#byId.get(id)!).map(({ id, object }) => ({ id, object }));
    return { whole: true, removed: [], nodes, usage: this.#usageIn(delta), groups, placements, forgotten: [] };
  }

  #usageIn({ usage }: NodeDelta): NodeUsage[] {
    return this.#usage ? usage : [];
  }

  /** For instances that were sent everything before. */
  delta(delta: NodeDelta): GuestDelta {
    if (delta.whole) this.#forget();
    for (const id of delta.removed) {
      this.#nodes.delete(id);
      this.#put(id, NONE);
    }
    const nodes = delta.nodes.flatMap(({ node, ...entry }) => {
      const object = this.#textOfNode(node);
      const text = JSON.stringify([entry.name, entry.allocatable, entry.podsMax, object]);
      if (this.#nodes.get(entry.id) === text) return [];
      this.#nodes.set(entry.id, text);
      return [{ ...entry, object }];
    });
    const placements = delta.pods.flatMap(({ id, pods }) => {
      const before = this.#counts.get(id) ?? NONE;
      const counts = this.#count(pods);
      this.#put(id, counts);
      return placementsOf(id, counts, before);
    });
    const groups: PodGroup[] = [];
    for (const { group } of placements) {
      const known = this.#byId.get(group);
      if (!known || known.sent) continue;
      known.sent = true;
      groups.push({ id: group, object: known.object });
    }
    const { whole, removed } = delta;
    return { whole, removed, nodes, usage: this.#usageIn(delta), groups, placements, forgotten: this.#drop() };
  }

  #forget(): void {
    this.#nodes.clear();
    this.#counts.clear();
    for (const group of this.#byId.values()) {
      group.nodes = 0;
      group.sent = false;
      this.#empty.add(group);
    }
  }

  #put(id: number, counts: ReadonlyMap<number, number>): void {
    for (const group of this.#counts.get(id)?.keys() ?? []) {
      const known = this.#byId.get(group)!;
      if (--known.nodes === 0) this.#empty.add(known);
    }
    for (const group of counts.keys()) this.#byId.get(group)!.nodes++;
    if (counts.size === 0) this.#counts.delete(id);
    else this.#counts.set(id, counts);
  }

  #count(pods: readonly object[]): ReadonlyMap<number, number> {
    if (!this.#textOfPod) return NONE;
    const counts = new Map<number, number>();
    for (const pod of pods) {
      const { id } = this.#groupOf(pod, this.#textOfPod);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    return counts;
  }

  #groupOf(pod: object, textOf: (object: unknown) => string): Group {
    const known = this.#known.get(pod);
    if (known && this.#byId.has(known.id)) return known;
    const object = textOf(pod);
    let group = this.#groups.get(object);
    if (!group) {
      group = { id: this.#nextGroup++, object, nodes: 0, sent: false };
      this.#groups.set(object, group);
      this.#byId.set(group.id, group);
    }
    this.#known.set(pod, group);
    return group;
  }

  /** Groups of which nothing is left. */
  #drop(): number[] {
    const forgotten: number[] = [];
    for (const group of this.#empty) {
      if (group.nodes > 0) continue;
      this.#byId.delete(group.id);
      this.#groups.delete(group.object);
      forgotten.push(group.id);
    }
    this.#empty.clear();
    return forgotten;
  }
}

/** Nothing of what is shown has changed. */
export const isEmpty = ({ whole, ...lists }: GuestDelta): boolean =>
  !whole && Object.values(lists).every(({ length }) => length === 0);

function placementsOf(
  node: number,
  counts: ReadonlyMap<number, number>,
  before: ReadonlyMap<number, number> = NONE,
): PodPlacement[] {
  const placements: PodPlacement[] = [];
  for (const [group, count] of counts) if (before.get(group) !== count) placements.push({ node, group, count });
  for (const group of before.keys()) if (!counts.has(group)) placements.push({ node, group, count: 0 });
  return placements;
}
