/**
 * A volume that grew in the driver's store grows on the node too, and its claim is told (kubernetes/pkg/volume/util/operationexecutor, node_expander.go):
 * the driver's resizer leaves the claim with the condition FileSystemResizePending or the status NodeResizePending.
 */
import type { PersistentVolume, PersistentVolumeClaim } from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityValue } from "#sdk/api/quantity.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { NodeContext, NodePod } from "../context.ts";
import { CLAIMS, VOLUMES } from "../volumes/claims.ts";
import type { MountedVolume } from "../volumes/persistent.ts";
import type { VolumeDrivers } from "./drivers.ts";

export const waitsForNode = ({ status }: PersistentVolumeClaim): boolean =>
  status?.conditions?.some((one) => one.type === "FileSystemResizePending" && one.status === "True") === true ||
  status?.allocatedResourceStatuses?.["storage"] === "NodeResizePending";

export interface Expansion {
  pod: NodePod;
  claimName: string;
  mounted: MountedVolume;
}

/** Does nothing where nothing waits for it. Rejects with what the driver said. */
export async function expandOnNode(
  context: NodeContext,
  drivers: VolumeDrivers,
  { pod, claimName, mounted }: Expansion,
) {
  const client = context.client.tenant(tenantOf(pod));
  const { namespace } = pod.metadata;
  const claim = await client.get<PersistentVolumeClaim>(CLAIMS, { namespace, name: claimName });
  const name = claim.spec?.volumeName;
  if (!name || !waitsForNode(claim)) return;
  const { spec } = await client.get<PersistentVolume>(VOLUMES, { name });
  const storage = spec?.capacity?.["storage"];
  if (spec?.csi === undefined || storage === undefined) return;
  const driver = drivers.get(spec.csi.driver);
  if (driver.capabilities.has("EXPAND_VOLUME"))
    await driver.call("expandVolume", {
      volumeId: spec.csi.volumeHandle,
      volumePath: driver.pathOf(mounted.path),
      capacityRange: { requiredBytes: String(quantityValue(parseQuantity(storage))) },
    });
  const conditions = (claim.status?.conditions ?? []).filter(
    ({ type }) => type !== "FileSystemResizePending" && type !== "Resizing",
  );
  const status = {
    capacity: { storage },
    conditions: JSON.parse(JSON.stringify(conditions)),
    allocatedResourceStatuses: null,
  };
  await client.patch(
    CLAIMS,
    { namespace, name: claimName },
    { type: "merge", body: { status } },
    { subresource: "status" },
  );
  const message = `MountVolume.NodeExpandVolume succeeded for volume ${JSON.stringify(name)} ${context.settings.name}`;
  context.recorder.event(pod, "Normal", "FileSystemResizeSuccessful", message);
}
