/** stats/summary (k8s.io/kubelet/pkg/apis/stats/v1alpha1): what node, pods and containers use. Read when somebody asks. */
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { timeText } from "#platform/base/clock.ts";
import type { NodeContext, NodePod } from "../context.ts";
import { podPaths } from "../context.ts";
import type { ObservedContainer, Observer } from "../observe.ts";
import { createSampler, type Sample, type Sampler } from "./sampler.ts";
import { type InterfaceUsage, machineUsage, networkUsage, processesOf } from "./usage.ts";

const MACHINE = "";

export interface CpuStats {
  time: string;
  usageNanoCores?: number;
  usageCoreNanoSeconds: number;
}
export interface MemoryStats {
  time: string;
  availableBytes?: number;
  usageBytes: number;
  workingSetBytes: number;
  rssBytes: number;
  pageFaults: number;
  majorPageFaults: number;
}
export interface FsStats {
  time: string;
  availableBytes: number;
  capacityBytes: number;
  usedBytes: number;
  inodesFree: number;
  inodes: number;
  inodesUsed: number;
}
export interface ContainerSummary {
  name: string;
  startTime: string;
  cpu?: CpuStats;
  memory?: MemoryStats;
  rootfs?: { time: string; usedBytes: number };
}
export interface PodSummary {
  podRef: { name: string; namespace: string; uid: string };
  startTime?: string;
  containers: ContainerSummary[];
  cpu?: CpuStats;
  memory?: MemoryStats;
  network?: { time: string } & Partial<InterfaceUsage> & { interfaces: InterfaceUsage[] };
  volume?: ({ name: string; pvcRef?: { name: string; namespace: string } } & FsStats)[];
  process_stats?: { process_count: number };
}
export interface Summary {
  node: {
    nodeName: string;
    startTime: string;
    cpu: CpuStats;
    memory: MemoryStats;
    network?: PodSummary["network"];
    fs?: FsStats;
    runtime?: { imageFs?: FsStats; containerFs?: FsStats };
    rlimit?: { time: string; maxpid: number; curproc: number };
    systemContainers?: ContainerSummary[];
  };
  pods: PodSummary[];
}

export interface Statistics {
  /** With `onlyUsage` what is cheap: CPU and memory. */
  summary(onlyUsage: boolean): Promise<Summary>;
  /** Keeps rates current; to be called every ten seconds or so. */
  tick(): void;
}

export interface StatisticsParts {
  context: NodeContext;
  observer: Observer;
  pods(): NodePod[];
}

const cpuStats = (sample: Sample): CpuStats => ({
  time: timeText(sample.at),
  ...(sample.nanoCores === undefined ? {} : { usageNanoCores: sample.nanoCores }),
  usageCoreNanoSeconds: Math.round(sample.cpuNanos),
});
const memoryStats = (sample: Sample): MemoryStats => ({
  time: timeText(sample.at),
  ...(sample.limitBytes === undefined
    ? {}
    : { availableBytes: Math.max(0, sample.limitBytes - sample.workingSetBytes) }),
  usageBytes: sample.memoryBytes,
  workingSetBytes: sample.workingSetBytes,
  rssBytes: sample.rssBytes,
  pageFaults: sample.pageFaults,
  majorPageFaults: sample.majorPageFaults,
});
const both = (sample: Sample | undefined) =>
  sample === undefined ? {} : { cpu: cpuStats(sample), memory: memoryStats(sample) };

/** The file system that a path is on; what is used of it counts for all that share it. */
export async function fsStats(path: string, now: number): Promise<FsStats> {
  const info = await statfs(path);
  return {
    time: timeText(now),
    availableBytes: info.bavail * info.bsize,
    capacityBytes: info.blocks * info.bsize,
    usedBytes: (info.blocks - info.bfree) * info.bsize,
    inodesFree: info.ffree,
    inodes: info.files,
    inodesUsed: info.files - info.ffree,
  };
}

const millis = (nanos: string | number | undefined): number => Number(BigInt(nanos ?? 0) / 1_000_000n);

