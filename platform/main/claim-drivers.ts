/** The drivers of claims that registered a socket with a node: each is spoken to by an instance of one component (decisions/146). */
import type { ClaimDrivers } from "#platform/node/claims/drivers.ts";
import { PluginCallError } from "#platform/plugin-host/errors.ts";
import type { PluginHostOptions } from "#platform/plugin-host/port.ts";
import { createDeviceCalls } from "#platform/plugin-host/worlds/v1/device.ts";
import { createSocketAdapters } from "./socket-adapters.ts";

/** The component's Plugin. */
export const DRA_DRIVERS = "dra-drivers";

export interface ClaimDriverHost extends ClaimDrivers {
  close(): Promise<void>;
}

export function createClaimDrivers(options: Omit<PluginHostOptions, "worlds">): ClaimDriverHost {
  const adapters = createSocketAdapters(options, {
    world: "device",
    plugin: DRA_DRIVERS,
    socketVariable: "draDriverSocket",
  });
  const found = (driver: string) => {
    const plugin = adapters.find(driver);
    if (plugin === undefined)
      throw new PluginCallError(driver, "prepare", "unavailable", `no device component speaks with ${driver}`);
    return createDeviceCalls(plugin);
  };
  return {
    add: (driver, socket, { service, health }) =>
      adapters.add(driver, socket, { draDriverService: service, draDriverHealth: health }),
    remove: adapters.remove,
    prepare: async (driver, claim) => await found(driver).prepare(claim),
    unprepare: async (driver, claim) => await found(driver).unprepare(claim),
    async health(driver) {
      const { pools } = await found(driver).inventory();
      return pools.flatMap(({ resourceName: pool, devices }) =>
        devices.map(({ id: device, healthy }) => ({ pool, device, healthy })),
      );
    },
    close: adapters.close,
  };
}
