/**
 * Volumes of CSI drivers on this node (kubernetes/pkg/volume/csi): attached, staged once a node, published once a pod; undone the other
 * way round. Each step may come twice, and what is to be undone is known from the records alone.
 */

import { createHash } from "node:crypto";
import { mkdir, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import type { CSIDriverSpec, Secret, SecretReference, Volume, VolumeAttachment } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { type NodeContext, type NodePod, podPaths } from "../context.ts";
import type { ClaimedVolume } from "../volumes/claims.ts";
import { isMounted, unmount } from "../volumes/mounts.ts";
import { applyFsGroup, type MountedVolume } from "../volumes/persistent.ts";
import type { VolumeRecord } from "../volumes/records.ts";
import type { VolumeDriver, VolumeDrivers } from "./drivers.ts";
import { type Expansion, expandOnNode } from "./expand.ts";
import { accessMode, attachmentName, inlineHandle, volumeCapability } from "./messages.ts";

const ATTACHMENTS: GroupVersionResource = { group: "storage.k8s.io", version: "v1", resource: "volumeattachments" };
const SECRETS: GroupVersionResource = { group: "", version: "v1", resource: "secrets" };

/** A volume of a driver as a pod has it: by way of a claim, or its own. */
export interface CsiVolume {
  /** The pod's name for it. */
  name: string;
  driver: string;
  handle: string;
  block: boolean;
  inline: boolean;
  fsType: string | undefined;
  attributes: Record<string, string>;
  mountOptions: string[];
  accessModes: string[];
  readOnly: boolean;
  stageSecret?: SecretReference;
  publishSecret?: SecretReference;
}

export function claimedCsi(name: string, { volume, readOnly }: ClaimedVolume): CsiVolume | undefined {
  const { csi, volumeMode, mountOptions = [], accessModes = [] } = volume.spec;
  if (csi === undefined) return undefined;
  return {
    name,
    driver: csi.driver,
    handle: csi.volumeHandle,
    block: volumeMode === "Block",
    inline: false,
    fsType: csi.fsType,
    attributes: csi.volumeAttributes ?? {},
    mountOptions,
    accessModes,
    readOnly: readOnly || csi.readOnly === true,
    ...(csi.nodeStageSecretRef ? { stageSecret: csi.nodeStageSecretRef } : {}),
    ...(csi.nodePublishSecretRef ? { publishSecret: csi.nodePublishSecretRef } : {}),
  };
}

export function inlineCsi(pod: NodePod, { name, csi }: Volume): CsiVolume | undefined {
  if (csi === undefined) return undefined;
  const { namespace } = pod.metadata;
  return {
    name,
    driver: csi.driver,
    handle: inlineHandle(pod.metadata.uid, name),
    block: false,
    inline: true,
    fsType: csi.fsType,
    attributes: csi.volumeAttributes ?? {},
    mountOptions: [],
    accessModes: ["ReadWriteOnce"],
    readOnly: csi.readOnly === true,
    ...(csi.nodePublishSecretRef?.name ? { publishSecret: { name: csi.nodePublishSecretRef.name, namespace } } : {}),
  };
}

export const recordOf = ({ driver, handle, block, inline }: CsiVolume): NonNullable<VolumeRecord["csi"]> => ({
  driver,
  handle,
  block,
  inline,
});

export interface CsiVolumes {
  /** Idempotent; the record is written before. */
  setUp(pod: NodePod, volume: CsiVolume): Promise<MountedVolume>;
  /** Grows what has grown in the driver's store. */
  expand(expansion: Expansion): Promise<void>;
  /** `last`: no other pod of this node has the volume. */
  tearDown(uid: string, name: string, record: NonNullable<VolumeRecord["csi"]>, last: boolean): Promise<void>;
}

export function createCsiVolumes(context: NodeContext, drivers: VolumeDrivers): CsiVolumes {
  const { client, settings } = context;
  const targetOf = (uid: string, name: string, block: boolean) =>
    join(podPaths(settings, uid).volumes, name, block ? "device" : "mount");
  const stagingOf = (driver: string, handle: string) =>
    join(
      settings.directory,
      "plugins/kubernetes.io/csi",
      driver,
      createHash("sha256").update(handle).digest("hex"),
      "globalmount",
    );

  const secretsOf = async (pod: NodePod, ref: SecretReference | undefined): Promise<Record<string, string>> => {
    if (ref === undefined) return {};
    const { namespace = "", name = "" } = ref;
    const { data } = await client.tenant(tenantOf(pod)).get<Secret>(SECRETS, { namespace, name });
    return Object.fromEntries(
      Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]),
    );
  };

  /** What the controller's side of the driver hands to the node's. */
  const attached = async (pod: NodePod, volume: CsiVolume, spec: CSIDriverSpec): Promise<Record<string, string>> => {
    if (volume.inline || spec.attachRequired === false) return {};
    const name = attachmentName(volume.handle, volume.driver, settings.name);
    const attachment = await client
      .tenant(tenantOf(pod))
      .get<VolumeAttachment>(ATTACHMENTS, { name })
      .catch((error: unknown) => {
        throw new Error(`volume attachment ${name} cannot be read: ${messageOf(error)}`);
      });
    const { attachError } = attachment.status ?? {};
    if (attachment.status?.attached !== true)
      throw new Error(attachError?.message ?? `volume ${volume.handle} is not attached to this node yet`);
    return attachment.status.attachmentMetadata ?? {};
  };

  const podInfo = async (pod: NodePod, volume: CsiVolume, spec: CSIDriverSpec): Promise<Record<string, string>> => {
    const about: Record<string, string> = {};
    if (spec.podInfoOnMount === true) {
      about["csi.storage.k8s.io/pod.name"] = pod.metadata.name;
      about["csi.storage.k8s.io/pod.namespace"] = pod.metadata.namespace;
      about["csi.storage.k8s.io/pod.uid"] = pod.metadata.uid;
      about["csi.storage.k8s.io/serviceAccount.name"] = pod.spec.serviceAccountName ?? "default";
      about["csi.storage.k8s.io/ephemeral"] = String(volume.inline);
    }
    if (spec.tokenRequests !== undefined && spec.tokenRequests.length > 0) {
      const tokens: Record<string, object> = {};
      for (const { audience, expirationSeconds } of spec.tokenRequests) {
        const { token, expiresAt } = await context.token(pod, audience || undefined, expirationSeconds ?? 3600);
        tokens[audience] = { token, expirationTimestamp: new Date(expiresAt).toISOString() };
      }
      about["csi.storage.k8s.io/serviceAccount.tokens"] = JSON.stringify(tokens);
    }
    return about;
  };

  const checkLifecycle = (volume: CsiVolume, spec: CSIDriverSpec): void => {
    const modes = spec.volumeLifecycleModes ?? ["Persistent"];
    const wanted = volume.inline ? "Ephemeral" : "Persistent";
    if (!modes.includes(wanted))
      throw new Error(
        `volume mode ${JSON.stringify(wanted)} not supported by driver ${volume.driver} (only supports ${JSON.stringify(modes)})`,
      );
  };

  const groupOf = (pod: NodePod, driver: VolumeDriver): number | undefined =>
    driver.capabilities.has("VOLUME_MOUNT_GROUP") ? pod.spec.securityContext?.fsGroup : undefined;

  const capabilityOf = (pod: NodePod, driver: VolumeDriver, volume: CsiVolume): object => {
    const group = groupOf(pod, driver);
    return volumeCapability({
      block: volume.block,
      fsType: volume.fsType,
      mountFlags: volume.mountOptions,
      ...(group === undefined ? {} : { group }),
      mode: accessMode(volume.accessModes, driver.capabilities.has("SINGLE_NODE_MULTI_WRITER")),
    });
  };

  const stage = async (pod: NodePod, driver: VolumeDriver, volume: CsiVolume, publishContext: object) => {
    if (volume.inline || !driver.capabilities.has("STAGE_UNSTAGE_VOLUME")) return undefined;
    const staging = stagingOf(volume.driver, volume.handle);
    await mkdir(staging, { recursive: true, mode: 0o750 });
    await driver.call("stageVolume", {
      volumeId: volume.handle,
      publishContext,
      stagingTargetPath: driver.pathOf(staging),
      volumeCapability: capabilityOf(pod, driver, volume),
      secrets: await secretsOf(pod, volume.stageSecret),
      volumeContext: volume.attributes,
    });
    return staging;
  };

  /** ReadWriteOnceWithFSType, the default: only where the volume is one pod's and has a file system that keeps owners. */
  const appliesGroup = (volume: CsiVolume, spec: CSIDriverSpec, driver: VolumeDriver): boolean => {
    if (volume.block || volume.readOnly || driver.capabilities.has("VOLUME_MOUNT_GROUP")) return false;
    const policy = spec.fsGroupPolicy ?? "ReadWriteOnceWithFSType";
    if (policy !== "ReadWriteOnceWithFSType") return policy === "File";
    return Boolean(volume.fsType) && volume.accessModes.some((mode) => mode.startsWith("ReadWriteOnce"));
  };

  return {
    async setUp(pod, volume) {
      const driver = drivers.get(volume.driver);
      const spec = (await drivers.object(volume.driver))?.spec ?? {};
      checkLifecycle(volume, spec);
      const publishContext = await attached(pod, volume, spec);
      const staging = await stage(pod, driver, volume, publishContext);
      const target = targetOf(pod.metadata.uid, volume.name, volume.block);
      await mkdir(dirname(target), { recursive: true, mode: 0o750 });
      await driver.call("publishVolume", {
        volumeId: volume.handle,
        publishContext,
        ...(staging === undefined ? {} : { stagingTargetPath: driver.pathOf(staging) }),
        targetPath: driver.pathOf(target),
        volumeCapability: capabilityOf(pod, driver, volume),
        readonly: volume.readOnly,
        secrets: await secretsOf(pod, volume.publishSecret),
        volumeContext: { ...volume.attributes, ...(await podInfo(pod, volume, spec)) },
      });
      if (appliesGroup(volume, spec, driver)) await applyFsGroup(pod, target, volume.readOnly);
      return { path: target, readOnly: volume.readOnly, ...(volume.block ? { device: true } : {}) };
    },

    expand: (expansion) => expandOnNode(context, drivers, expansion),

    async tearDown(uid, name, { driver: driverName, handle, block, inline }, last) {
      const target = targetOf(uid, name, block);
      const driver = drivers.get(driverName);
      await driver.call("unpublishVolume", { volumeId: handle, targetPath: driver.pathOf(target) });
      // A driver that leaves its mount behind must not have its files deleted with the pod's directory.
      while (isMounted(target)) await unmount(target);
      await (block ? rm(target, { force: true }) : removeEmpty(target));
      if (!last || inline || !driver.capabilities.has("STAGE_UNSTAGE_VOLUME")) return;
      const staging = stagingOf(driverName, handle);
      await driver.call("unstageVolume", { volumeId: handle, stagingTargetPath: driver.pathOf(staging) });
      while (isMounted(staging)) await unmount(staging);
      await removeEmpty(staging);
      await removeEmpty(dirname(staging));
    },
  };
}

async function removeEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: unknown) => {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  });
}
