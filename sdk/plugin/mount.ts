/** For guests: mounts below the directories that the manifest names. Needs the capability "mount". All of them may be repeated. */
import host from "capstan:plugin/mount@1.0.0";
import { calling } from "./failure.ts";

export interface MountRequest {
  source: string;
  tree: string;
  /** Inside the tree, relative. */
  path: string;
  /** "ext4", "nfs4" …, "bind", "block". */
  fsType: string;
  options?: string[];
}

/** Bytes and inodes of a file system. */
export interface Usage {
  total: number;
  available: number;
  used: number;
  inodes: number;
  inodesFree: number;
  inodesUsed: number;
}

export const mount = ({ options = [], ...request }: MountRequest): void =>
  calling(() => host.mount({ ...request, options }));

export const unmount = (tree: string, path: string): void => calling(() => host.unmount(tree, path));

/** A device that has a file system of another type is a PluginFailure with the reason "Conflict". */
export const format = (device: string, fsType: string, options: string[] = []): void =>
  calling(() => host.format(device, fsType, options));

export const grow = (tree: string, path: string): void => calling(() => host.grow(tree, path));

export function usage(tree: string, path: string): Usage {
  const [total = 0, available = 0, used = 0, inodes = 0, inodesFree = 0, inodesUsed = 0] = Array.from(
    calling(() => host.usage(tree, path)),
  );
  return { total, available, used, inodes, inodesFree, inodesUsed };
}
