/** How devices of claims are, as their drivers tell (KEP-4680): what nobody spoke of is unknown. */
import { delay } from "#platform/base/clock.ts";
import type { ResourceHealth } from "#sdk/api/generated/types.ts";
import type { ClaimDrivers } from "./drivers.ts";
import type { PreparedClaim } from "./prepared.ts";

const LOOK_MS = 1_000;

export interface DeviceHealth {
  /** Of these devices, each once. */
  of(devices: NonNullable<PreparedClaim["devices"]>): ResourceHealth[];
  follow(signal: AbortSignal): Promise<void>;
}

/** `drivers`: those that tell; `changed`: called with the name of a driver whose devices are otherwise now. */
export function createDeviceHealth(
  calls: Pick<ClaimDrivers, "health">,
  drivers: () => readonly string[],
  changed: (driver: string) => void,
): DeviceHealth {
  /** By driver, then by "pool/device". */
  const known = new Map<string, Map<string, boolean>>();
  const look = async (driver: string): Promise<void> => {
    // A driver that does not answer says nothing of its devices.
    const said = await calls.health(driver).catch(() => []);
    const next = new Map(said.map(({ pool, device, healthy }) => [`${pool}/${device}`, healthy]));
    const before = known.get(driver);
    known.set(driver, next);
    const isSame = before?.size === next.size && [...next].every(([id, healthy]) => before.get(id) === healthy);
    if (!isSame) changed(driver);
  };
  return {
    of(devices) {
      const health = devices.map(({ driver, pool, device, cdiDevices }): ResourceHealth => {
        const healthy = known.get(driver)?.get(`${pool}/${device}`);
        return {
          resourceID: cdiDevices[0] ?? `${driver}/${pool}/${device}`,
          health: healthy === undefined ? "Unknown" : healthy ? "Healthy" : "Unhealthy",
        };
      });
      return [...new Map(health.map((one) => [one.resourceID, one])).values()];
    },
    async follow(signal) {
      while (!signal.aborted) {
        const present = drivers();
        for (const driver of known.keys()) {
          if (present.includes(driver)) continue;
          known.delete(driver);
          changed(driver);
        }
        await Promise.all(present.map(look));
        await delay(LOOK_MS, signal);
      }
    },
  };
}
