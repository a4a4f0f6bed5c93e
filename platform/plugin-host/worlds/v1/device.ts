/** World device: what components say of their node's devices, and what a container that is given some of them gets. */
import type { ResourceClaim } from "#sdk/api/generated/types.ts";
import type { ContainerEdits, DevicePreference, DeviceStock, PreparedDevice } from "#sdk/plugin/types.ts";
import type { LoadedPlugin } from "../../host.ts";

const HOOKS = "device-hooks";

/** Rejects with PluginCallError: of kind "failure" where the component said no. */
export interface DeviceCalls {
  inventory(): Promise<DeviceStock>;
  preferred(preference: DevicePreference): Promise<string[]>;
  allocate(resource: string, ids: string[]): Promise<ContainerEdits>;
  preStart(resource: string, ids: string[]): Promise<void>;
  prepare(claim: ResourceClaim): Promise<PreparedDevice[]>;
  unprepare(claim: { uid: string; namespace: string; name: string }): Promise<void>;
}

/** Lists of numbers cross as typed arrays. */
const plain = (stock: DeviceStock): DeviceStock => ({
  ...stock,
  pools: stock.pools.map((pool) => ({
    ...pool,
    devices: pool.devices.map((device) => ({ ...device, numaNodes: Array.from(device.numaNodes) })),
  })),
});

export function createDeviceCalls(plugin: LoadedPlugin): DeviceCalls {
  const call = (hook: string, args: unknown[]) => plugin.call(HOOKS, hook, args);
  return {
    inventory: async () => plain((await call("inventory", [])) as DeviceStock),
    preferred: async (preference) => (await call("preferred", [preference])) as string[],
    allocate: async (resource, ids) => (await call("allocate", [resource, ids])) as ContainerEdits,
    preStart: async (resource, ids) => void (await call("preStart", [resource, ids])),
    prepare: async (claim) => (await call("prepare", [JSON.stringify(claim)])) as PreparedDevice[],
    unprepare: async ({ uid, namespace, name }) => void (await call("unprepare", [uid, namespace, name])),
  };
}
