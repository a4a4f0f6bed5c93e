/** What the kernel counts for a cgroup, in either version of the hierarchy, and for the whole machine. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/** Bytes, and nanoseconds of CPU since the cgroup was made. */
export interface Usage {
  /** Milliseconds since the epoch. */
  at: number;
  cpuNanos: number;
  memoryBytes: number;
  /** Without what the kernel would give back at once: files read long ago. */
  workingSetBytes: number;
  rssBytes: number;
  pageFaults: number;
  majorPageFaults: number;
  /** Undefined: no limit. */
  limitBytes?: number;
}

const text = (file: string): string | undefined => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // Gone meanwhile, or a controller that this kernel lacks.
    return undefined;
  }
};
const number = (file: string): number | undefined => {
  const value = Number(text(file)?.trim() ?? Number.NaN);
  return Number.isFinite(value) ? value : undefined;
};
/** "name value" a line, also "name: value kB". */
export const fields = (content: string | undefined): Map<string, number> =>
  new Map(
    (content ?? "").split("\n").map((line) => {
      const [name = "", value = "", unit] = line.split(/:?\s+/);
      return [name, Number(value) * (unit === "kB" ? 1024 : 1)];
    }),
  );

const unified = (): boolean => existsSync(join(ROOT, "cgroup.controllers"));
/** v1 says "no limit" by the largest multiple of a page. */
const UNLIMITED = 2 ** 62;

/** `path` as in CRI's cgroup_parent. Undefined when there is no such cgroup. */
export function cgroupUsage(path: string, now: number): Usage | undefined {
  return unified() ? unifiedUsage(join(ROOT, path), now) : separateUsage(path, now);
}

function unifiedUsage(directory: string, at: number): Usage | undefined {
  const cpu = fields(text(join(directory, "cpu.stat"))).get("usage_usec");
  const memory = number(join(directory, "memory.current"));
  if (cpu === undefined || memory === undefined) return undefined;
  const stat = fields(text(join(directory, "memory.stat")));
  const limit = number(join(directory, "memory.max"));
  return {
    at,
    cpuNanos: cpu * 1000,
    memoryBytes: memory,
    workingSetBytes: Math.max(0, memory - (stat.get("inactive_file") ?? 0)),
    rssBytes: stat.get("anon") ?? 0,
    pageFaults: stat.get("pgfault") ?? 0,
    majorPageFaults: stat.get("pgmajfault") ?? 0,
    ...(limit === undefined ? {} : { limitBytes: limit }),
  };
}

function separateUsage(path: string, at: number): Usage | undefined {
  const cpu = number(join(ROOT, "cpuacct", path, "cpuacct.usage"));
  const directory = join(ROOT, "memory", path);
  const memory = number(join(directory, "memory.usage_in_bytes"));
  if (cpu === undefined || memory === undefined) return undefined;
  const stat = fields(text(join(directory, "memory.stat")));
  const limit = number(join(directory, "memory.limit_in_bytes"));
  return {
    at,
    cpuNanos: cpu,
    memoryBytes: memory,
    workingSetBytes: Math.max(0, memory - (stat.get("total_inactive_file") ?? 0)),
    rssBytes: stat.get("total_rss") ?? 0,
    pageFaults: stat.get("total_pgfault") ?? 0,
    majorPageFaults: stat.get("total_pgmajfault") ?? 0,
    ...(limit === undefined || limit > UNLIMITED ? {} : { limitBytes: limit }),
  };
}

/** Without the pids of the cgroups below it. */
export function processesOf(path: string): number[] {
  const content = text(join(ROOT, unified() ? "" : "pids", path, "cgroup.procs"));
  return (content ?? "")
    .split("\n")
    .filter((line) => line !== "")
    .map(Number);
}

/** The whole machine: what its processes share. */
export function machineUsage(now: number): Usage {
  const memory = fields(text("/proc/meminfo"));
  const faults = fields(text("/proc/vmstat"));
  const used = (memory.get("MemTotal") ?? 0) - (memory.get("MemFree") ?? 0);
  return {
    at: now,
    cpuNanos: machineCpuNanos(text("/proc/stat") ?? ""),
    memoryBytes: used,
    workingSetBytes: Math.max(0, used - (memory.get("Inactive(file)") ?? 0)),
    rssBytes: memory.get("AnonPages") ?? 0,
    pageFaults: faults.get("pgfault") ?? 0,
    majorPageFaults: faults.get("pgmajfault") ?? 0,
    limitBytes: memory.get("MemTotal") ?? 0,
  };
}

const TICKS_PER_SECOND = 100;

/** From /proc/stat: user, nice, system, irq and softirq of all CPUs; what waits and idles is no use. */
export function machineCpuNanos(stat: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? "")
    .split(" ")
    .map(Number);
  return ((user + nice + system + irq + soft) * 1e9) / TICKS_PER_SECOND;
}

export interface InterfaceUsage {
  name: string;
  rxBytes: number;
  rxErrors: number;
  txBytes: number;
  txErrors: number;
}

/** The interfaces of the network that a process is in ("self": of this one). */
export function networkUsage(process: number | "self"): InterfaceUsage[] {
  return (text(`/proc/${process}/net/dev`) ?? "")
    .split("\n")
    .slice(2)
    .flatMap((line) => {
      const [name = "", counts = ""] = line.trim().split(/:\s*/);
      const values = counts.split(/\s+/).map(Number);
      if (name === "" || name === "lo") return [];
      return [
        { name, rxBytes: values[0] ?? 0, rxErrors: values[2] ?? 0, txBytes: values[8] ?? 0, txErrors: values[10] ?? 0 },
      ];
    });
}
