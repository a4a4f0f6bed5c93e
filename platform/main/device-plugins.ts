/** The device plugins of a node: those that registered a socket, and the device components that know devices themselves. */
import type { DeviceSources } from "#platform/node/ports.ts";
import { PluginCallError } from "#platform/plugin-host/errors.ts";
import type { PluginHostOptions } from "#platform/plugin-host/port.ts";
import { createDeviceCalls } from "#platform/plugin-host/worlds/v1/device.ts";
import { DRA_DRIVERS } from "./claim-drivers.ts";
import { createSocketAdapters } from "./socket-adapters.ts";

export interface DevicePluginHost extends DeviceSources {
  start(): void;
  close(): Promise<void>;
}

export function createDevicePlugins(options: Omit<PluginHostOptions, "worlds">): DevicePluginHost {
  const adapters = createSocketAdapters(options, {
    world: "device",
    plugin: "device-plugins",
    socketVariable: "devicePluginSocket",
    others: [DRA_DRIVERS],
  });
  const { natives } = adapters;
  const found = (name: string) => {
    const plugin = adapters.find(name) ?? natives.loaded("device").find((one) => one.name === name);
    if (plugin === undefined)
      throw new PluginCallError(name, "inventory", "unavailable", `no device component serves ${name}`);
    return createDeviceCalls(plugin);
  };
  return {
    start: () => natives.start(),
    natives: () => natives.loaded("device").map(({ name }) => name),
    add: (resource, socket) => adapters.add(resource, socket, { devicePluginResource: resource }),
    remove: adapters.remove,
    inventory: async (source) => await found(source).inventory(),
    preferred: async (source, preference) => await found(source).preferred(preference),
    allocate: async (source, resource, ids) => await found(source).allocate(resource, ids),
    preStart: async (source, resource, ids) => await found(source).preStart(resource, ids),
    close: adapters.close,
  };
}
