/** Claims that ask for more than they have: pure (upstream: pkg/controller/volume/expand). */
import type { PersistentVolume, PersistentVolumeClaim } from "#sdk/api/generated/types.ts";
import { compareQuantities, parseQuantity } from "#sdk/api/quantity.ts";

export type Expansion =
  | { by: "nobody" }
  /** A driver's own controller does it. */
  | { by: "driver" }
  /** Nothing has to be done but to write the new size down: the files lie on the node's own disk. */
  | { by: "loop"; size: string };

const ZERO = parseQuantity("0");
const size = (text: string | number | undefined) => (text === undefined ? ZERO : parseQuantity(text));

export function expansionOf(claim: PersistentVolumeClaim, volume: PersistentVolume | undefined): Expansion {
  const asked = claim.spec?.resources?.requests?.["storage"];
  const ref = volume?.spec?.claimRef;
  const isBound = claim.status?.phase === "Bound" && ref !== undefined && ref.uid === claim.metadata.uid;
  if (!isBound || asked === undefined) return { by: "nobody" };
  if (compareQuantities(size(asked), size(claim.status?.capacity?.["storage"])) <= 0) return { by: "nobody" };
  return volume?.spec?.hostPath ? { by: "loop", size: String(asked) } : { by: "driver" };
}

/** The volume with the claim's size, unless it has that much already. */
export function grownVolume(volume: PersistentVolume, to: string): PersistentVolume | undefined {
  if (compareQuantities(size(volume.spec?.capacity?.["storage"]), size(to)) >= 0) return undefined;
  return { ...volume, spec: { ...volume.spec, capacity: { ...volume.spec?.capacity, storage: to } } };
}

/** Its conditions no longer say that it is being resized. */
export function grownStatus({ status }: PersistentVolumeClaim, to: string): PersistentVolumeClaim["status"] {
  const { allocatedResources: _, allocatedResourceStatuses: __, conditions, ...rest } = status ?? {};
  const left = (conditions ?? []).filter((c) => c.type !== "Resizing" && c.type !== "FileSystemResizePending");
  return {
    ...rest,
    capacity: { ...status?.capacity, storage: to },
    ...(left.length > 0 ? { conditions: left } : {}),
  };
}
