/** What is in use and may not go yet: pure (upstream: pkg/controller/volume/pvcprotection, pvprotection, vacprotection). */
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { controllerOf, isTerminating } from "../objects.ts";

export const CLAIM_FINALIZER = "kubernetes.io/pvc-protection";
export const VOLUME_FINALIZER = "kubernetes.io/pv-protection";
export const CLASS_FINALIZER = "kubernetes.io/vac-protection";

/** All is over for it but its removal: waiting for that might wait for a finalizer that waits for the claim. */
const isShutDown = (pod: Pod): boolean => isTerminating(pod) && pod.metadata.deletionGracePeriodSeconds === 0;

/** The names of the claims that a pod's volumes are. A generic ephemeral volume's is POD-VOLUME. */
export const claimsOf = (pod: Pod): string[] =>
  (pod.spec?.volumes ?? []).flatMap((volume) => {
    if (volume.persistentVolumeClaim) return [volume.persistentVolumeClaim.claimName];
    return volume.ephemeral ? [`${pod.metadata.name}-${volume.name}`] : [];
  });

/** A pod without a node is no use: no node starts one whose claim is ending. */
export function usesClaim(pod: Pod, claim: PersistentVolumeClaim): boolean {
  if (!pod.spec?.nodeName) return false;
  return (
    pod.spec.volumes?.some((volume) => {
      if (volume.persistentVolumeClaim) return volume.persistentVolumeClaim.claimName === claim.metadata.name;
      const generated = volume.ephemeral && `${pod.metadata.name}-${volume.name}` === claim.metadata.name;
      return generated && !isShutDown(pod) && controllerOf(claim)?.uid === pod.metadata.uid;
    }) === true
  );
}

export const volumeIsUsed = (volume: PersistentVolume): boolean => volume.status?.phase === "Bound";

/** A class is used by the claims that ask for it or still have it, and by the volumes that have it. */
export const classesOfClaim = ({ spec, status }: PersistentVolumeClaim): string[] =>
  [
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ].filter((name) => name !== undefined);
export const classesOfVolume = ({ spec }: PersistentVolume): string[] =>
  spec?.volumeAttributesClassName ? [spec.volumeAttributesClassName] : [];

/** The finalizers that an object should have instead of its own; undefined: these are right. */
export function finalizersFor(object: KubeObject, finalizer: string, used: boolean): string[] | undefined {
  const present = object.metadata.finalizers ?? [];
  const has = present.includes(finalizer);
  // What was made before there was such protection gets it now.
  if (!isTerminating(object)) return has ? undefined : [...present, finalizer];
  return has && !used ? present.filter((name) => name !== finalizer) : undefined;
}
