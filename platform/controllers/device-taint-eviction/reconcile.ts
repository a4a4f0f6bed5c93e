/** When a pod must go because of its devices' NoExecute taints: pure (upstream: pkg/controller/devicetainteviction; KEP-5055). */
import type { Device, Pod, ResourceClaim, ResourceSlice } from "#sdk/api/generated/types.ts";
import { isReservedFor } from "../resource-claim/reconcile.ts";
import { dueInMs } from "../taint-eviction/reconcile.ts";

/** Devices that are tainted, by "driver/pool/device"; of a pool's slices only the newest generation counts. */
export function taintedDevices(slices: readonly ResourceSlice[]): Map<string, Device> {
  const newest = new Map<string, number>();
  const poolOf = ({ spec }: ResourceSlice) => `${spec.driver}/${spec.pool.name}`;
  for (const slice of slices) {
    const pool = poolOf(slice);
    newest.set(pool, Math.max(newest.get(pool) ?? 0, slice.spec.pool.generation));
  }
  const devices = new Map<string, Device>();
  for (const slice of slices) {
    if (slice.spec.pool.generation !== newest.get(poolOf(slice))) continue;
    for (const device of slice.spec.devices ?? [])
      if (device.taints?.length) devices.set(`${poolOf(slice)}/${device.name}`, device);
  }
  return devices;
}

/** Milliseconds until eviction: 0 now, undefined never. */
export function deviceEvictionInMs(
  pod: Pod,
  claims: readonly ResourceClaim[],
  devices: ReadonlyMap<string, Device>,
  now: number,
): number | undefined {
  let soonest: number | undefined;
  for (const claim of claims) {
    if (!isReservedFor(claim, pod)) continue;
    for (const { driver, pool, device, tolerations = [] } of claim.status?.allocation?.devices?.results ?? []) {
      const inMs = dueInMs(tolerations, devices.get(`${driver}/${pool}/${device}`)?.taints ?? [], now, now);
      if (inMs !== undefined) soonest = Math.min(soonest ?? inMs, inMs);
    }
  }
  return soonest;
}
