/** The volume drivers of a node: those that registered a socket, and the volume components that are drivers themselves. */
import type { VolumeCalls } from "#platform/node/ports.ts";
import type { PluginHostOptions } from "#platform/plugin-host/port.ts";
import { createVolumeCalls } from "#platform/plugin-host/worlds/v1/volume.ts";
import { createSocketAdapters } from "./socket-adapters.ts";

const ADAPTER = "csi";

export interface VolumeDriverHost extends VolumeCalls {
  start(): void;
  close(): Promise<void>;
}

export function createVolumeDrivers(options: Omit<PluginHostOptions, "worlds">): VolumeDriverHost {
  const adapters = createSocketAdapters(options, {
    world: "volume",
    plugin: ADAPTER,
    socketVariable: "volumeDriverSocket",
  });
  const { natives } = adapters;
  const callNative = createVolumeCalls(natives);
  return {
    start: () => natives.start(),
    natives: () => natives.loaded("volume").map(({ name }) => name),
    add: (driver, socket) => adapters.add(driver, socket),
    remove: adapters.remove,
    async call(driver, service, hook, request) {
      const host = adapters.host(driver);
      const answer = host
        ? createVolumeCalls(host)(ADAPTER, service, hook, request)
        : callNative(driver, service, hook, request);
      return (await answer) as object;
    },
    close: adapters.close,
  };
}
