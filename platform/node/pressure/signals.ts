/** What is left of this machine, and what pods take of it. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type NodeContext, type NodePod, podLogDirectory, podPaths } from "../context.ts";
import type { Observer } from "../observe.ts";
import { fsStats } from "../stats/summary.ts";
import { machineUsage, processesOf } from "../stats/usage.ts";
import type { PodUsage } from "./ranking.ts";
import type { Signal, SignalName } from "./thresholds.ts";

const run = promisify(execFile);
const MEASURE_MS = 120_000;

export async function readSignals(directory: string, now: number): Promise<Map<SignalName, Signal>> {
  const memory = machineUsage(now);
  const capacity = memory.limitBytes ?? 0;
  const disk = await fsStats(directory, now);
  const bytes = { available: disk.availableBytes, capacity: disk.capacityBytes };
  // Some file systems make inodes as they go, and say 0.
  const inodes = { available: disk.inodesFree, capacity: disk.inodes };
  return new Map<SignalName, Signal>([
    ["memory.available", { available: Math.max(0, capacity - memory.workingSetBytes), capacity }],
    ["nodefs.available", bytes],
    ["nodefs.inodesFree", inodes],
    ["imagefs.available", bytes],
    ["imagefs.inodesFree", inodes],
    ["pid.available", processes()],
  ]);
}

/** /proc/loadavg: "0.1 0.2 0.3 RUNNING/ALL LAST". */
function processes(): Signal {
  const all = Number(/\/(\d+) /.exec(readFileSync("/proc/loadavg", "utf8"))?.[1] ?? 0);
  const max = Math.min(
    ...["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"].map((file) => Number(readFileSync(file, "utf8"))),
  );
  return { available: Math.max(0, max - all), capacity: max };
}

/** Bytes on disk by path; what is not there is left out. One process of low priority looks at all. */
async function diskUse(paths: string[]): Promise<Map<string, number>> {
  const present = paths.filter(existsSync);
  if (present.length === 0) return new Map();
  const { stdout } = await run("nice", ["-n", "19", "du", "-s", "-x", "--block-size=1", "--", ...present], {
    timeout: MEASURE_MS,
    maxBuffer: 1 << 24,
  }).catch((error: unknown) => {
    // Files that vanish meanwhile are an error of du's, and the rest is right.
    if (error instanceof Error && "stdout" in error) return { stdout: String(error.stdout) };
    throw error;
  });
  return new Map(
    stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const at = line.indexOf("\t");
        return [line.slice(at + 1), Number(line.slice(0, at))];
      }),
  );
}

/** What these pods use; with `disk` also what they wrote. */
export async function podUsages(
  context: NodeContext,
  observer: Pick<Observer, "get">,
  pods: readonly NodePod[],
  disk: boolean,
): Promise<Map<string, PodUsage>> {
  const now = context.clock.now();
  const emptyDirs = (pod: NodePod) =>
    (pod.spec.volumes ?? [])
      .filter(({ emptyDir }) => emptyDir !== undefined && emptyDir.medium !== "Memory")
      .map(({ name }) => ({ name, path: join(podPaths(context.settings, pod.metadata.uid).volumes, name) }));
  const logs = (pod: NodePod, name: string) => join(podLogDirectory(context.settings, pod), name);
  const paths = pods.flatMap((pod) => [
    ...emptyDirs(pod).map(({ path }) => path),
    ...pod.spec.containers.map(({ name }) => logs(pod, name)),
  ]);
  const used = disk ? await diskUse(paths) : new Map<string, number>();
  const stats = disk ? await context.runtime.listContainerStats() : [];
  const layers = new Map(stats.map((one) => [one.attributes.id, Number(one.writableLayer?.usedBytes?.value ?? 0)]));
  const usageOf = (pod: NodePod): PodUsage => {
    const cgroup = context.cgroups.path(pod);
    const running = observer.get(pod.metadata.uid).containers.filter((one) => one.state === "CONTAINER_RUNNING");
    const containers = new Map(
      running.map((one) => [
        one.name,
        {
          memory: context.usage(join(cgroup, one.id), now)?.workingSetBytes ?? 0,
          disk: (layers.get(one.id) ?? 0) + (used.get(logs(pod, one.name)) ?? 0),
        },
      ]),
    );
    const directories = new Map(
      emptyDirs(pod).flatMap(({ name, path }) => {
        const bytes = used.get(path);
        return bytes === undefined ? [] : [[name, bytes] as const];
      }),
    );
    const sum = (values: Iterable<number>) => [...values].reduce((total, one) => total + one, 0);
    return {
      memory: context.usage(cgroup, now)?.workingSetBytes ?? 0,
      processes: sum(running.map((one) => processesOf(join(cgroup, one.id)).length)),
      disk: sum([...containers.values()].map((one) => one.disk)) + sum(directories.values()),
      containers,
      emptyDirs: directories,
    };
  };
  return new Map(pods.map((pod) => [pod.metadata.uid, usageOf(pod)]));
}
