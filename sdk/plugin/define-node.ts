/** For guests: the worlds of a node's volumes, devices and services. See define.ts. */
import { failing } from "./define.ts";
import { failure } from "./failure.ts";
import type { ContainerEdits, DevicePreference, DeviceStock, PreparedDevice, ProxyDelta } from "./types.ts";

type Message = Record<string, unknown>;
type Service<M extends string> = Partial<Record<M, (request: Message) => object>>;

const unimplemented = (method: string) => (): never => {
  throw failure("Unimplemented", `${method} is not among this driver's capabilities`, 12);
};

/** CSI's messages parsed on the way in and written on the way out; what is left out answers Unimplemented. */
function service<M extends string>(methods: readonly M[], hooks: Service<M>): Record<M, (request?: string) => string> {
  const wrapped = methods.map((method) => [
    method,
    failing((request?: string) =>
      JSON.stringify((hooks[method] ?? unimplemented(method))(JSON.parse(request || "{}") as Message)),
    ),
  ]);
  return Object.fromEntries(wrapped);
}

export interface VolumeHooks {
  /** GetPluginInfoResponse. */
  getPluginInfo(): object;
  /** GetPluginCapabilitiesResponse. */
  getPluginCapabilities(): object;
  /** Throws where volumes cannot be served now. */
  probe?(): void;
}
export const defineVolume = (hooks: VolumeHooks) => ({
  getPluginInfo: failing(() => JSON.stringify(hooks.getPluginInfo())),
  getPluginCapabilities: failing(() => JSON.stringify(hooks.getPluginCapabilities())),
  probe: failing(() => hooks.probe?.()),
});

const VOLUME_CONTROLLER_METHODS = [
  "getCapabilities",
  "createVolume",
  "deleteVolume",
  "publishVolume",
  "unpublishVolume",
  "validateVolumeCapabilities",
  "listVolumes",
  "getVolume",
  "getCapacity",
  "expandVolume",
  "modifyVolume",
  "createSnapshot",
  "deleteSnapshot",
  "listSnapshots",
  "createVolumeGroupSnapshot",
  "deleteVolumeGroupSnapshot",
  "getVolumeGroupSnapshot",
] as const;
export const defineVolumeController = (hooks: Service<(typeof VOLUME_CONTROLLER_METHODS)[number]>) =>
  service(VOLUME_CONTROLLER_METHODS, hooks);

const VOLUME_NODE_METHODS = [
  "getCapabilities",
  "getInfo",
  "stageVolume",
  "unstageVolume",
  "publishVolume",
  "unpublishVolume",
  "getVolumeStats",
  "expandVolume",
] as const;
export const defineVolumeNode = (hooks: Service<(typeof VOLUME_NODE_METHODS)[number]>) =>
  service(VOLUME_NODE_METHODS, hooks);

export interface DeviceHooks {
  inventory(): DeviceStock;
  preferred?(preference: DevicePreference): string[];
  allocate?(resourceName: string, ids: string[]): Partial<ContainerEdits>;
  preStart?(resourceName: string, ids: string[]): void;
  /** A ResourceClaim with its allocation. */
  prepare?(claim: Message): PreparedDevice[];
  unprepare?(uid: string, namespace: string, name: string): void;
}
const NO_EDITS: ContainerEdits = { envs: [], mounts: [], deviceNodes: [], annotations: [], cdiDevices: [] };
export const defineDevice = (hooks: DeviceHooks) => ({
  inventory: failing(() => hooks.inventory()),
  preferred: failing(
    (p: DevicePreference) =>
      hooks.preferred?.(p) ??
      [...p.mustInclude, ...p.available.filter((id) => !p.mustInclude.includes(id))].slice(0, p.count),
  ),
  allocate: failing((name: string, ids: string[]): ContainerEdits => ({ ...NO_EDITS, ...hooks.allocate?.(name, ids) })),
  preStart: failing((name: string, ids: string[]) => hooks.preStart?.(name, ids)),
  prepare: failing((claim: string) => (hooks.prepare ?? unimplemented("prepare"))(JSON.parse(claim) as Message)),
  unprepare: failing((uid: string, namespace: string, name: string) => hooks.unprepare?.(uid, namespace, name)),
});

export interface ProxyHooks {
  render(delta: ProxyDelta): void;
  addresses?(addresses: string[]): void;
  remove(): void;
}
export const defineProxy = (hooks: ProxyHooks) => ({
  render: failing((delta: ProxyDelta) => hooks.render(delta)),
  addresses: failing((addresses: string[]) => hooks.addresses?.(addresses)),
  remove: failing(() => hooks.remove()),
});
