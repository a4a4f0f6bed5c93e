/**
 * Replaces a volume's files all at once: the files are in a directory of their own, `..data` links to it, and the visible names
 * link through `..data` (kubernetes/pkg/volume/util/atomic_writer.go). Who reads sees the old state or the new one.
 */
import { randomBytes } from "node:crypto";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";

export interface VolumeFile {
  data: Buffer;
  /** Permission bits. */
  mode: number;
  /** Owner; root where it is not said. */
  uid?: number;
}

const DATA = "..data";

/** Paths are relative and without "..". Nothing is touched when the volume already holds these files. */
export async function writeVolume(
  directory: string,
  files: Map<string, VolumeFile>,
  gid: number | undefined,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const path of files.keys())
    if (path.startsWith("/") || path.split("/").some((part) => part === ".." || part === ""))
      throw new Error(`the volume path ${JSON.stringify(path)} is not allowed`);
  const old = await readlink(join(directory, DATA)).catch(() => undefined);
  if (old !== undefined && (await holds(join(directory, old), files))) return;

  const name = `..${new Date().toISOString().replace(/[-:T]/g, "_").slice(0, 19)}.${randomBytes(4).readUInt32BE()}`;
  const fresh = join(directory, name);
  await mkdir(fresh, { mode: 0o755 });
  await chmod(fresh, 0o755);
  for (const [path, file] of files) {
    const target = join(fresh, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await writeFile(target, file.data);
    await chmod(target, file.mode);
    if (file.uid !== undefined || gid !== undefined) await chown(target, file.uid ?? 0, gid ?? 0);
  }
  await rm(join(directory, "..data_tmp"), { force: true });
  await symlink(name, join(directory, "..data_tmp"));
  await rename(join(directory, "..data_tmp"), join(directory, DATA));
  await linkNames(directory, files);
  if (old !== undefined) await rm(join(directory, old), { recursive: true, force: true });
}

/** The visible names: one link for each first part of a path; links to what is no more are removed. */
async function linkNames(directory: string, files: Map<string, VolumeFile>): Promise<void> {
  const names = new Set([...files.keys()].map((path) => path.split("/")[0] ?? path));
  for (const name of names) {
    const present = await lstat(join(directory, name)).catch(() => undefined);
    if (present === undefined) await symlink(join(DATA, name), join(directory, name));
  }
  for (const name of await readdir(directory))
    if (!name.startsWith("..") && !names.has(name)) await rm(join(directory, name), { recursive: true, force: true });
}

async function holds(directory: string, files: Map<string, VolumeFile>): Promise<boolean> {
  const present = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => undefined);
  if (present?.filter((entry) => entry.isFile()).length !== files.size) return false;
  for (const [path, file] of files) {
    const now = await readFile(join(directory, path)).catch(() => undefined);
    const info = await lstat(join(directory, path)).catch(() => undefined);
    if (now === undefined || info === undefined || !now.equals(file.data) || (info.mode & 0o7777) !== file.mode)
      return false;
  }
  return true;
}
