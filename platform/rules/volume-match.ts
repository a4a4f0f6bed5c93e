/** Which volume a claim gets: pure (upstream: component-helpers/storage/volume, pkg/controller/volume/persistentvolume/index.go). */

import type { Node, PersistentVolume, PersistentVolumeClaim } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { compareQuantities, parseQuantity } from "#sdk/api/quantity.ts";
import { matchesNodeTerm } from "./node-fit.ts";

const BETA_CLASS = "volume.beta.kubernetes.io/storage-class";

/** The annotation is older than the field and wins. */
export const classOf = ({ metadata, spec }: PersistentVolume | PersistentVolumeClaim): string =>
  metadata.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? "";

const capacityOf = (volume: PersistentVolume) => parseQuantity(volume.spec?.capacity?.["storage"] ?? "0");
const requestOf = (claim: PersistentVolumeClaim) => parseQuantity(claim.spec?.resources?.requests?.["storage"] ?? "0");
const modeOf = ({ spec }: PersistentVolume | PersistentVolumeClaim): string => spec?.volumeMode ?? "Filesystem";

/** Whether the volume names this claim; one of the same name with another uid is another claim. */
export function isFor(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const ref = volume.spec?.claimRef;
  if (!ref || ref.name !== claim.metadata.name || ref.namespace !== claim.metadata.namespace) return false;
  return !ref.uid || ref.uid === claim.metadata.uid;
}

/** Why the volume cannot serve the claim that names it, in upstream's words; undefined: it can. */
export function mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim): string | undefined {
  if (compareQuantities(capacityOf(volume), requestOf(claim)) < 0) return "requested PV is too small";
  if (classOf(volume) !== classOf(claim)) return "storageClassName does not match";
  if ((volume.spec?.volumeAttributesClassName ?? "") !== (claim.spec?.volumeAttributesClassName ?? ""))
    return "volumeAttributesClassName does not match";
  if (modeOf(volume) !== modeOf(claim)) return "incompatible volumeMode";
  const modes = volume.spec?.accessModes ?? [];
  return (claim.spec?.accessModes ?? []).every((mode) => modes.includes(mode)) ? undefined : "incompatible accessMode";
}

export function reaches(volume: PersistentVolume, node: Node): boolean {
  const required = volume.spec?.nodeAffinity?.required;
  return !required || required.nodeSelectorTerms.some((term) => matchesNodeTerm(term, node));
}

/** Volumes that would do: one kept for the claim alone, else those that are free and large enough, the smallest first. */
export function fittingVolumes(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  node: Node | undefined,
): PersistentVolume[] {
  const fitting = volumes.filter(
    (volume) =>
      volume.metadata.deletionTimestamp === undefined && !mismatch(volume, claim) && (!node || reaches(volume, node)),
  );
  const kept = fitting.find((volume) => isFor(volume, claim));
  if (kept) return [kept];
  return fitting
    .filter(
      (volume) =>
        !volume.spec?.claimRef &&
        volume.status?.phase === "Available" &&
        (!claim.spec?.selector || selectsLabels(claim.spec.selector, volume.metadata.labels)),
    )
    .sort(
      (a, b) =>
        compareQuantities(capacityOf(a), capacityOf(b)) ||
        (a.spec?.accessModes?.length ?? 0) - (b.spec?.accessModes?.length ?? 0) ||
        (a.metadata.name ?? "").localeCompare(b.metadata.name ?? ""),
    );
}

/** `node` is where the claim will be used, when that is known. */
export const findVolume = (
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  node: Node | undefined,
): PersistentVolume | undefined => fittingVolumes(claim, volumes, node)[0];
