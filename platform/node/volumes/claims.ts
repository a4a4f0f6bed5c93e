/** From a pod's claim to the volume that is bound to it (kubernetes/pkg/kubelet/volumemanager/populator). */
import { messageOf } from "#platform/base/log.ts";
import type { PersistentVolume, PersistentVolumeClaim, Volume } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { allContainers, type NodeContext, type NodePod } from "../context.ts";

export const CLAIMS: GroupVersionResource = { group: "", version: "v1", resource: "persistentvolumeclaims" };
export const VOLUMES: GroupVersionResource = { group: "", version: "v1", resource: "persistentvolumes" };

/** Both as the API had them when the pod's volume was set up: what they are bound to does not change. */
export interface ClaimedVolume {
  claim: PersistentVolumeClaim;
  volume: PersistentVolume & { spec: NonNullable<PersistentVolume["spec"]> };
  /** The pod may not write, whatever its containers' mounts say. */
  readOnly: boolean;
}

/** The claim that a volume of a pod names; an ephemeral volume's claim has a name of its own. */
export const claimName = (podName: string, volume: Volume): string | undefined =>
  volume.persistentVolumeClaim?.claimName ?? (volume.ephemeral === undefined ? undefined : `${podName}-${volume.name}`);

/** Undefined for a volume that names no claim. Rejects with why it cannot be used yet. */
export async function claimedVolume(
  context: NodeContext,
  pod: NodePod,
  volume: Volume,
): Promise<ClaimedVolume | undefined> {
  const name = claimName(pod.metadata.name, volume);
  if (name === undefined) return undefined;
  const { namespace } = pod.metadata;
  try {
    const claim = await readClaim(context, pod, name);
    if (
      volume.ephemeral !== undefined &&
      claim.metadata.ownerReferences?.every(({ uid }) => uid !== pod.metadata.uid) !== false
    )
      throw new Error(
        `PVC ${namespace}/${name} was not created for pod ${namespace}/${pod.metadata.name} (pod is not owner)`,
      );
    const found = await readVolume(context, pod, claim);
    checkMode(pod, volume.name, found.spec.volumeMode ?? "Filesystem");
    return { claim, volume: found, readOnly: volume.persistentVolumeClaim?.readOnly === true };
  } catch (error) {
    throw new Error(`error processing PVC ${namespace}/${name}: ${messageOf(error)}`);
  }
}

async function readClaim(context: NodeContext, pod: NodePod, name: string): Promise<PersistentVolumeClaim> {
  const client = context.client.tenant(tenantOf(pod));
  const claim = await client
    .get<PersistentVolumeClaim>(CLAIMS, { namespace: pod.metadata.namespace, name })
    .catch((error: unknown) => {
      throw new Error(`failed to fetch PVC from API server: ${messageOf(error)}`);
    });
  if (claim.metadata.deletionTimestamp !== undefined) throw new Error("PVC is being deleted");
  if (claim.status?.phase !== "Bound") throw new Error("PVC is not bound");
  return claim;
}

async function readVolume(
  context: NodeContext,
  pod: NodePod,
  claim: PersistentVolumeClaim,
): Promise<ClaimedVolume["volume"]> {
  const name = claim.spec?.volumeName;
  if (!name) throw new Error("PVC has empty pvc.Spec.VolumeName");
  const client = context.client.tenant(tenantOf(pod));
  const volume = await client.get<PersistentVolume>(VOLUMES, { name }).catch((error: unknown) => {
    throw new Error(`failed to fetch PV ${name} from API server: ${messageOf(error)}`);
  });
  const { spec } = volume;
  if (spec?.claimRef === undefined)
    throw new Error(`found PV object ${name} with nil pv.Spec.ClaimRef indicating it is not yet bound to the claim`);
  if (spec.claimRef.uid !== claim.metadata.uid)
    throw new Error(
      `found PV object ${name} with unexpected pv.Spec.ClaimRef.UID ${spec.claimRef.uid ?? ""} (expected ${claim.metadata.uid ?? ""})`,
    );
  return { ...volume, spec };
}

/** A device is not mounted, and a file system is no device. */
function checkMode(pod: NodePod, name: string, mode: string): void {
  const containers = allContainers(pod);
  if (mode === "Block" && containers.some((one) => one.volumeMounts?.some((mount) => mount.name === name)))
    throw new Error(`volume ${name} has volumeMode Block, but is specified in volumeMounts`);
  if (mode !== "Block" && containers.some((one) => one.volumeDevices?.some((device) => device.name === name)))
    throw new Error(`volume ${name} has volumeMode Filesystem, but is specified in volumeDevices`);
}
