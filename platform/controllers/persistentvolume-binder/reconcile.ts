/**
 * What a claim or a volume needs next: pure. A binding is four writes (the volume's claimRef, its phase, the claim's volumeName, its status); each
 * step is found from what is stored, so that it goes on wherever it was interrupted (upstream: pkg/controller/volume/persistentvolume).
 */

import { classOf, findVolume, isFor, mismatch } from "#platform/rules/volume-match.ts";
import type {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeClaimStatus,
  PersistentVolumeStatus,
  StorageClass,
} from "#sdk/api/generated/types.ts";
import { isTerminating, sameJson } from "../objects.ts";

export const BIND_COMPLETED = "pv.kubernetes.io/bind-completed";
export const BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller";
export const PROVISIONED_BY = "pv.kubernetes.io/provisioned-by";
export const SELECTED_NODE = "volume.kubernetes.io/selected-node";
const PROVISIONERS = ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];
const NO_PROVISIONER = "kubernetes.io/no-provisioner";

export interface Told {
  type: "Normal" | "Warning";
  reason: string;
  message: string;
}

/** What to write; absent parts stay. */
export interface ClaimPlan {
  volume?: PersistentVolume;
  claim?: PersistentVolumeClaim;
  status?: PersistentVolumeClaimStatus;
  event?: Told;
}

export interface ClaimInput {
  claim: PersistentVolumeClaim;
  /** Of the claim's tenant. */
  volumes: readonly PersistentVolume[];
  class: StorageClass | undefined;
  /** Where the first pod that uses the claim runs or will run. */
  node: Node | undefined;
}

export const statusOf = (claim: PersistentVolumeClaim, phase: string, volume?: PersistentVolume) => {
  const { accessModes: _, capacity: __, ...rest } = claim.status ?? {};
  if (!volume) return { ...rest, phase };
  // A claim that grows tells its own capacity once the file system has grown.
  const grown = claim.status?.phase === "Bound" ? claim.status.capacity : undefined;
  const { accessModes, capacity, volumeAttributesClassName } = volume.spec ?? {};
  return {
    ...rest,
    phase,
    accessModes,
    capacity: grown ?? capacity,
    ...(volumeAttributesClassName && !rest.currentVolumeAttributesClassName
      ? { currentVolumeAttributesClassName: volumeAttributesClassName }
      : {}),
  };
};

const withAnnotations = <T extends PersistentVolume | PersistentVolumeClaim>(
  object: T,
  annotations: Record<string, string>,
): T => ({
  ...object,
  metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, ...annotations } },
});

/** Whoever named the other first did not leave it to this loop, and keeps that reference when the other is gone. */
function bind(volume: PersistentVolume, claim: PersistentVolumeClaim): ClaimPlan {
  const plan: ClaimPlan = { status: statusOf(claim, "Bound", volume) };
  if (volume.spec?.claimRef?.uid !== claim.metadata.uid) {
    const { name, namespace, uid, resourceVersion } = claim.metadata;
    const claimRef = { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid, resourceVersion };
    const named = { ...volume, spec: { ...volume.spec, claimRef } };
    plan.volume = volume.spec?.claimRef ? named : withAnnotations(named, { [BOUND_BY_CONTROLLER]: "yes" });
  }
  const volumeName = volume.metadata.name;
  if (claim.spec?.volumeName !== volumeName || !claim.metadata.annotations?.[BIND_COMPLETED]) {
    const byUs = claim.spec?.volumeName ? undefined : { [BOUND_BY_CONTROLLER]: "yes" };
    const named = { ...claim, spec: { ...claim.spec, volumeName } };
    plan.claim = withAnnotations(named, { [BIND_COMPLETED]: "yes", ...byUs });
  }
  if (sameJson(plan.status, claim.status)) delete plan.status;
  return plan;
}

const lost = (claim: PersistentVolumeClaim, reason: string, message: string): ClaimPlan =>
  claim.status?.phase === "Lost"
    ? {}
    : { status: statusOf(claim, "Lost"), event: { type: "Warning", reason, message } };

function pending(claim: PersistentVolumeClaim, event?: Told): ClaimPlan {
  const status = claim.status?.phase === "Pending" ? undefined : statusOf(claim, "Pending");
  return { ...(status ? { status } : {}), ...(event ? { event } : {}) };
}

