/**
 * Devices of this node: what there is, which container has which, and what it is given for them (kubernetes/pkg/kubelet/cm/devicemanager).
 * Devices are given when a pod is admitted and stay its own until it is over, through restarts of its containers, its plugin and the agent.
 */
import { join } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import { isExtendedResource } from "#platform/rules/extended-resources.ts";
import type { Container, ResourceStatus } from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityValue } from "#sdk/api/quantity.ts";
import type { ContainerEdits, DeviceStock } from "#sdk/plugin/types.ts";
import { isSidecar } from "../cgroups.ts";
import { isClaimed } from "../claims/resources.ts";
import type { NodeContext, NodePod } from "../context.ts";
import type { Registered } from "../csi/registration.ts";
import type { GrpcServer } from "../grpc-server.ts";
import type { DeviceSources } from "../ports.ts";
import { hostPathOf } from "../volumes/host.ts";
import { Allocations, mergeEdits, readCheckpoint, writeCheckpoint } from "./allocations.ts";
import { chooseDevices } from "./choose.ts";
import { type ListedClaim, type ListedDevice, servePodResources } from "./pod-resources.ts";
import { serveRegistration } from "./registration.ts";
import { followSources } from "./sources.ts";
import { type Counts, Stock } from "./stock.ts";

const DEVICES_MAX = 10_000;

export interface DeviceManager {
  /** Gives the pod its devices. Why it cannot have them; undefined: it has. */
  admit(pod: NodePod): Promise<{ reason: string; message: string } | undefined>;
  /** What a container that starts now is given. Rejects where its devices cannot be had. */
  edits(pod: NodePod, container: Container): Promise<ContainerEdits>;
  /** `allocatedResourcesStatus` of a container's status. */
  health(uid: string, container: string): ResourceStatus[];
  /** Of what the node's status says. */
  counts(): Counts;
  /** What a container has. */
  of(uid: string, container: string): ListedDevice[];
  /** What may be given to containers, in use or not. */
  allocatable(): ListedDevice[];
  /** Sockets in the directory plugins_registry. */
  registrations: { added(plugin: Registered): Promise<void>; removed(plugin: Registered): void };
  start(signal: AbortSignal): Promise<void>;
}

export interface DeviceParts {
  /** The pods that are not over; undefined: not all are known yet. */
  active(): readonly NodePod[] | undefined;
  /** Capacity or allocatable changed. */
  changed(): void;
  /** The pod's status is another now. */
  wake(uid: string): void;
  /** Of which a container has something. */
  claims(pod: NodePod, container: Container): readonly ListedClaim[];
}

/** As Go prints what a gRPC server said. */
const goText = (error: unknown): string =>
  error instanceof Error && "kind" in error && error.kind === "failure" && "reason" in error
    ? `rpc error: code = ${String(error.reason)} desc = ${error.message}`
    : messageOf(error);

