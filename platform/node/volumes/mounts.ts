/** Mounts of this host: what is mounted where, and the programs that change it. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { runByShell } from "#platform/base/programs.ts";

const run = promisify(execFile);
/** A server that does not answer must not hold a pod's worker for ever. */
const PROGRAM_MS = 120_000;
const SAID_BYTES_MAX = 64 * 1024;

export interface MountPoint {
  path: string;
  /** Mounts and unmounts below it reach its peers, which is what mount propagation is made of. */
  shared: boolean;
}

/** Octal escapes of mountinfo(5): space, tab, newline and backslash. */
const plainText = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));

/** Later lines are mounted over or below earlier ones. */
export function parseMounts(mountinfo: string): MountPoint[] {
  return mountinfo
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const fields = line.split(" ");
      const optional = fields.slice(6, fields.indexOf("-", 6));
      return { path: plainText(fields[4] ?? ""), shared: optional.some((one) => one.startsWith("shared:")) };
    });
}

const mounts = (): MountPoint[] => parseMounts(readFileSync("/proc/self/mountinfo", "utf8"));

/** Mount points at or below a directory, the deepest first. */
export const mountsBelow = (directory: string): string[] =>
  mounts()
    .map(({ path }) => path)
    .filter((path) => path === directory || path.startsWith(`${directory}/`))
    .reverse();

export const isMounted = (path: string): boolean => mounts().some((one) => one.path === path);

/** The mount that a path is on. */
export function mountOf(path: string, all: readonly MountPoint[] = mounts()): MountPoint | undefined {
  const holds = (one: MountPoint) => one.path === "/" || one.path === path || path.startsWith(`${one.path}/`);
  return all
    .filter(holds)
    .reduce<MountPoint | undefined>(
      (best, one) => (one.path.length >= (best?.path.length ?? 0) ? one : best),
      undefined,
    );
}

/** Rejects with what the program said. */
async function program(name: string, args: string[]): Promise<void> {
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
  const run = { file: name, args, env, timeoutMs: PROGRAM_MS, outputBytesMax: SAID_BYTES_MAX };
  const { code, timedOut, stderr } = await runByShell(run);
  if (code === 0) return;
  const said = timedOut ? `took longer than ${PROGRAM_MS} ms` : stderr.trim() || `exit code ${code}`;
  throw new Error(`mount failed: ${name} ${args.join(" ")}: ${said}`);
}

export interface MountOptions {
  type?: string;
  options?: readonly string[];
}

export async function mount(source: string, target: string, { type, options = [] }: MountOptions = {}): Promise<void> {
  await program("mount", [
    ...(type === undefined ? [] : ["-t", type]),
    ...(options.length === 0 ? [] : ["-o", options.join(",")]),
    source,
    target,
  ]);
}

/** A device that holds no file system yet gets one (mount-utils' SafeFormatAndMount); one that holds another is not touched. */
export async function mountDevice(
  device: string,
  target: string,
  type: string,
  options: readonly string[],
): Promise<void> {
  const found = await run("blkid", ["-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", device], {
    timeout: PROGRAM_MS,
  }).then(
    ({ stdout }) => stdout,
    (error: unknown) => {
      // 2: there is nothing on it.
      if (error instanceof Error && "code" in error && error.code === 2) return undefined;
      throw error;
    },
  );
  if (found === undefined) await program(`mkfs.${type}`, [...(type.startsWith("ext") ? ["-F", "-m0"] : []), device]);
  await mount(device, target, { type, options });
}

/** `source` may be /proc/PID/fd/N: then it is that very file, whatever its name leads to by now. */
export const bindMount = (source: string, target: string): Promise<void> =>
  program("mount", ["--no-canonicalize", "--bind", source, target]);

/** What is still used goes when its last user does. */
export async function unmount(path: string): Promise<void> {
  await program("umount", [path]).catch(() => program("umount", ["-l", path]));
}

/** Rejects when something stays mounted: what is below must not be deleted then. */
export async function unmountBelow(directory: string): Promise<void> {
  for (const path of mountsBelow(directory)) await unmount(path);
  const [left] = mountsBelow(directory);
  if (left !== undefined) throw new Error(`${left} is still mounted`);
}

/** A directory whose mounts reach containers that ask for it (Bidirectional, HostToContainer), as the kubelet makes its own. */
export async function makeShared(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  if (mountOf(directory)?.shared === true) return;
  const inside = mountsBelow(directory);
  if (!inside.includes(directory)) {
    // Mounts that are there already would be hidden by it, and freed by nobody.
    if (inside.length > 0) return;
    await bindMount(directory, directory);
  }
  await program("mount", ["--make-rshared", directory]);
}

/** Whether another file system begins at a directory. Reading the table of mounts takes longer the more pods there are. */
const beginsFileSystem = (directory: string): boolean => statSync(directory).dev !== statSync(dirname(directory)).dev;

export async function makeTmpfs(directory: string, bytes: number | undefined): Promise<void> {
  mkdirSync(directory, { recursive: true });
  if (beginsFileSystem(directory)) return;
  await mount("tmpfs", directory, {
    type: "tmpfs",
    options: bytes === undefined || bytes === 0 ? [] : [`size=${bytes}`],
  });
}
