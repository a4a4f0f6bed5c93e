/**
 * Resources as the kubelet gives them to the kernel: quality of service, shares and quotas, and a cgroup per pod that holds
 * the sum of its containers (kubernetes/pkg/kubelet/cm, helpers_linux.go). Works on cgroups v1 in separate hierarchies and v2.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Container, Pod } from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityMilliValue, quantityValue } from "#sdk/api/quantity.ts";
import type { LinuxContainerResources } from "./cri.ts";

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

const PERIOD_US = 100_000;
const QUOTA_US_MIN = 1000;
const SHARES_MIN = 2;
const SHARES_MAX = 262_144;
const ROOT = "/sys/fs/cgroup";

type Side = "requests" | "limits";
const amount = (container: Container, side: Side, name: string): string | number | undefined =>
  container.resources?.[side]?.[name];

export const cpuMilli = (container: Container, side: Side): number => {
  const value = amount(container, side, "cpu");
  return value === undefined ? 0 : quantityMilliValue(parseQuantity(value));
};
export const memoryBytes = (container: Container, side: Side): number => {
  const value = amount(container, side, "memory");
  return value === undefined ? 0 : quantityValue(parseQuantity(value));
};

const containersOf = (pod: Pod): Container[] => [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];

/** pod/qos: every container with equal limits and requests of both is Guaranteed, none with any is BestEffort. */
export function qosClass(pod: Pod): QosClass {
  let any = false;
  let all = true;
  for (const container of containersOf(pod)) {
    for (const read of [cpuMilli, memoryBytes]) {
      const [request, limit] = [read(container, "requests"), read(container, "limits")];
      if (request > 0 || limit > 0) any = true;
      if (limit === 0 || (request !== 0 && request !== limit)) all = false;
    }
  }
  return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
}

const readText = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8").trim() : "");

export const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/** What a pod takes of its node: the larger of its containers' sum and each init container, with sidecars before it. */
export function podRequest(pod: Pod, of: typeof cpuMilli, side: Side = "requests"): number {
  const asked = (container: Container) =>
    side === "requests" ? of(container, "requests") || of(container, "limits") : of(container, side);
  let sum = (pod.spec?.containers ?? []).reduce((total, container) => total + asked(container), 0);
  let sidecars = 0;
  let most = 0;
  for (const container of pod.spec?.initContainers ?? []) {
    if (isSidecar(container)) sidecars += asked(container);
    most = Math.max(most, sidecars + (isSidecar(container) ? 0 : asked(container)));
  }
  sum += sidecars;
  return Math.max(sum, most);
}

export const sharesOf = (milli: number): number =>
  Math.min(SHARES_MAX, Math.max(SHARES_MIN, Math.floor((milli * 1024) / 1000)));
const quotaOf = (milli: number): number => Math.max(QUOTA_US_MIN, Math.floor((milli * PERIOD_US) / 1000));

/** kubelet/qos: what the kernel kills first when the machine is out of memory. */
export function oomScoreAdj(pod: Pod, container: Container, machineBytes: number): number {
  const qos = qosClass(pod);
  if (qos === "Guaranteed" || (pod.spec?.priority ?? 0) >= 2_000_000_000) return -997;
  if (qos === "BestEffort") return 1000;
  const adjust = 1000 - Math.floor((1000 * memoryBytes(container, "requests")) / machineBytes);
  return adjust < 3 ? 3 : adjust === 1000 ? 999 : adjust;
}

export function containerResources(pod: Pod, container: Container, machineBytes: number): LinuxContainerResources {
  const limit = cpuMilli(container, "limits");
  const request = container.resources?.requests?.["cpu"] === undefined ? limit : cpuMilli(container, "requests");
  const memory = memoryBytes(container, "limits");
  return {
    cpuShares: sharesOf(request),
    ...(limit > 0 ? { cpuPeriod: PERIOD_US, cpuQuota: quotaOf(limit) } : {}),
    ...(memory > 0 ? { memoryLimitInBytes: memory } : {}),
    oomScoreAdj: oomScoreAdj(pod, container, machineBytes),
  };
}

/** Makes and removes the pods' own cgroups. */
export interface CgroupHost {
  /** As in CRI's cgroup_parent: its containers' are below it, by their ids. */
  path(pod: Pod): string;
  /** Creates the pod's cgroup with its limits (idempotent); answers the path for CRI's cgroup_parent. */
  ensure(pod: Pod): string;
  /** Gives the pod's cgroup its limits anew; with `before`, what holds both: processes are still limited as that one says. */
  resize(pod: Pod, before?: Pod): void;
  /**
   * Of a pod of which the runtime has nothing any more. What is still in it was lost by a shim that died: processes are killed, and the
   * containers' own cgroups go too. False while something is left; to be tried again.
   */
  remove(pod: Pod): boolean;
}

const pathBelow = (cgroupRoot: string, pod: Pod): string => {
  const qos = qosClass(pod);
  const parent = qos === "Guaranteed" ? [] : [qos.toLowerCase()];
  return ["", cgroupRoot, ...parent, `pod${pod.metadata.uid}`].join("/");
};

/** Where nobody may make cgroups: pods have the paths all the same, by which they are told apart. */
export function withoutCgroups(cgroupRoot: string): CgroupHost {
  const path = (pod: Pod) => pathBelow(cgroupRoot, pod);
  return { path, ensure: path, resize: () => undefined, remove: () => true };
}