export function planClaim(input: ClaimInput): ClaimPlan {
  const { claim, volumes } = input;
  const name = claim.spec?.volumeName;
  const volume = name ? volumes.find((v) => v.metadata.name === name) : undefined;
  if (claim.metadata.annotations?.[BIND_COMPLETED]) {
    if (!name)
      return lost(
        claim,
        "ClaimLost",
        "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
      );
    if (!volume)
      return lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    if (!volume.spec?.claimRef || isFor(volume, claim)) return bind(volume, claim);
    return lost(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly");
  }
  if (isTerminating(claim)) return {};
  if (!name) return planUnnamed(input);
  if (!volume) return pending(claim);
  if (isFor(volume, claim)) return bind(volume, claim);
  if (volume.spec?.claimRef) {
    const message = `volume "${name}" already bound to a different claim.`;
    return pending(claim, { type: "Warning", reason: "FailedBinding", message });
  }
  const why = mismatch(volume, claim);
  if (!why) return bind(volume, claim);
  const message = `Cannot bind to requested volume "${name}": ${why}`;
  return pending(claim, { type: "Warning", reason: "VolumeMismatch", message });
}

function planUnnamed({ claim, volumes, class: storageClass, node }: ClaimInput): ClaimPlan {
  const waits = storageClass?.volumeBindingMode === "WaitForFirstConsumer";
  const kept = volumes.some((volume) => volume.spec?.claimRef && isFor(volume, claim));
  if (waits && !node && !kept) {
    const message = "waiting for first consumer to be created before binding";
    return pending(claim, { type: "Normal", reason: "WaitForFirstConsumer", message });
  }
  const found = findVolume(claim, volumes, waits ? node : undefined);
  if (found) return bind(found, claim);
  const className = classOf(claim);
  if (!className) {
    const message = "no persistent volumes available for this claim and no storage class is set";
    return pending(claim, { type: "Normal", reason: "FailedBinding", message });
  }
  if (!storageClass) {
    const message = `storageclass.storage.k8s.io "${className}" not found`;
    return pending(claim, { type: "Warning", reason: "ProvisioningFailed", message });
  }
  if (storageClass.provisioner === NO_PROVISIONER) return pending(claim);
  return provisioned(claim, storageClass.provisioner, waits ? node : undefined);
}

/** The annotations tell an external provisioner (CSI's) that it is its turn, and where. */
function provisioned(claim: PersistentVolumeClaim, provisioner: string, node: Node | undefined): ClaimPlan {
  const asked = withAnnotations(claim, {
    ...Object.fromEntries(PROVISIONERS.map((key) => [key, provisioner])),
    ...(node ? { [SELECTED_NODE]: node.metadata.name ?? "" } : {}),
  });
  const message = `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`;
  const plan = pending(claim, { type: "Normal", reason: "ExternalProvisioning", message });
  return sameJson(asked.metadata.annotations, claim.metadata.annotations) ? plan : { ...plan, claim: asked };
}

export interface VolumePlan {
  volume?: PersistentVolume;
  status?: PersistentVolumeStatus;
  event?: Told;
}

const phase = (volume: PersistentVolume, name: string, message?: string): VolumePlan =>
  volume.status?.phase === name ? {} : { status: { phase: name, ...(message ? { message } : {}) } };

/** `claim` is the one that the volume's claimRef names, if it exists. */
export function planVolume(volume: PersistentVolume, claim: PersistentVolumeClaim | undefined): VolumePlan {
  const ref = volume.spec?.claimRef;
  if (!ref?.uid) return phase(volume, "Available");
  const valid = claim && isFor(volume, claim);
  if (valid && (claim.spec?.volumeName ?? volume.metadata.name) === volume.metadata.name) return phase(volume, "Bound");
  // A claim that got another volume lets go of one that this loop had picked for it.
  if (valid && volume.metadata.annotations?.[BOUND_BY_CONTROLLER]) {
    const { [BOUND_BY_CONTROLLER]: _, ...annotations } = volume.metadata.annotations;
    const { claimRef: __, ...spec } = volume.spec ?? {};
    return { volume: { ...volume, metadata: { ...volume.metadata, annotations }, spec } };
  }
  return reclaim(volume);
}

/** Who provisioned a volume deletes it once it is released. Nothing here deletes files of a host (decisions/071). */
function reclaim(volume: PersistentVolume): VolumePlan {
  const policy = volume.spec?.persistentVolumeReclaimPolicy ?? "Retain";
  const external = volume.spec?.csi !== undefined || volume.metadata.annotations?.[PROVISIONED_BY] !== undefined;
  if (volume.status?.phase === "Failed" || policy === "Retain" || (policy === "Delete" && external))
    return volume.status?.phase === "Failed" ? {} : phase(volume, "Released");
  const name = volume.metadata.name;
  const [reason, message] =
    policy === "Recycle"
      ? ["VolumeFailedRecycle", "No recycler plugin found for the volume!"]
      : [
          "VolumeFailedDelete",
          `error getting deleter volume plugin for volume "${name}": no deletable volume plugin matched`,
        ];
  return { ...phase(volume, "Failed", message), event: { type: "Warning", reason, message } };
}
