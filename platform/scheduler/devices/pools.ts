/**
 * The devices that a node can use, from ResourceSlices (upstream: dynamic-resource-allocation/structured, GatherPools). Of a pool only its
 * latest generation counts, and only once all of its slices are there.
 */
import { matchesNodeTerm } from "#platform/rules/node-fit.ts";
import type { CounterSet, Device, Node, NodeSelector, ResourceSlice } from "#sdk/api/generated/types.ts";

export interface Candidate {
  /** "driver/pool/device". */
  id: string;
  device: Device;
  slice: ResourceSlice;
  pool: Pool;
}

export interface Pool {
  /** "driver/pool". */
  id: string;
  /** Not all of its slices are there: nothing is allocated from it. */
  incomplete: boolean;
  /** Its slices contradict each other: nothing is allocated from it. */
  invalid: boolean;
  /** In slices that concern the node, by the slices' names. */
  devices: Candidate[];
  /** In its other slices: they may have taken of the counters. */
  elsewhere: Candidate[];
  counters: ReadonlyMap<string, CounterSet>;
}

interface Where {
  nodeName?: string | undefined;
  allNodes?: boolean | undefined;
  nodeSelector?: NodeSelector | undefined;
}

/** Where a slice or a device is, said in one way of three. */
export function isOn(node: Node, { nodeName, allNodes, nodeSelector }: Where): boolean {
  if (nodeName) return nodeName === node.metadata.name;
  return allNodes === true || (nodeSelector !== undefined && matchesSelector(node, nodeSelector));
}

export const matchesSelector = (node: Node, { nodeSelectorTerms }: NodeSelector): boolean =>
  nodeSelectorTerms.some((term) => matchesNodeTerm(term, node));

/** A slice of counters belongs to its pool wherever the devices are. */
function concerns(node: Node, { spec }: ResourceSlice): boolean {
  if (spec.sharedCounters?.length) return true;
  if (spec.perDeviceNodeSelection) return (spec.devices ?? []).some((device) => isOn(node, device));
  return isOn(node, spec);
}

const poolIdOf = ({ spec }: ResourceSlice): string => `${spec.driver}/${spec.pool.name}`;
const nameOf = ({ metadata }: ResourceSlice): string => metadata.name ?? "";

/** Slices of one pool, by name. */
type PoolSlices = readonly [id: string, slices: readonly ResourceSlice[]];

/** Made once for all nodes. */
export interface PoolIndex {
  /** Pools that are on one node. */
  local: ReadonlyMap<string, readonly PoolSlices[]>;
  others: readonly PoolSlices[];
}

/** Of each pool the slices of its latest generation. */
export function indexPools(slices: readonly ResourceSlice[]): PoolIndex {
  const pools = new Map<string, ResourceSlice[]>();
  for (const slice of slices) {
    const id = poolIdOf(slice);
    const known = pools.get(id);
    const latest = known?.[0]?.spec.pool.generation ?? Number.NEGATIVE_INFINITY;
    const { generation } = slice.spec.pool;
    if (known && generation === latest) known.push(slice);
    else if (generation > latest) pools.set(id, [slice]);
  }
  const local = new Map<string, PoolSlices[]>();
  const others: PoolSlices[] = [];
  for (const [id, of] of pools) {
    of.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    const node = of[0]?.spec.nodeName;
    const isLocal =
      node !== undefined && of.every(({ spec }) => spec.nodeName === node && !spec.sharedCounters?.length);
    if (!isLocal) others.push([id, of]);
    else if (local.has(node)) local.get(node)!.push([id, of]);
    else local.set(node, [[id, of]]);
  }
  return { local, others };
}

/** In the order in which they are used up: by driver and name, those whose devices have to be prepared before a pod is bound last. */
export function gatherPools({ local, others }: PoolIndex, node: Node): Pool[] {
  const pools: Pool[] = [];
  for (const [id, slices] of [...(local.get(node.metadata.name ?? "") ?? []), ...others]) {
    const near = slices.filter((slice) => concerns(node, slice));
    if (near.length > 0) pools.push(poolOf(id, slices, near));
  }
  const waits = ({ devices }: Pool) => devices.some(({ device }) => device.bindingConditions?.length);
  const rank = new Map(pools.map((pool) => [pool, Number(waits(pool))]));
  return pools.sort((a, b) => rank.get(a)! - rank.get(b)! || (a.id < b.id ? -1 : 1));
}

function poolOf(id: string, slices: readonly ResourceSlice[], near: readonly ResourceSlice[]): Pool {
  const pool: Pool = { id, incomplete: false, invalid: false, devices: [], elsewhere: [], counters: new Map() };
  const count = slices[0]?.spec.pool.resourceSliceCount;
  if (slices.length !== count) return { ...pool, incomplete: true };
  const sets = slices.flatMap(({ spec }) => spec.sharedCounters ?? []);
  pool.counters = new Map(sets.map((set) => [set.name, set]));
  const candidates = (of: readonly ResourceSlice[]) =>
    of.flatMap((slice) =>
      (slice.spec.devices ?? []).map((device) => ({ id: `${id}/${device.name}`, device, slice, pool })),
    );
  pool.devices = candidates(near);
  pool.elsewhere = candidates(slices.filter((slice) => !near.includes(slice)));
  const names = new Set(pool.devices.map(({ device }) => device.name));
  const counted = [...pool.devices, ...pool.elsewhere].every(({ device }) => hasCounters(device, pool.counters));
  pool.invalid = names.size < pool.devices.length || pool.counters.size < sets.length || !counted;
  return pool;
}

const hasCounters = ({ consumesCounters = [] }: Device, sets: ReadonlyMap<string, CounterSet>): boolean =>
  consumesCounters.every(({ counterSet, counters }) => {
    const set = sets.get(counterSet);
    return set !== undefined && Object.keys(counters).every((name) => Object.hasOwn(set.counters, name));
  });