export function createDevices(
  context: Pick<NodeContext, "settings" | "clock" | "log">,
  sources: DeviceSources,
  parts: DeviceParts,
): DeviceManager {
  const { settings, clock, log } = context;
  const file = join(settings.directory, "devices.json");
  const before = readCheckpoint(file);
  const stock = new Stock(before?.resources ?? [], clock.now());
  const allocations = new Allocations(before?.allocations ?? []);
  /** One choice at a time for each resource: what one container gets no other may. */
  const turns = new Map<string, Promise<unknown>>();

  const save = () => writeCheckpoint(file, { allocations: [...allocations.list()], resources: stock.resources() });
  const said = () => JSON.stringify(stock.counts(clock.now()));
  const changing = (change: () => void): void => {
    const was = said();
    change();
    if (said() === was) return;
    save();
    parts.changed();
  };

  const stocked = (source: string, { pools }: DeviceStock): void =>
    changing(() => {
      for (const pool of pools) {
        const owner = stock.owner(pool.resourceName) ?? source;
        if (owner !== source || !isExtendedResource(pool.resourceName) || pool.devices.length > DEVICES_MAX) {
          log.warn("what a source says of its devices is not taken", { source, resource: pool.resourceName, owner });
          continue;
        }
        const changed = new Set(stock.put(source, pool));
        for (const { uid, resource, devices } of allocations.list())
          if (resource === pool.resourceName && devices.some(({ id }) => changed.has(id))) parts.wake(uid);
      }
      stock.stop(source, clock.now(), new Set(pools.map(({ resourceName }) => resourceName)));
    });
  const followed = followSources(context, sources, {
    stocked,
    ended: (source) => changing(() => void stock.stop(source, clock.now())),
  });

  const isOurs = (resource: string): boolean =>
    stock.pool(resource) !== undefined || allocations.list().some((one) => one.resource === resource);

  const inTurn = async <T>(resource: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(resource) ?? Promise.resolve()).then(work, work);
    turns.set(resource, turn);
    return await turn;
  };

  /** What pods that are over had is free. */
  const free = (): void => {
    const active = parts.active();
    if (active !== undefined && allocations.keep(new Set(active.map(({ metadata }) => metadata.uid)))) save();
  };

  const known = (): readonly NodePod[] => {
    free();
    return parts.active() ?? [];
  };

  const allocate = async (
    { metadata: { uid } }: NodePod,
    container: string,
    resource: string,
    count: number,
    reusable: ReadonlySet<string>,
  ): Promise<void> => {
    free();
    const pool = stock.pool(resource);
    const source = pool?.source ?? "";
    const ids = await chooseDevices({
      uid,
      container,
      resource,
      count,
      has: allocations.get(uid, container, resource)?.devices.map(({ id }) => id),
      healthy: pool && stock.healthy(resource),
      inUse: allocations.inUse(resource),
      reusable,
      preferred: async (available, mustInclude, wanted) => {
        if (pool?.preferredAllocation !== true) return [];
        const preference = { resourceName: resource, available, mustInclude, count: wanted };
        return await sources.preferred(source, preference).catch((error: unknown) => {
          throw new Error(`device plugin GetPreferredAllocation rpc failed with err: ${goText(error)}`);
        });
      },
    });
    if (ids.length === 0) return;
    const edits = await sources.allocate(source, resource, ids).catch((error: unknown) => {
      throw new Error(goText(error));
    });
    const devices = ids.map((id) => ({ id, numaNodes: [...(stock.device(resource, id)?.numaNodes ?? [])] }));
    allocations.add({ uid, container, resource, devices, edits });
    save();
  };

  const wantedBy = (pod: NodePod, container: Container): [resource: string, count: number][] =>
    Object.entries(container.resources?.limits ?? {})
      .filter(([resource]) => isOurs(resource) && !isClaimed(pod, resource, container.name))
      .map(([resource, quantity]) => [resource, quantityValue(parseQuantity(quantity))]);

  const idsOf = (uid: string, container: string, resource: string): string[] =>
    allocations.get(uid, container, resource)?.devices.map(({ id }) => id) ?? [];

  /** An init container's devices are used again by those after it; a sidecar's stay its own. */
  const allocatePod = async (pod: NodePod): Promise<void> => {
    const reusable = new Map<string, Set<string>>();
    const { uid } = pod.metadata;
    const each = async (container: Container, passesOn: boolean) => {
      for (const [resource, count] of wantedBy(pod, container)) {
        const ended = reusable.get(resource) ?? new Set();
        await inTurn(resource, () => allocate(pod, container.name, resource, count, ended));
        for (const id of idsOf(uid, container.name, resource))
          if (passesOn) ended.add(id);
          else ended.delete(id);
        reusable.set(resource, ended);
      }
    };
    for (const container of pod.spec.initContainers ?? []) await each(container, !isSidecar(container));
    for (const container of pod.spec.containers) await each(container, false);
  };

  const preStart = async (pod: NodePod, container: string, resource: string): Promise<void> => {
    const pool = stock.pool(resource);
    if (pool?.preStartRequired !== true) return;
    const { uid } = pod.metadata;
    const ids = idsOf(uid, container, resource);
    if (ids.length === 0)
      throw new Error(
        `no devices found allocated in local cache for pod ${uid}, container ${container}, resource ${resource}`,
      );
    await sources.preStart(pool.source ?? "", resource, ids).catch((error: unknown) => {
      throw new Error(`device plugin PreStartContainer rpc failed with err: ${goText(error)}`);
    });
  };

  const serve = async (what: string, begin: () => Promise<GrpcServer>): Promise<GrpcServer | undefined> => {
    try {
      return await begin();
    } catch (error) {
      log.warn(`${what} is not served on this node`, { error: messageOf(error) });
      return undefined;
    }
  };

  return {
    async admit(pod) {
      try {
        await allocatePod(pod);
        return undefined;
      } catch (error) {
        const message = `Allocate failed due to ${messageOf(error)}, which is unexpected`;
        return { reason: "UnexpectedAdmissionError", message };
      }
    },
    async edits(pod, container) {
      const { uid } = pod.metadata;
      for (const [resource, count] of wantedBy(pod, container)) {
        if (count === 0) continue;
        await preStart(pod, container.name, resource);
        // A pod that was here before the node knew that the resource is a plugin's.
        if (allocations.get(uid, container.name, resource) === undefined)
          await inTurn(resource, () => allocate(pod, container.name, resource, count, new Set()));
      }
      return mergeEdits(allocations.of(uid, container.name).map(({ edits }) => edits));
    },
    health: (uid, container) =>
      allocations.of(uid, container).map(({ resource, devices }) => ({
        name: resource,
        resources: devices.map(({ id }) => ({
          resourceID: id,
          health: stock.device(resource, id)?.healthy === false ? "Unhealthy" : "Healthy",
        })),
      })),
    counts: () => stock.counts(clock.now()),
    of: (uid, container) =>
      allocations
        .of(uid, container)
        .flatMap(({ resource, devices }) => devices.map((device) => ({ resource, ...device }))),
    allocatable: () =>
      stock.resources().flatMap((resource) =>
        [...stock.healthy(resource)].map((id) => ({
          resource,
          id,
          numaNodes: stock.device(resource, id)?.numaNodes ?? [],
        })),
      ),
    registrations: {
      added: ({ name, endpoint, supportedVersions }) =>
        followed.register(name, supportedVersions, hostPathOf(endpoint, settings.directory)),
      removed: ({ name }) => followed.leave(name),
    },
    async start(signal) {
      const servers = [
        await serve("the registration of device plugins", () =>
          serveRegistration(join(settings.directory, "device-plugins"), followed.register),
        ),
        await serve("the API of pods' resources", () =>
          servePodResources(settings.directory, { of: this.of, allocatable: this.allocatable }, known, parts.claims),
        ),
      ];
      await followed.followNatives(signal);
      followed.close();
      for (const server of servers) server?.close();
    },
  };
}

const NOTHING: ContainerEdits = { envs: [], mounts: [], deviceNodes: [], annotations: [], cdiDevices: [] };

/** A node that takes no device plugins. */
export const NO_DEVICES: DeviceManager = {
  admit: async () => undefined,
  edits: async () => NOTHING,
  health: () => [],
  counts: () => ({ capacity: {}, allocatable: {} }),
  of: () => [],
  allocatable: () => [],
  registrations: {
    added: async ({ type }) => {
      throw new Error(`plugins of type ${type} are not taken here`);
    },
    removed: () => undefined,
  },
  start: async () => undefined,
};