export function createCgroups(cgroupRoot: string): CgroupHost {
  const unified = existsSync(join(ROOT, "cgroup.controllers"));
  const pathOf = (pod: Pod): string => pathBelow(cgroupRoot, pod);
  const write = (path: string, limits: PodLimits) =>
    unified ? limitUnified(join(ROOT, path), limits) : limitSeparate(path, limits);
  const hierarchies = (): string[] => (unified ? [ROOT] : readdirSync(ROOT).map((name) => join(ROOT, name)));
  return {
    path: pathOf,
    ensure(pod) {
      const path = pathOf(pod);
      if (unified) makeUnified(path);
      else makeSeparate(path);
      write(path, podLimits(pod));
      return path;
    },
    resize(pod, before) {
      const limits = podLimits(pod);
      write(pathOf(pod), before === undefined ? limits : wider(limits, podLimits(before)));
    },
    remove(pod) {
      let gone = true;
      for (const root of hierarchies()) {
        if (!removeTree(join(root, pathOf(pod)))) gone = false;
      }
      return gone;
    },
  };
}

function removeTree(directory: string): boolean {
  if (!existsSync(directory)) return true;
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) removeTree(join(directory, entry.name));
    for (const pid of readText(join(directory, "cgroup.procs"))
      .split("\n")
      .filter((line) => line !== ""))
      process.kill(Number(pid), "SIGKILL");
    rmdirSync(directory);
    return true;
  } catch {
    // Somebody else was faster, or a process takes its time to end.
    return !existsSync(directory);
  }
}

/** Without a quota (microseconds a period) or memory (bytes): unlimited. */
interface PodLimits {
  shares: number;
  quota?: number;
  memory?: number;
}

const UNLIMITED = -1;

function wider(a: PodLimits, b: PodLimits): PodLimits {
  return {
    shares: Math.max(a.shares, b.shares),
    ...(a.quota !== undefined && b.quota !== undefined ? { quota: Math.max(a.quota, b.quota) } : {}),
    ...(a.memory !== undefined && b.memory !== undefined ? { memory: Math.max(a.memory, b.memory) } : {}),
  };
}

/** A pod is limited as a whole only when every container of it is (kubelet: ResourceConfigForPod). */
function podLimits(pod: Pod): PodLimits {
  const every = (of: typeof cpuMilli) => containersOf(pod).every((container) => of(container, "limits") > 0);
  return {
    shares: sharesOf(podRequest(pod, cpuMilli)),
    ...(every(cpuMilli) ? { quota: quotaOf(podRequest(pod, cpuMilli, "limits")) } : {}),
    ...(every(memoryBytes) ? { memory: podRequest(pod, memoryBytes, "limits") } : {}),
  };
}

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT";

/** A controller that this kernel lacks limits nothing, as upstream: the pod runs all the same. */
function tryWrite(file: string, value: string | number): void {
  try {
    // Not created where it is missing: a file system of the kernel's takes no new files.
    writeFileSync(file, String(value), { flag: "r+" });
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** Answers false where the directory was there. */
function makeDirectory(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    if (!isMissing(error)) throw error;
    mkdirSync(path, { recursive: true });
    return true;
  }
}

/** The unified hierarchy beside the others has no controllers. */
const separateHierarchies = (): string[] => readdirSync(ROOT).filter((name) => name !== "unified");
const controls = (hierarchy: string, controller: string): boolean => hierarchy.split(",").includes(controller);

function makeSeparate(path: string): void {
  for (const hierarchy of separateHierarchies())
    if (makeDirectory(join(ROOT, hierarchy, path)) && controls(hierarchy, "cpuset"))
      inheritCpuset(join(ROOT, hierarchy), path);
}

function limitSeparate(path: string, { shares, quota, memory }: PodLimits): void {
  for (const hierarchy of separateHierarchies()) {
    const directory = join(ROOT, hierarchy, path);
    if (controls(hierarchy, "cpu")) {
      tryWrite(join(directory, "cpu.shares"), shares);
      tryWrite(join(directory, "cpu.cfs_quota_us"), quota ?? UNLIMITED);
    }
    if (controls(hierarchy, "memory")) tryWrite(join(directory, "memory.limit_in_bytes"), memory ?? UNLIMITED);
  }
}

/** In cgroups v1 a new cpuset is empty, and nothing can run in it. */
function inheritCpuset(root: string, path: string): void {
  const parts = path.split("/").filter((part) => part !== "");
  for (const name of ["cpuset.cpus", "cpuset.mems"]) {
    const own = parts.map((_, at) => join(root, ...parts.slice(0, at + 1), name));
    const known = own.findLastIndex((file) => readText(file) !== "");
    const value = readText(known < 0 ? join(root, name) : (own[known] ?? ""));
    for (const file of own.slice(known + 1)) tryWrite(file, value);
  }
}

function makeUnified(path: string): void {
  const parts = path.split("/").filter((part) => part !== "");
  let at = ROOT;
  for (const part of parts) {
    for (const controller of ["cpuset", "cpu", "io", "memory", "pids"])
      try {
        writeFileSync(join(at, "cgroup.subtree_control"), `+${controller}`);
      } catch {
        // Not offered here: see tryWrite.
      }
    at = join(at, part);
    mkdirSync(at, { recursive: true });
  }
}

function limitUnified(directory: string, { shares, quota, memory }: PodLimits): void {
  tryWrite(join(directory, "cpu.weight"), 1 + Math.floor(((shares - 2) * 9999) / 262_142));
  tryWrite(join(directory, "cpu.max"), `${quota ?? "max"} ${PERIOD_US}`);
  tryWrite(join(directory, "memory.max"), memory ?? "max");
}
