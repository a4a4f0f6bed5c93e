/**
 * Processes that outlive whoever started them. Each has a file RUN/NAME.json with its pid and the kernel's start time of it, so that a
 * number used again by the system is never taken for ours.
 *
 * States of a process, as the supervisor sees them (total: every event is answered in every state, see supervisor.ts):
 *   waiting   what it needs is not ready yet
 *   preparing what must be done before its start is under way
 *   starting  its process runs, it has not said that it is ready
 *   ready     RUN/NAME.ready holds its pid
 *   backoff   it ended; it is started again after a growing pause (0.2 s doubling to 10 s, anew after 30 s of health)
 *   stopped   the supervisor ended it
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

export type ProcessState = "waiting" | "preparing" | "starting" | "ready" | "backoff" | "stopped";

export interface ProcessSpec {
  name: string;
  file: string;
  args: string[];
  env?: Record<string, string>;
  cwd?: string;
  uid?: number;
  gid?: number;
  /** Names of processes that must be ready first. */
  after: string[];
  /** Asked until it says true; unset: RUN/NAME.ready, which the role writes itself. */
  probe?: () => Promise<boolean>;
  /** Done before every start; when it fails the start is tried again after the pause. */
  prepare?: () => Promise<void>;
  /** Does one thing and ends; it counts as ready from then on (it calls markReady before it ends well). */
  once?: boolean;
  /** SIGTERM unless the program wants another one for an orderly end. */
  stopSignal?: NodeJS.Signals;
  stopMsMax?: number;
}

export interface Identity {
  pid: number;
  startTime: string;
}

/** Field 22 of /proc/PID/stat (proc(5)): clock ticks since boot; undefined when no such process lives (a zombie does not). */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export const isAlive = (who: Identity | undefined): who is Identity =>
  who !== undefined && startTimeOf(who.pid) === who.startTime;

const file = (runDir: string, name: string, ending: string) => join(runDir, `${name}.${ending}`);

export function readIdentity(runDir: string, name: string): Identity | undefined {
  try {
    return JSON.parse(readFileSync(file(runDir, name, "json"), "utf8")) as Identity;
  } catch {
    return undefined;
  }
}

export function writeIdentity(runDir: string, name: string, pid: number): Identity | undefined {
  const startTime = startTimeOf(pid);
  if (startTime === undefined) return undefined;
  const who = { pid, startTime };
  const path = file(runDir, name, "json");
  writeFileSync(`${path}.new`, JSON.stringify(who));
  renameSync(`${path}.new`, path);
  return who;
}

export function forget(runDir: string, name: string): void {
  rmSync(file(runDir, name, "json"), { force: true });
  rmSync(file(runDir, name, "ready"), { force: true });
}

/** A role calls this when it can do its work. */
export const markReady = (runDir: string, name: string): void =>
  writeFileSync(file(runDir, name, "ready"), String(process.pid));

export function saysReady(runDir: string, name: string, who: Identity): boolean {
  try {
    return readFileSync(file(runDir, name, "ready"), "utf8") === String(who.pid);
  } catch {
    return false;
  }
}

const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** Keeps a log bounded: past 16 MiB its content moves to NAME.log.1 and it goes on empty (writers append). */
export function boundLog(path: string): void {
  if (!existsSync(path) || statSync(path).size < LOG_BYTES_MAX) return;
  try {
    copyFileSync(path, `${path}.1`);
  } catch {
    // A full disk: what is old has to go without a copy.
    rmSync(`${path}.1`, { force: true });
  }
  truncateSync(path, 0);
}

/** Starts a process in a session of its own, its output appended to LOGS/NAME.log. Throws where its files cannot be written. */
export function launch(
  spec: ProcessSpec,
  runDir: string,
  logsDir: string,
): { pid: number; exited: Promise<string> } | undefined {
  mkdirSync(logsDir, { recursive: true });
  mkdirSync(runDir, { recursive: true });
  rmSync(file(runDir, spec.name, "ready"), { force: true });
  const log = openSync(join(logsDir, `${spec.name}.log`), "a", 0o600);
  const child = spawn(spec.file, spec.args, {
    cwd: spec.cwd,
    env: { ...process.env, ...spec.env },
    stdio: ["ignore", log, log],
    detached: true,
    ...(spec.uid !== undefined ? { uid: spec.uid } : {}),
    ...(spec.gid !== undefined ? { gid: spec.gid } : {}),
  });
  closeSync(log);
  const exited = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
  });
  child.unref();
  if (child.pid === undefined) return undefined;
  try {
    writeIdentity(runDir, spec.name, child.pid);
  } catch (error) {
    // Nobody would know of it.
    child.kill("SIGKILL");
    throw error;
  }
  return { pid: child.pid, exited };
}
