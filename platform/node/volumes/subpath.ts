/**
 * subPath: a part of a volume, mounted into one container. Whoever writes the volume could swap a directory of the path for a link out
 * of it between check and mount, so the path is opened step by step without following links, and what was opened is what is mounted
 * (kubernetes/pkg/volume/util/subpath).
 */
import { constants } from "node:fs";
import { chmod, type FileHandle, mkdir, open, realpath, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { ConfigError } from "../env.ts";
import { bindMount, isMounted, unmount } from "./mounts.ts";

/** Linux: a handle that names a file without opening it. Not in Node's table. */
const O_PATH = 0o10000000;
const STEP = O_PATH | constants.O_NOFOLLOW;

const refused = (why: string) => new ConfigError(`failed to prepare subPath for volumeMount ${why}`);

/** A name below an open directory: the kernel goes on from the directory itself, wherever its name leads by now. */
const within = (directory: FileHandle, name: string): string => `/proc/self/fd/${directory.fd}/${name}`;

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;

/** One step down; a directory is made where nothing is, with the volume's mode: who may write that may write this. */
async function enter(directory: FileHandle, name: string, mode: number): Promise<FileHandle> {
  const path = within(directory, name);
  try {
    return await open(path, STEP);
  } catch (error) {
    if (!isCode(error, "ENOENT")) throw error;
  }
  await mkdir(path).catch((error: unknown) => {
    if (!isCode(error, "EEXIST")) throw error;
  });
  const made = await open(path, STEP);
  if ((await made.stat()).isDirectory()) await chmod(`/proc/self/fd/${made.fd}`, mode);
  return made;
}

async function openInside(volume: string, path: string): Promise<FileHandle> {
  let at = await open(volume, O_PATH);
  const mode = (await at.stat()).mode & 0o7777;
  try {
    for (const name of path.split("/").filter((part) => part !== "" && part !== ".")) {
      const next = await enter(at, name, mode);
      await at.close();
      at = next;
      if ((await at.stat()).isSymbolicLink()) throw refused(`${JSON.stringify(path)}: a link was put in its way`);
    }
    return at;
  } catch (error) {
    await at.close();
    throw error;
  }
}

/** Links that are there now and stay within the volume are resolved; the part that does not exist yet is kept as it is. */
async function resolved(volume: string, subPath: string): Promise<string> {
  const root = await realpath(volume);
  let existing = join(root, subPath);
  const missing: string[] = [];
  for (;;) {
    const found = await realpath(existing).catch((error: unknown) => {
      if (isCode(error, "ENOENT")) return undefined;
      throw error;
    });
    if (found !== undefined) {
      if (found !== root && !found.startsWith(`${root}/`))
        throw refused(`${JSON.stringify(subPath)}: it leads out of the volume`);
      return join(relative(root, found), ...missing.reverse());
    }
    missing.push(existing.slice(existing.lastIndexOf("/") + 1));
    existing = dirname(existing);
  }
}

const refuseLeaving = (subPath: string): void => {
  if (subPath.startsWith("/") || subPath.split("/").includes(".."))
    throw refused(`${JSON.stringify(subPath)}: it must not leave the volume`);
};

/** The part itself, for who may mount nothing: a directory is made where nothing is there. Rejects as `mountSubPath`. */
export async function plainSubPath(volume: string, subPath: string): Promise<string> {
  refuseLeaving(subPath);
  const root = await realpath(volume);
  const part = join(root, await resolved(root, subPath));
  await mkdir(part, { recursive: true, mode: 0o750 }).catch((error: unknown) => {
    if (!isCode(error, "EEXIST")) throw error;
  });
  return part;
}

/**
 * Mounts the part at `target`, a path below the pod's directory that is made as the part is: directory or file. A directory is made
 * in the volume when nothing is there. Rejects with ConfigError for what would leave the volume.
 */
export async function mountSubPath(volume: string, subPath: string, target: string): Promise<string> {
  refuseLeaving(subPath);
  const root = await realpath(volume);
  const part = await openInside(root, await resolved(root, subPath));
  try {
    const info = await part.stat();
    while (isMounted(target)) await unmount(target);
    await mkdir(info.isDirectory() ? target : dirname(target), { recursive: true, mode: 0o750 });
    if (!info.isDirectory()) await writeFile(target, "", { flag: "a", mode: 0o640 });
    await bindMount(`/proc/${process.pid}/fd/${part.fd}`, target);
    return target;
  } finally {
    await part.close();
  }
}
