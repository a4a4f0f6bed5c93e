/** Volumes that outlive pods and need no driver: local, hostPath and NFS (kubernetes/pkg/volume/local, host_path, nfs). */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { NFSVolumeSource } from "#sdk/api/generated/types.ts";
import type { NodeContext, NodePod, NodeSettings } from "../context.ts";
import type { ClaimedVolume } from "./claims.ts";
import { ensureHostPath, hostPathOf } from "./host.ts";
import { isMounted, mount, mountDevice } from "./mounts.ts";
import { setOwnership } from "./ownership.ts";

/** What containers get: a directory or file to mount, or a device to add. */
export interface MountedVolume {
  path: string;
  device?: boolean;
  /** No container may write, whatever its mount says. */
  readOnly?: boolean;
  /** A group that the volume's users are in beside their own (annotation pv.beta.kubernetes.io/gid). */
  group?: number;
}

const GROUP_ANNOTATION = "pv.beta.kubernetes.io/gid";

/** fsGroup's part of a volume that it is to be applied to. */
export async function applyFsGroup(pod: NodePod, path: string, readOnly: boolean): Promise<void> {
  const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {};
  if (fsGroup === undefined || readOnly) return;
  await setOwnership(path, { group: fsGroup, readOnly, onlyOnRootMismatch: fsGroupChangePolicy === "OnRootMismatch" });
}

export const localMounts = (settings: NodeSettings): string =>
  join(settings.directory, "plugins/kubernetes.io/local-volume/mounts");

export interface PersistentParts {
  context: NodeContext;
  /** Where a device's file system is mounted, once for all pods. */
  root: string;
  /** Another pod of this node has the volume too. */
  isUsedByOther(): boolean;
}

/** Idempotent. `directory` is the volume's in the pod's own, for what has to be mounted there first. */
export async function setUpPersistent(
  parts: PersistentParts,
  pod: NodePod,
  claimed: ClaimedVolume,
  directory: string,
): Promise<MountedVolume> {
  const { spec, metadata } = claimed.volume;
  const group = Number(metadata.annotations?.[GROUP_ANNOTATION] ?? Number.NaN);
  const more = { readOnly: claimed.readOnly, ...(Number.isInteger(group) ? { group } : {}) };
  if (spec.local) return { ...(await setUpLocal(parts, pod, claimed)), ...more };
  if (spec.hostPath) {
    if (spec.volumeMode === "Block") throw new Error("hostPath volumes have no block mode");
    const path = hostPathOf(spec.hostPath.path, parts.context.settings.directory);
    return { path: await ensureHostPath(spec.hostPath, path), ...more };
  }
  if (spec.nfs) return { path: await mountNfs(spec.nfs, directory, spec.mountOptions), ...more };
  throw new Error("this kind of persistent volume is not supported on this node");
}

async function setUpLocal(parts: PersistentParts, pod: NodePod, claimed: ClaimedVolume): Promise<MountedVolume> {
  const { local, volumeMode, mountOptions = [] } = claimed.volume.spec;
  const name = claimed.volume.metadata.name ?? "";
  const path = local?.path ?? "";
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) throw new Error(`path ${JSON.stringify(path)} does not exist`);
  if (volumeMode === "Block") {
    if (!info.isBlockDevice()) throw new Error(`path ${JSON.stringify(path)} is no block device`);
    return { path, device: true };
  }
  if (info.isDirectory()) {
    await shareByGroup(parts, pod, name, path, claimed.readOnly);
    return { path };
  }
  if (!info.isBlockDevice()) throw new Error(`path ${JSON.stringify(path)} is neither a directory nor a block device`);
  const { root } = parts;
  await mkdir(root, { recursive: true });
  if (!isMounted(root)) await mountDevice(path, root, local?.fsType ?? "ext4", mountOptions);
  await shareByGroup(parts, pod, name, root, claimed.readOnly);
  return { path: root };
}

/** Pods that use one local volume with different groups would take it from each other: the first one's group stays, and the others are told. */
async function shareByGroup(parts: PersistentParts, pod: NodePod, name: string, root: string, readOnly: boolean) {
  const wanted = pod.spec.securityContext?.fsGroup;
  if (wanted === undefined) return;
  const { gid } = await stat(root);
  if (gid === wanted || !parts.isUsedByOther()) return await applyFsGroup(pod, root, readOnly);
  const message = `The requested fsGroup is ${wanted}, but the volume ${name} has GID ${gid}. The volume may not be shareable.`;
  parts.context.recorder.event(pod, "Warning", "AlreadyMountedVolume", message);
}

async function mountNfs(source: NFSVolumeSource, directory: string, options: string[] = []): Promise<string> {
  if (isMounted(directory)) return directory;
  await mkdir(directory, { recursive: true });
  const all = [...(source.readOnly === true ? ["ro"] : []), ...options];
  await mount(`${source.server}:${source.path}`, directory, { type: "nfs", options: all });
  return directory;
}

/** A volume of the pod's own that is an NFS export. */
export const setUpNfs = async (source: NFSVolumeSource, directory: string): Promise<MountedVolume> => ({
  path: await mountNfs(source, directory),
  readOnly: source.readOnly === true,
});
