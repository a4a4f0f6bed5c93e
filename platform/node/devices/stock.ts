/**
 * The devices that sources offer (kubernetes/pkg/kubelet/cm/devicemanager, manager.go). A source that ended leaves its devices unhealthy; five
 * minutes later its resource is no more, and the node says 0 of it.
 */
import type { DevicePool } from "#sdk/plugin/types.ts";

/** endpointStopGracePeriod: time for a plugin to come again before its resource is forgotten. */
const STOP_GRACE_MS = 300_000;

export interface Device {
  /** As its plugin said last. */
  healthy: boolean;
  numaNodes: number[];
}

interface Pool {
  /** Undefined: nobody has registered it since the agent started. */
  source: string | undefined;
  devices: ReadonlyMap<string, Device>;
  preStartRequired: boolean;
  preferredAllocation: boolean;
  stoppedAt: number | undefined;
}

export interface Counts {
  capacity: Record<string, string>;
  allocatable: Record<string, string>;
}

const empty = (stoppedAt: number): Pool => ({
  source: undefined,
  devices: new Map(),
  preStartRequired: false,
  preferredAllocation: false,
  stoppedAt,
});

export class Stock {
  readonly #pools = new Map<string, Pool>();
  /** Resources that were here: the node goes on saying that it has none. */
  readonly #gone = new Set<string>();

  /** `known`: resources of before the agent's start, which nobody has registered again yet. */
  constructor(known: readonly string[], now: number) {
    for (const resource of known) this.#pools.set(resource, empty(now));
  }

  resources(): string[] {
    return [...this.#pools.keys()];
  }

  pool(resource: string): Readonly<Pool> | undefined {
    return this.#pools.get(resource);
  }

  device(resource: string, id: string): Device | undefined {
    return this.#pools.get(resource)?.devices.get(id);
  }

  /** Devices that may be given to a container. */
  healthy(resource: string): Set<string> {
    const pool = this.#pools.get(resource);
    if (pool === undefined || pool.stoppedAt !== undefined) return new Set();
    return new Set([...pool.devices].flatMap(([id, { healthy }]) => (healthy ? [id] : [])));
  }

  /** Whose resource it is while that one lives. */
  owner(resource: string): string | undefined {
    const pool = this.#pools.get(resource);
    return pool?.stoppedAt === undefined ? pool?.source : undefined;
  }

  /** Answers the devices whose health is another now, those that are new included. */
  put(source: string, offered: DevicePool): string[] {
    const { resourceName, devices, preStartRequired, preferredAllocation } = offered;
    const before = this.#pools.get(resourceName)?.devices;
    const next = new Map(devices.map(({ id, healthy, numaNodes }) => [id, { healthy, numaNodes }]));
    this.#gone.delete(resourceName);
    this.#pools.set(resourceName, {
      source,
      devices: next,
      preStartRequired,
      preferredAllocation,
      stoppedAt: undefined,
    });
    return [...next].flatMap(([id, { healthy }]) => (before?.get(id)?.healthy === healthy ? [] : [id]));
  }

  /** The source ended, or says nothing of these any more. */
  stop(source: string, now: number, except: ReadonlySet<string> = new Set()): boolean {
    let stopped = false;
    for (const [resource, pool] of this.#pools) {
      if (pool.source !== source || pool.stoppedAt !== undefined || except.has(resource)) continue;
      pool.stoppedAt = now;
      stopped = true;
    }
    return stopped;
  }

  /** For the node's status. */
  counts(now: number): Counts {
    const capacity: Record<string, string> = {};
    const allocatable: Record<string, string> = {};
    for (const [resource, pool] of this.#pools) {
      if (pool.stoppedAt !== undefined && now - pool.stoppedAt > STOP_GRACE_MS) {
        this.#pools.delete(resource);
        this.#gone.add(resource);
        continue;
      }
      capacity[resource] = String(pool.devices.size);
      allocatable[resource] = String(this.healthy(resource).size);
    }
    for (const resource of this.#gone) {
      capacity[resource] = "0";
      allocatable[resource] = "0";
    }
    return { capacity, allocatable };
  }
}