export function createStatistics({ context, observer, pods }: StatisticsParts): Statistics {
  const { clock, settings } = context;
  const sampler: Sampler = createSampler((key) =>
    key === MACHINE ? machineUsage(clock.now()) : context.usage(key, clock.now()),
  );
  const startTime = timeText(clock.now());
  const running = (pod: NodePod): ObservedContainer[] =>
    observer.get(pod.metadata.uid).containers.filter((one) => one.state === "CONTAINER_RUNNING");
  const cgroupOf = (pod: NodePod, container: ObservedContainer) => join(context.cgroups.path(pod), container.id);
  const shown = () => pods().filter((pod) => running(pod).length > 0);

  const networkOf = (process: number | "self"): PodSummary["network"] => {
    const interfaces = networkUsage(process);
    const main = interfaces.find((one) => one.name === "eth0") ?? interfaces[0];
    return { time: timeText(clock.now()), ...main, interfaces };
  };

  const podNetwork = (pod: NodePod): Pick<PodSummary, "network"> => {
    if (pod.spec.hostNetwork === true) return {};
    const sandbox = observer.get(pod.metadata.uid).sandboxes.find((one) => one.state === "SANDBOX_READY");
    const [process] = sandbox === undefined ? [] : processesOf(join(context.cgroups.path(pod), sandbox.id));
    const network = process === undefined ? undefined : networkOf(process);
    return network === undefined ? {} : { network };
  };

  const podVolumes = async (pod: NodePod): Promise<NonNullable<PodSummary["volume"]>> => {
    const { volumes } = podPaths(settings, pod.metadata.uid);
    const all = (pod.spec.volumes ?? []).map(async ({ name, persistentVolumeClaim }) => {
      const stats = await fsStats(join(volumes, name), clock.now()).catch(() => undefined);
      if (stats === undefined) return [];
      const { namespace } = pod.metadata;
      const claim = persistentVolumeClaim && { pvcRef: { name: persistentVolumeClaim.claimName, namespace } };
      return [{ ...stats, name, ...claim }];
    });
    return (await Promise.all(all)).flat();
  };

  const podSummary = async (pod: NodePod, onlyUsage: boolean, written: Map<string, number>): Promise<PodSummary> => {
    const { name, namespace, uid } = pod.metadata;
    const containers = running(pod).map((one): ContainerSummary => {
      const usedBytes = written.get(one.id);
      return {
        name: one.name,
        startTime: timeText(millis(one.startedAt)),
        ...both(sampler.sample(cgroupOf(pod, one))),
        ...(usedBytes === undefined ? {} : { rootfs: { time: timeText(clock.now()), usedBytes } }),
      };
    });
    const processes = running(pod).reduce((sum, one) => sum + processesOf(cgroupOf(pod, one)).length, 0);
    return {
      podRef: { name, namespace, uid },
      ...(pod.status?.startTime === undefined ? {} : { startTime: pod.status.startTime }),
      containers,
      ...both(sampler.sample(context.cgroups.path(pod))),
      ...(onlyUsage
        ? {}
        : { ...podNetwork(pod), volume: await podVolumes(pod), process_stats: { process_count: processes } }),
    };
  };

  const writtenBytes = async (): Promise<Map<string, number>> => {
    const stats = await context.runtime.listContainerStats().catch(() => []);
    return new Map(stats.map((one) => [one.attributes.id, Number(one.writableLayer?.usedBytes?.value ?? 0)]));
  };

  const systemContainers = (): ContainerSummary[] =>
    [{ name: "pods", path: `/${settings.cgroupRoot}` }].flatMap(({ name, path }) => {
      const sample = sampler.sample(path);
      return sample === undefined ? [] : [{ name, startTime, ...both(sample) }];
    });

  return {
    async summary(onlyUsage) {
      const machine = sampler.sample(MACHINE);
      if (machine === undefined) throw new Error("the machine's usage cannot be read");
      const written = onlyUsage ? new Map<string, number>() : await writtenBytes();
      const now = clock.now();
      const fs = onlyUsage ? undefined : await fsStats(settings.directory, now);
      const network = networkOf("self");
      return {
        node: {
          nodeName: settings.name,
          startTime,
          cpu: cpuStats(machine),
          memory: memoryStats(machine),
          systemContainers: systemContainers(),
          ...(fs === undefined
            ? {}
            : { ...(network ? { network } : {}), fs, runtime: { imageFs: fs, containerFs: fs } }),
        },
        pods: await Promise.all(shown().map((pod) => podSummary(pod, onlyUsage, written))),
      };
    },
    tick() {
      const keys = new Set([MACHINE, `/${settings.cgroupRoot}`]);
      for (const pod of shown()) {
        keys.add(context.cgroups.path(pod));
        for (const container of running(pod)) keys.add(cgroupOf(pod, container));
      }
      for (const key of keys) sampler.sample(key);
      sampler.keep(keys);
    },
  };
}
