/**
 * The system user that the embedded PostgreSQL runs as when Capstan is started by root (PostgreSQL refuses to be root),
 * and the bind mounts that let this user reach the data and the binaries when the clone lies below a directory it may not
 * enter (such as /root, mode 0700). The mounts grant nothing else: the data directory is the user's own, the binaries
 * are public software, and they are mounted read-only.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, rmdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export const SYSTEM_USER = "capstan";

/** A change of the host outside the data directory; `undoHostChanges` takes it back. */
export type HostChange =
  | { type: "user"; name: string }
  | { type: "directory"; path: string }
  | { type: "mount"; source: string; target: string; readOnly: boolean };

export interface SystemUser {
  uid: number;
  gid: number;
}

/** From /etc/passwd; undefined when there is no such user. */
export function lookUpUser(name: string): SystemUser | undefined {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [user, , uid, gid] = line.split(":");
    if (user === name && uid && gid) return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

/** May this user reach `path`, that is, enter every directory above it? */
export function canReach(path: string, user: SystemUser): boolean {
  for (let at = dirname(resolve(path)); ; at = dirname(at)) {
    const stat = statSync(at, { throwIfNoEntry: false });
    // What is not there yet is made by us, open to enter.
    if (!stat) continue;
    const bit = stat.uid === user.uid ? 0o100 : stat.gid === user.gid ? 0o010 : 0o001;
    if ((stat.mode & bit) === 0) return false;
    if (at === "/") return true;
  }
}

export interface HostPlan {
  /** Undefined: run as who we are. */
  runAs: SystemUser | "new" | undefined;
  /** What has to be done to the host, in this order; empty when everything is there already. */
  changes: HostChange[];
  /** Where the user finds the data and the binaries. */
  dataDir: string;
  nativeDir: string;
}

const mounted = (target: string): boolean =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[4] === target);

/**
 * What would have to change so that the system user can run `nativeDir`'s programs on `dataDir`. Changes nothing. `owner` is who owns the
 * cluster that is there already: a person's own stays theirs, and needs nothing of the host.
 */
export function planHost(dataDir: string, nativeDir: string, owner?: SystemUser): HostPlan {
  if (process.getuid?.() !== 0) return { runAs: undefined, changes: [], dataDir, nativeDir };
  const user = lookUpUser(SYSTEM_USER);
  if (owner && owner.uid !== 0 && owner.uid !== user?.uid)
    return { runAs: { uid: owner.uid, gid: owner.gid }, changes: [], dataDir, nativeDir };
  const changes: HostChange[] = user ? [] : [{ type: "user", name: SYSTEM_USER }];
  // Before the user exists it can be asked for as one that owns nothing and belongs to no group.
  const asked = user ?? { uid: -1, gid: -1 };
  const id = createHash("sha256").update(resolve(dataDir)).digest("hex").slice(0, 8);
  const base = `/run/capstan-${id}`;
  const through = (source: string, name: string, readOnly: boolean): string => {
    if (canReach(source, asked)) return source;
    const target = join(base, name);
    if (!exists(base) && !changes.some((c) => c.type === "directory")) changes.push({ type: "directory", path: base });
    if (!isSame(source, target)) changes.push({ type: "mount", source: resolve(source), target, readOnly });
    return target;
  };
  return {
    runAs: user ?? "new",
    changes,
    dataDir: through(dataDir, "data", false),
    nativeDir: through(nativeDir, "postgres", true),
  };
}

/** False too for a mount of a directory that has been deleted and made again since. */
function isSame(source: string, target: string): boolean {
  const [a, b] = [source, target].map((path) => statSync(path, { throwIfNoEntry: false }));
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino && mounted(target);
}

const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** Carries a plan out. Safe to repeat. Throws with the cause and the way out when the host refuses. */
export async function applyHostChanges(changes: HostChange[]): Promise<void> {
  for (const change of changes) {
    switch (change.type) {
      case "user":
        await createUser(change.name);
        break;
      case "directory":
        mkdirSync(change.path, { recursive: true });
        chownSync(change.path, 0, lookUpUser(SYSTEM_USER)?.gid ?? 0);
        chmodSync(change.path, 0o710);
        break;
      case "mount":
        await bindMount(change);
        break;
    }
  }
}

async function createUser(name: string): Promise<void> {
  try {
    const options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"];
    await run("useradd", [...options, "--shell", "/usr/sbin/nologin", name]);
  } catch (error) {
    if (lookUpUser(name)) return; // another process was faster
    throw new Error(`cannot create the system user ${name} that PostgreSQL runs as: ${(error as Error).message}`);
  }
}

async function bindMount(mount: { source: string; target: string; readOnly: boolean }): Promise<void> {
  mkdirSync(mount.target, { recursive: true });
  try {
    if (mounted(mount.target)) await run("umount", [mount.target]);
    await run("mount", ["--bind", mount.source, mount.target]);
    if (mount.readOnly) await run("mount", ["-o", "remount,bind,ro", mount.target]);
  } catch (error) {
    throw new Error(
      `the user ${SYSTEM_USER} cannot enter the directories above ${mount.source}, and mounting it at ${mount.target} ` +
        `failed (${(error as Error).message.trim()}). Move the clone below a directory that everybody may enter, ` +
        "for example /opt, or set DATABASE_URL to a PostgreSQL of your own.",
    );
  }
}

/** Takes changes back, last first; what is already gone is no error. */
export async function undoHostChanges(changes: HostChange[]): Promise<void> {
  for (const change of [...changes].reverse()) {
    switch (change.type) {
      case "user":
        if (lookUpUser(change.name)) await run("userdel", [change.name]);
        break;
      case "mount":
        if (mounted(change.target)) await run("umount", [change.target]);
        if (exists(change.target)) rmdirSync(change.target);
        break;
      case "directory":
        if (exists(change.path)) rmdirSync(change.path);
        break;
    }
  }
}
