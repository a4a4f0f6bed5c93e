/** fsGroup: a volume's files belong to the pod's group and may be read and written by it (kubernetes/pkg/volume/volume_linux.go). */
import { chmod, lchown, lstat, opendir } from "node:fs/promises";
import { join } from "node:path";

const READ_WRITE = 0o660;
const READ_ONLY = 0o440;
/** On directories: the group may enter, and what is made inside is the group's too. */
const DIRECTORY = 0o2110;

export interface Ownership {
  group: number;
  readOnly: boolean;
  /** fsGroupChangePolicy: a root that is as it must be stands for all below. */
  onlyOnRootMismatch: boolean;
}

/** Links are given to the group and not followed. What vanishes meanwhile is passed over. */
export async function setOwnership(root: string, wanted: Ownership): Promise<void> {
  if (wanted.onlyOnRootMismatch && (await isRight(root, wanted))) return;
  // The root last: one that is right says that all below is.
  await below(root, wanted);
  await give(root, wanted);
}

const maskOf = ({ readOnly }: Ownership, directory: boolean): number =>
  (readOnly ? READ_ONLY : READ_WRITE) | (directory ? DIRECTORY : 0);

async function isRight(path: string, wanted: Ownership): Promise<boolean> {
  const info = await lstat(path);
  const mask = maskOf(wanted, true);
  return info.gid === wanted.group && (info.mode & mask) === mask;
}

async function below(directory: string, wanted: Ownership): Promise<void> {
  for await (const entry of await opendir(directory)) {
    const path = join(directory, entry.name);
    try {
      if (entry.isDirectory()) await below(path, wanted);
      await give(path, wanted);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    }
  }
}

async function give(path: string, wanted: Ownership): Promise<void> {
  const info = await lstat(path);
  if (info.gid !== wanted.group) await lchown(path, info.uid, wanted.group);
  if (info.isSymbolicLink()) return;
  const mode = (info.mode & 0o7777) | maskOf(wanted, info.isDirectory());
  // Changing the owner clears set-user-id and set-group-id bits.
  if (mode !== (info.mode & 0o7777) || info.gid !== wanted.group) await chmod(path, mode);
}
