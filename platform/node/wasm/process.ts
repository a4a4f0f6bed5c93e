/** Processes that outlive the agent: known by their pid and the kernel's start time of it, so that a number used again is nobody of ours. */
import { readFileSync } from "node:fs";

export interface Identity {
  pid: number;
  /** Clock ticks since boot (proc(5), field 22 of stat). */
  startTime: string;
}

const CLOCK_TICKS = 100;
const PAGE_BYTES = 4096;

/** Fields of /proc/PID/stat behind the name, the first is the state; undefined: no such process lives (a zombie does not). */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields;
  } catch {
    return undefined;
  }
}

export function identityOf(pid: number): Identity | undefined {
  const startTime = statOf(pid)?.[19];
  return startTime === undefined ? undefined : { pid, startTime };
}

export const isAlive = (who: Identity | undefined): who is Identity =>
  who !== undefined && statOf(who.pid)?.[19] === who.startTime;

/** False where it is gone already. */
export function signal(who: Identity, name: NodeJS.Signals): boolean {
  if (!isAlive(who)) return false;
  try {
    return process.kill(who.pid, name);
  } catch {
    return false;
  }
}

export interface ProcessUsage {
  cpuNanos: number;
  memoryBytes: number;
}

export function processUsage(who: Identity): ProcessUsage | undefined {
  const fields = statOf(who.pid);
  if (fields === undefined || fields[19] !== who.startTime) return undefined;
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { cpuNanos: (ticks * 1e9) / CLOCK_TICKS, memoryBytes: Number(fields[21]) * PAGE_BYTES };
}
