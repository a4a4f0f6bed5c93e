/**
 * Replaces a volume's files all at once: the files are in a directory of their own, `..data` links to it, and the visible names
 * link through `..data` (kubernetes/pkg/volume/util/atomic_writer.go). Who reads sees the old state or the new one.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

export interface VolumeFile {
  data: Buffer;
  /** Permission bits. */
  mode: number;
  /** Owner; root where it is not said. */
  uid?: number;
}

const DATA = "..data";

/**
 * Paths are relative and without "..". Nothing is touched when the volume already holds these files. All at once for this process too: files are
 * small, and thirty turns of the thread pool cost more than what they do.
 */
export function writeVolume(directory: string, files: Map<string, VolumeFile>, gid: number | undefined): void {
  mkdirSync(directory, { recursive: true });
  for (const path of files.keys())
    if (path.startsWith("/") || path.split("/").some((part) => part === ".." || part === ""))
      throw new Error(`the volume path ${JSON.stringify(path)} is not allowed`);
  const old = linkOf(join(directory, DATA));
  if (old !== undefined && holds(join(directory, old), files)) return;

  const name = `..${new Date().toISOString().replace(/[-:T]/g, "_").slice(0, 19)}.${randomBytes(4).readUInt32BE()}`;
  const fresh = join(directory, name);
  mkdirSync(fresh, { mode: 0o755 });
  chmodSync(fresh, 0o755);
  for (const [path, file] of files) {
    const target = join(fresh, path);
    if (path.includes("/")) mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    writeFileSync(target, file.data);
    chmodSync(target, file.mode);
    if (file.uid !== undefined || gid !== undefined) chownSync(target, file.uid ?? 0, gid ?? 0);
  }
  rmSync(join(directory, "..data_tmp"), { force: true });
  symlinkSync(name, join(directory, "..data_tmp"));
  renameSync(join(directory, "..data_tmp"), join(directory, DATA));
  linkNames(directory, files);
  if (old !== undefined) rmSync(join(directory, old), { recursive: true, force: true });
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** The visible names: one link for each first part of a path; links to what is no more are removed. */
function linkNames(directory: string, files: Map<string, VolumeFile>): void {
  const names = new Set([...files.keys()].map((path) => path.split("/")[0] ?? path));
  const present = new Set(readdirSync(directory));
  for (const name of names) if (!present.has(name)) symlinkSync(join(DATA, name), join(directory, name));
  for (const name of present)
    if (!name.startsWith("..") && !names.has(name)) rmSync(join(directory, name), { recursive: true, force: true });
}

function holds(directory: string, files: Map<string, VolumeFile>): boolean {
  try {
    const present = readdirSync(directory, { recursive: true, withFileTypes: true });
    if (present.filter((entry) => entry.isFile()).length !== files.size) return false;
    return [...files].every(([path, file]) => {
      const info = lstatSync(join(directory, path));
      return (info.mode & 0o7777) === file.mode && readFileSync(join(directory, path)).equals(file.data);
    });
  } catch {
    return false;
  }
}
