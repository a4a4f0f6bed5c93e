/**
 * The capability `mount`: file systems below granted directories, from granted devices, network shares, and other places in granted
 * directories. Options and kinds of file systems are those listed here; whatever is mounted has no devices and no set-user-id programs.
 */
import { mkdir, readFile, realpath, rm, rmdir, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, normalize } from "node:path";
import { type Output, runProgram } from "./exec.ts";
import { denied, hostFailure } from "./failure.ts";
import { inside, isErrno, place } from "./place.ts";

export interface MountGrant {
  /** Absolute. */
  trees: Readonly<Record<string, string>>;
  /** What paths of devices begin with: "/dev/disk/by-id/scsi-". */
  devices: readonly string[];
}

export interface MountRequest {
  source: string;
  tree: string;
  path: string;
  fsType: string;
  options: readonly string[];
}

const DISKS: ReadonlySet<string> = new Set(["ext2", "ext3", "ext4", "xfs", "btrfs"]);
const SHARES: ReadonlySet<string> = new Set(["nfs", "nfs4"]);
const OPTIONS_MAX = 32;
const OPTION =
  /^(ro|rw|noatime|relatime|nodiratime|strictatime|lazytime|nodev|nosuid|noexec|sync|dirsync|discard|nouuid|noload|norecovery|hard|soft|nolock|lock|intr|noac|(vers|nfsvers|timeo|retrans|proto|port|rsize|wsize|minorversion|nconnect|acregmin|acregmax|acdirmin|acdirmax)=[a-z0-9.]{1,16}|(size|nr_inodes)=[0-9]{1,20}[kmg%]?|mode=0?[0-7]{3,4}|(uid|gid)=[0-9]{1,10})$/;
/** What mkfs may be told, each with a value: nothing that names another file. */
const FORMAT_FLAGS: Readonly<Record<string, ReadonlySet<string>>> = {
  ext2: new Set(["-L", "-m", "-i", "-N", "-O", "-b"]),
  ext3: new Set(["-L", "-m", "-i", "-N", "-O", "-b"]),
  ext4: new Set(["-L", "-m", "-i", "-N", "-O", "-b"]),
  xfs: new Set(["-L"]),
  btrfs: new Set(["-L"]),
};

const failed = (what: string, { stderr }: Output) => hostFailure("InternalError", 500, `${what}: ${stderr.trim()}`);
const program = (name: string, args: string[], timeoutMs: number) =>
  runProgram(name, { args, env: {}, stdin: "", timeoutMs });

interface Mounted {
  point: string;
  /** Of the file system that is shown there. */
  root: string;
  device: string;
  fsType: string;
  source: string;
}

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** What is mounted at a path now: of several, the last. */
async function mountedAt(path: string): Promise<Mounted | undefined> {
  const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  return lines
    .flatMap((line): Mounted[] => {
      const [before = "", after = ""] = line.split(" - ");
      const [, , device = "", root = "", point = ""] = before.split(" ");
      const [fsType = "", source = ""] = after.split(" ");
      return [{ point: unescaped(point), root: unescaped(root), device, fsType, source: unescaped(source) }];
    })
    .findLast(({ point }) => point === path);
}

