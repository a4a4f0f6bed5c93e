/** Volumes that are a directory or file of this host: emptyDir and hostPath. */
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { EmptyDirVolumeSource, HostPathVolumeSource } from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityValue } from "#sdk/api/quantity.ts";
import { makeTmpfs } from "./mounts.ts";

/** What drivers' manifests call the node agent's directory, whatever it is called on this node. */
export const KUBELET_ROOT = "/var/lib/kubelet";
/** The parts of it that belong to plugins of the node: drivers of volumes and devices. */
const PLUGIN_DIRECTORIES = ["plugins", "plugins_registry", "pods", "device-plugins", "pod-resources"];

export async function ensureEmptyDir(
  directory: string,
  { medium, sizeLimit }: EmptyDirVolumeSource,
  group: number | undefined,
): Promise<void> {
  const bytes = sizeLimit === undefined ? undefined : quantityValue(parseQuantity(sizeLimit));
  if (medium === "Memory") await makeTmpfs(directory, bytes);
  await mkdir(directory, { recursive: true });
  const wanted = group === undefined ? 0o777 : 0o2777;
  const info = await stat(directory);
  if (group !== undefined && info.gid !== group) await chown(directory, info.uid, group);
  if ((info.mode & 0o7777) !== wanted) await chmod(directory, wanted);
}

/** A path as a manifest says it, as it is on this node (decisions/044). */
export function hostPathOf(path: string, nodeDirectory: string): string {
  if (path === KUBELET_ROOT || path === `${KUBELET_ROOT}/`) return nodeDirectory;
  const ours = PLUGIN_DIRECTORIES.map((name) => `${KUBELET_ROOT}/${name}`).some(
    (one) => path === one || path.startsWith(`${one}/`),
  );
  return ours ? join(nodeDirectory, path.slice(KUBELET_ROOT.length)) : path;
}

/** volume/host_path: the types a hostPath may ask for. Answers the path. */
export async function ensureHostPath({ type }: HostPathVolumeSource, path: string): Promise<string> {
  if (type === "DirectoryOrCreate" && !existsSync(path)) await mkdir(path, { recursive: true, mode: 0o755 });
  if (type === "FileOrCreate" && !existsSync(path)) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, "", { mode: 0o644 });
  }
  if (type === undefined || type === "") return path;
  const info = await stat(path).catch(() => undefined);
  const checks: Record<string, [boolean | undefined, string]> = {
    Directory: [info?.isDirectory(), "is not a directory"],
    DirectoryOrCreate: [info?.isDirectory(), "is not a directory"],
    File: [info?.isFile(), "is not a file"],
    FileOrCreate: [info?.isFile(), "is not a file"],
    Socket: [info?.isSocket(), "is not a socket file"],
    CharDevice: [info?.isCharacterDevice(), "is not a character device"],
    BlockDevice: [info?.isBlockDevice(), "is not a block device"],
  };
  const [fits, why] = checks[type] ?? [false, `has the unknown type ${type}`];
  if (fits !== true) throw new Error(`hostPath type check failed: ${path} ${why}`);
  return path;
}