export function createMounts(grant: MountGrant) {
  const treeOf = (name: string): string => {
    const tree = Object.hasOwn(grant.trees, name) ? grant.trees[name] : undefined;
    if (tree === undefined) throw denied(`mount ${JSON.stringify(name)}`);
    return tree;
  };
  /** Below the tree, and not the tree itself, which is not the plugin's to cover. */
  const pointOf = async (tree: string, path: string): Promise<string> => {
    const point = await place(treeOf(tree), path);
    if (point === (await realpath(treeOf(tree)))) throw denied("the tree itself");
    return point;
  };
  const deviceOf = async (device: string): Promise<string> => {
    if (normalize(device) !== device || !grant.devices.some((prefix) => device.startsWith(prefix)))
      throw denied(`the device ${device}`);
    const info = await stat(device).catch(() => undefined);
    if (info === undefined) throw hostFailure("NotFound", 404, `there is no device ${device}`);
    if (!info.isBlockDevice()) throw denied(`${device}, which is no block device,`);
    return await realpath(device);
  };
  /** A path of this host that lies in a granted directory. */
  const boundFrom = async (source: string): Promise<string> => {
    const real = isAbsolute(source) ? await realpath(source).catch(() => undefined) : undefined;
    if (real === undefined) throw hostFailure("NotFound", 404, `there is nothing at ${source}`);
    for (const tree of Object.values(grant.trees))
      if (inside(await realpath(tree).catch(() => tree), real)) return real;
    throw denied(`the source ${source}`);
  };
  const sourceOf = async ({ source, fsType }: MountRequest): Promise<string> => {
    if (fsType === "bind") return await boundFrom(source);
    if (fsType === "block" || DISKS.has(fsType)) return await deviceOf(source);
    if (SHARES.has(fsType)) {
      if (!/^[\w.:[\]-]+:\/[^\s,]*$/.test(source) || source.startsWith("-"))
        throw hostFailure("Invalid", 422, `${JSON.stringify(source)} is no server and path`);
      return source;
    }
    if (fsType === "tmpfs") return "tmpfs";
    throw denied(`a file system of type ${fsType}`);
  };

  const isSame = async (there: Mounted, source: string, fsType: string): Promise<boolean> => {
    if (fsType !== "bind" && fsType !== "block")
      return there.fsType.replace(/^nfs4$/, "nfs") === fsType.replace(/^nfs4$/, "nfs") && there.source === source;
    const [from, at] = await Promise.all([stat(source), stat(there.point)]);
    return from.dev === at.dev && from.ino === at.ino && from.rdev === at.rdev;
  };

  return {
    async mount(request: MountRequest, timeoutMs: number): Promise<void> {
      const { fsType, options } = request;
      const wrong = options.length > OPTIONS_MAX ? "so many options" : options.find((one) => !OPTION.test(one));
      if (wrong !== undefined) throw denied(`the mount option ${wrong}`);
      const source = await sourceOf(request);
      const point = await pointOf(request.tree, request.path);
      const there = await mountedAt(point);
      if (there !== undefined) {
        if (await isSame(there, source, fsType)) return;
        throw hostFailure("Conflict", 409, `${there.source} is mounted at ${request.path} already`);
      }
      const single = fsType === "block" || (fsType === "bind" && !(await stat(source)).isDirectory());
      await makePoint(point, single);
      const kept = [...options, "nosuid", ...(fsType === "block" ? [] : ["nodev"])].join(",");
      const how = fsType === "bind" || fsType === "block" ? ["--bind"] : ["-t", fsType, "-o", kept];
      const done = await program("mount", [...how, "--", source, point], timeoutMs);
      if (done.exitCode !== 0) throw failed("mount", done);
      if (fsType !== "bind") return;
      // A bind takes its options in a second step; one that has not is taken away again.
      const bound = await program("mount", ["-o", `remount,bind,${kept}`, "--", point], timeoutMs);
      if (bound.exitCode === 0) return;
      await program("umount", ["--", point], timeoutMs);
      throw failed("mount", bound);
    },

    async unmount(tree: string, path: string, timeoutMs: number): Promise<void> {
      const point = await pointOf(tree, path);
      while ((await mountedAt(point)) !== undefined) {
        const done = await program("umount", ["--", point], timeoutMs);
        if (done.exitCode !== 0) throw failed("umount", done);
      }
      await removePoint(point);
    },

    async format(device: string, fsType: string, options: readonly string[], timeoutMs: number): Promise<void> {
      const flags = Object.hasOwn(FORMAT_FLAGS, fsType) ? FORMAT_FLAGS[fsType] : undefined;
      if (flags === undefined) throw denied(`a file system of type ${fsType}`);
      for (const [index, one] of options.entries())
        if (index % 2 === 0 ? !flags.has(one) : !/^[\w^][\w^,.]{0,200}$/.test(one)) throw denied(`the option ${one}`);
      const path = await deviceOf(device);
      const probed = await program("blkid", ["-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "value", path], timeoutMs);
      // 2: there is nothing on it that blkid knows.
      if (probed.exitCode !== 0 && probed.exitCode !== 2) throw failed("blkid", probed);
      const present = probed.stdout.trim();
      if (present === fsType) return;
      if (present !== "") throw hostFailure("Conflict", 409, `the device ${device} holds ${present}`);
      const done = await program(`mkfs.${fsType}`, [...options, path], timeoutMs);
      if (done.exitCode !== 0) throw failed(`mkfs.${fsType}`, done);
    },

    async grow(tree: string, path: string, timeoutMs: number): Promise<void> {
      const point = await pointOf(tree, path);
      const there = await mountedAt(point);
      if (there === undefined) throw hostFailure("NotFound", 404, `nothing is mounted at ${path}`);
      const { fsType, source } = there;
      if (!DISKS.has(fsType)) throw hostFailure("Invalid", 422, `${fsType} does not grow`);
      const done =
        fsType === "xfs"
          ? await program("xfs_growfs", [point], timeoutMs)
          : fsType === "btrfs"
            ? await program("btrfs", ["filesystem", "resize", "max", point], timeoutMs)
            : await program("resize2fs", [source], timeoutMs);
      if (done.exitCode !== 0) throw failed("grow", done);
    },

    /** Total, available and used bytes; inodes, those that are free and those that are used. */
    async usage(tree: string, path: string): Promise<number[]> {
      const { bsize, blocks, bavail, bfree, files, ffree } = await statfs(await place(treeOf(tree), path));
      return [blocks * bsize, bavail * bsize, (blocks - bfree) * bsize, files, ffree, files - ffree];
    },
  };
}

/** A directory, or an empty file for a device or a single file. */
async function makePoint(point: string, single: boolean): Promise<void> {
  if (!single) {
    await mkdir(point, { recursive: true, mode: 0o755 });
    return;
  }
  await mkdir(dirname(point), { recursive: true, mode: 0o755 });
  await writeFile(point, "", { flag: "a", mode: 0o600 });
}

/** The empty directory or file on which something was mounted; what holds anything is not ours to remove. */
async function removePoint(point: string): Promise<void> {
  const info = await stat(point).catch(() => undefined);
  if (info?.isFile() && info.size === 0) await rm(point, { force: true });
  if (info?.isDirectory() !== true) return;
  await rmdir(point).catch((error: unknown) => {
    if (!["ENOENT", "ENOTEMPTY"].some((code) => isErrno(error, code))) throw error;
  });
}
