/**
 * The agent's Runtime for RuntimeClass `wasm`: a container is a WebAssembly component, run by a process of Node's that has no rights
 * (launch.ts). No container runtime, no root and no image for any machine is needed. States follow from files and processes, so that an agent
 * that starts again finds what runs.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { delay } from "#platform/base/clock.ts";
import { EXIT_KILLED, type GuestExit, type GuestSpec } from "#sdk/engine/wasi/spec.ts";
import type { ContainerConfig, ContainerState, ContainerStatus, LinuxContainerResources, PodSandbox } from "../cri.ts";
import { CONTAINER_PORTS } from "../observe.ts";
import { type Runtime, RuntimeError } from "../ports.ts";
import { POD_UID } from "../sandbox.ts";
import type { Usage } from "../stats/usage.ts";
import { readJson, writeWhole } from "./files.ts";
import { WASM_ID_PREFIX } from "./ids.ts";
import { openImages, type WasmImage, type WasmImages } from "./images.ts";
import { launch } from "./launch.ts";
import { isAlive, processUsage, signal } from "./process.ts";
import { type ContainerRecord, openRecords, type SandboxRecord } from "./records.ts";
import { createThrottle } from "./throttle.ts";

/** The handler that RuntimeClass `wasm` names. */
export const WASM_HANDLER = "wasm";
const PORT = 8080;
const MEMORY_BYTES = 512 * 1024 * 1024;
const STOP_LOOK_MS = 25;
const KILL_MS_MAX = 10_000;
const DOWN_SECONDS = 5;

const NOT_FOUND = 5;
const FAILED_PRECONDITION = 9;
const UNIMPLEMENTED = 12;

export interface WasmRuntimeOptions {
  /** DATA/nodes/NAME/wasm */
  directory: string;
  now(): number;
  /** Where a sandbox's containers listen; undefined: on all addresses that they see. */
  listenAddress(sandboxId: string): string | undefined;
  /** Network namespaces for sandboxes; left out: they are on the host's network. */
  namespaces?: { make(id: string): Promise<string>; remove(id: string): Promise<void> };
}

export interface WasmRuntime extends Runtime {
  images: WasmImages;
  owns(id: string): boolean;
  /** By the last part of a cgroup's path: a container's id, or "podUID". */
  usage(name: string, now: number): Usage | undefined;
  close(): void;
}

const nanos = (ms: number | undefined): string => (ms === undefined ? "0" : `${BigInt(ms) * 1_000_000n}`);
const newId = (): string => WASM_ID_PREFIX + randomBytes(28).toString("hex");
const refused = (what: string): never => {
  throw new RuntimeError(UNIMPLEMENTED, `${what}: the container is a WebAssembly component, which has no processes`);
};
const cpuLimitOf = (resources: LinuxContainerResources | undefined): number | undefined => {
  const { cpuQuota, cpuPeriod } = resources ?? {};
  return cpuQuota === undefined || cpuPeriod === undefined ? undefined : Number(cpuQuota) / Number(cpuPeriod);
};

function portsOf(annotations: Record<string, string>): number[] {
  const ports = JSON.parse(annotations[CONTAINER_PORTS] ?? "[]") as { containerPort: number; protocol?: string }[];
  const tcp = ports.filter(({ protocol = "TCP" }) => protocol === "TCP").map(({ containerPort }) => containerPort);
  return tcp.length > 0 ? tcp : [PORT];
}

/** Directories only: a single file cannot be opened through what a guest is given (WASI: preopened directories). */
const mountsOf = ({ mounts = [] }: ContainerConfig): GuestSpec["mounts"] =>
  mounts.flatMap(({ containerPath, hostPath, readonly = false }) =>
    statSync(hostPath, { throwIfNoEntry: false })?.isDirectory()
      ? [{ guest: containerPath, host: hostPath, readonly }]
      : [],
  );

function environmentOf(image: WasmImage, { envs = [] }: ContainerConfig): [string, string][] {
  const all = new Map<string, string>();
  for (const one of image.env) all.set(one.split("=")[0] ?? "", one.slice(one.indexOf("=") + 1));
  for (const { key, value = "" } of envs) all.set(key, Buffer.from(value, "base64").toString("utf8"));
  return [...all];
}

function resolverText({ servers = [], searches = [], options = [] }: NonNullable<SandboxRecord["dns"]>): string {
  const lines = servers.map((server) => `nameserver ${server}`);
  if (searches.length > 0) lines.push(`search ${searches.join(" ")}`);
  if (options.length > 0) lines.push(`options ${options.join(" ")}`);
  return `${lines.join("\n")}\n`;
}

function argumentsOf(image: WasmImage, { command, args }: ContainerConfig): string[] {
  if (command?.length) return [...command, ...(args ?? [])];
  const [name = image.names[0] ?? "component", ...rest] = image.entrypoint;
  return [name, ...rest, ...(args?.length ? args : image.cmd)];
}

export function createWasmRuntime(options: WasmRuntimeOptions): WasmRuntime {
  const { directory, now, namespaces } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const records = openRecords(directory);
  const images = openImages(directory);
  const throttle = createThrottle(now);
  /** What the kernel said of processes that this agent started. */
  const ends = new Map<string, { code: number | null; signal: NodeJS.Signals | null }>();

  /** Of containers that were made and not started: an agent that starts again makes them anew. */
  const specs = new Map<string, GuestSpec>();
  /** Their /etc/hosts, where the pod has one of its own. */
  const hostsFiles = new Map<string, string>();

  /** Not ready any more when the machine was started anew: its namespace went with it. */
  const sandboxState = ({ ready, netns }: SandboxRecord): PodSandbox["state"] =>
    ready && (netns === undefined || existsSync(netns)) ? "SANDBOX_READY" : "SANDBOX_NOTREADY";

  const container = (id: string): ContainerRecord => {
    const record = records.containers.get(id);
    if (record === undefined) throw new RuntimeError(NOT_FOUND, `container ${JSON.stringify(id)} not found`);
    return settled(record);
  };
  const sandbox = (id: string) => {
    const record = records.sandboxes.get(id);
    if (record === undefined) throw new RuntimeError(NOT_FOUND, `sandbox ${JSON.stringify(id)} not found`);
    return record;
  };

  const exitOf = (record: ContainerRecord): GuestExit => {
    const said = readJson<GuestExit>(records.containerFile(record.id, "exit.json"));
    if (said) return said;
    const { code, signal: by } = ends.get(record.id) ?? {};
    const killed = by ?? record.stopping;
    const exitCode = killed === "SIGTERM" ? 143 : killed ? EXIT_KILLED : (code ?? EXIT_KILLED);
    return {
      exitCode,
      reason: "Error",
      message: lastLine(records.containerFile(record.id, "process.log")),
      finishedAt: now(),
    };
  };
  /** With its end written down, when it has ended. */
  const settled = (record: ContainerRecord): ContainerRecord => {
    if (record.startedAt === undefined || record.exit !== undefined || isAlive(record.process)) return record;
    const next = { ...record, exit: exitOf(record) };
    throttle.forget(record.id);
    ends.delete(record.id);
    records.putContainer(next);
    return next;
  };
  const stateOf = (record: ContainerRecord): ContainerState =>
    record.startedAt === undefined ? "CONTAINER_CREATED" : record.exit ? "CONTAINER_EXITED" : "CONTAINER_RUNNING";

  const waitForEnd = async (id: string, ms: number): Promise<boolean> => {
    const deadline = now() + ms;
    while (stateOf(container(id)) === "CONTAINER_RUNNING") {
      if (now() >= deadline) return false;
      await delay(STOP_LOOK_MS);
    }
    return true;
  };
  const stop = async (id: string, seconds: number): Promise<void> => {
    for (const [name, ms] of [
      ["SIGTERM", seconds * 1000],
      ["SIGKILL", KILL_MS_MAX],
    ] as const) {
      const record = container(id);
      if (stateOf(record) !== "CONTAINER_RUNNING") return;
      if (ms <= 0 || record.process === undefined) continue;
      records.putContainer({ ...record, stopping: name });
      throttle.forget(id);
      signal(record.process, name);
      if (await waitForEnd(id, ms)) return;
    }
    throw new Error(`the process of ${id} does not end`);
  };
  const statusOf = (record: ContainerRecord): ContainerStatus => ({
    id: record.id,
    metadata: record.metadata,
    state: stateOf(record),
    image: { image: record.image },
    imageRef: images.find(record.image)?.repoDigests[0] ?? record.image,
    labels: record.labels,
    annotations: record.annotations,
    logPath: record.logPath,
    createdAt: nanos(record.createdAt),
    startedAt: nanos(record.startedAt),
    finishedAt: nanos(record.exit?.finishedAt),
    ...(record.exit
      ? { exitCode: record.exit.exitCode, reason: record.exit.reason, message: record.exit.message }
      : {}),
  });
  const running = () =>
    [...records.containers.values()].map(settled).filter((one) => stateOf(one) === "CONTAINER_RUNNING");
  for (const one of running()) if (one.process) throttle.set(one.id, one.process, one.cpuLimit);

  return {
    images,
    owns: (id) => id.startsWith(WASM_ID_PREFIX),
    close: () => throttle.close(),
    usage(name, at) {
      const mine = running().filter(({ id, labels }) => id === name || `pod${labels[POD_UID]}` === name);
      const all = mine.flatMap((one) => (one.process ? (processUsage(one.process) ?? []) : []));
      if (all.length === 0) return undefined;
      const sum = (of: (one: (typeof all)[number]) => number) => all.reduce((total, one) => total + of(one), 0);
      const memory = sum(({ memoryBytes }) => memoryBytes);
      return {
        at,
        cpuNanos: sum(({ cpuNanos }) => cpuNanos),
        memoryBytes: memory,
        workingSetBytes: memory,
        rssBytes: memory,
        pageFaults: 0,
        majorPageFaults: 0,
      };
    },

    version: async () => ({ runtimeName: "wasm", runtimeVersion: process.versions.v8, runtimeApiVersion: "v1" }),
    status: async () => [{ type: "RuntimeReady", status: true }],
    async runPodSandbox(config) {
      const id = newId();
      const onHost = config.linux?.securityContext?.namespaceOptions?.network === "NODE";
      const netns = onHost ? undefined : await namespaces?.make(id);
      records.putSandbox({
        id,
        metadata: config.metadata,
        labels: config.labels,
        annotations: config.annotations,
        logDirectory: config.logDirectory,
        ready: true,
        createdAt: now(),
        ...(netns === undefined ? {} : { netns }),
        ...(config.dnsConfig === undefined ? {} : { dns: config.dnsConfig }),
      });
      return id;
    },
    async stopPodSandbox(id) {
      const record = records.sandboxes.get(id);
      if (record === undefined) return;
      for (const one of running()) if (one.sandboxId === id) await stop(one.id, 0);
      if (record.netns !== undefined) await namespaces?.remove(id);
      records.putSandbox({ ...record, ready: false });
    },
    async removePodSandbox(id) {
      for (const one of [...records.containers.values()])
        if (one.sandboxId === id) {
          await stop(one.id, 0);
          records.removeContainer(one.id);
        }
      if (records.sandboxes.get(id)?.netns !== undefined) await namespaces?.remove(id);
      records.removeSandbox(id);
    },
    async podSandboxStatus(id) {
      const record = sandbox(id);
      const { metadata, labels, annotations, createdAt, netns = "" } = record;
      const state = sandboxState(record);
      return { status: { id, metadata, labels, annotations, createdAt: nanos(createdAt), state }, netns };
    },
    listPodSandboxes: async ({ podUid, ended } = {}) =>
      [...records.sandboxes.values()]
        .filter(({ labels }) => podUid === undefined || labels[POD_UID] === podUid)
        .map((record) => ({
          id: record.id,
          metadata: record.metadata,
          labels: record.labels,
          annotations: record.annotations,
          createdAt: nanos(record.createdAt),
          state: sandboxState(record),
        }))
        .filter(({ state }) => !ended || state === "SANDBOX_NOTREADY"),

    async createContainer(sandboxId, config) {
      const { logDirectory } = sandbox(sandboxId);
      const image = images.find(config.image.image);
      if (image === undefined)
        throw new RuntimeError(NOT_FOUND, `image ${JSON.stringify(config.image.image)} not found`);
      const id = newId();
      const logPath = join(logDirectory, config.logPath);
      mkdirSync(dirname(logPath), { recursive: true });
      const { resources } = config.linux ?? {};
      const cpuLimit = cpuLimitOf(resources);
      const record: ContainerRecord = {
        id,
        sandboxId,
        metadata: config.metadata,
        image: image.id,
        labels: config.labels,
        annotations: config.annotations,
        logPath,
        createdAt: now(),
        ...(cpuLimit === undefined ? {} : { cpuLimit }),
      };
      records.putContainer(record);
      const host = options.listenAddress(sandboxId) ?? "0.0.0.0";
      const spec: GuestSpec = {
        component: await images.prepare(image),
        args: argumentsOf(image, config),
        env: environmentOf(image, config),
        mounts: mountsOf(config),
        memoryBytesMax: Number(resources?.memoryLimitInBytes ?? MEMORY_BYTES),
        log: logPath,
        exitFile: records.containerFile(id, "exit.json"),
        listen: portsOf(config.annotations).map((port) => ({ host, port })),
        egress: namespaces !== undefined,
      };
      specs.set(id, spec);
      const hosts = config.mounts?.find(({ containerPath }) => containerPath === "/etc/hosts")?.hostPath;
      if (hosts !== undefined) hostsFiles.set(id, hosts);
      return id;
    },
    async startContainer(id) {
      const record = container(id);
      const spec = specs.get(id);
      if (spec === undefined || stateOf(record) !== "CONTAINER_CREATED")
        throw new RuntimeError(FAILED_PRECONDITION, `container ${id} is not one that can be started`);
      specs.delete(id);
      const { netns, dns } = sandbox(record.sandboxId);
      const hosts = hostsFiles.get(id);
      hostsFiles.delete(id);
      const resolver = records.containerFile(id, "resolv.conf");
      if (dns) writeWhole(resolver, resolverText(dns));
      const files = [
        ...(dns ? [{ at: "/etc/resolv.conf", from: resolver }] : []),
        ...(hosts === undefined ? [] : [{ at: "/etc/hosts", from: hosts }]),
      ];
      const process = await launch({
        spec,
        specFile: records.containerFile(id, "spec.json"),
        outputFile: records.containerFile(id, "process.log"),
        ...(netns === undefined ? {} : { netns, files }),
        ended: (code, by) => void ends.set(id, { code, signal: by }),
      });
      records.putContainer({ ...record, process, startedAt: now() });
      throttle.set(id, process, record.cpuLimit);
    },
    stopContainer: stop,
    async removeContainer(id) {
      specs.delete(id);
      hostsFiles.delete(id);
      if (!records.containers.has(id)) return;
      await stop(id, 0);
      records.removeContainer(id);
    },
    containerStatus: async (id) => statusOf(container(id)),
    listContainers: async ({ podUid, ended } = {}) =>
      [...records.containers.values()]
        .filter(({ labels }) => podUid === undefined || labels[POD_UID] === podUid)
        .map(settled)
        .map((record) => {
          const { startedAt: _, finishedAt: __, ...status } = statusOf(record);
          return { ...status, podSandboxId: record.sandboxId };
        })
        .filter(({ state }) => !ended || state === "CONTAINER_EXITED"),
    async updateContainerResources(id, resources) {
      const record = container(id);
      const cpuLimit = cpuLimitOf(resources);
      const { cpuLimit: _, ...rest } = record;
      records.putContainer({ ...rest, ...(cpuLimit === undefined ? {} : { cpuLimit }) });
      if (record.process) throttle.set(id, record.process, cpuLimit);
    },
    // Its process looks itself whether its log was moved away.
    reopenContainerLog: async () => undefined,
    listContainerStats: async () => [],
    execSync: async () => refused("a command cannot be run"),
    exec: async () => refused("a command cannot be run"),
    attach: async () => refused("nobody can be attached"),
    portForward: async () => refused("a port cannot be forwarded"),
    listImages: async () => images.list(),
    async imageStatus(name) {
      const image = images.find(name);
      return image && images.list().find(({ id }) => id === image.id);
    },
    pullImage: (name, auth) => images.pull(name, auth),
    removeImage: async (name) => images.remove(name),
  };
}

function lastLine(file: string): string {
  try {
    return readFileSync(file, "utf8").trim().split("\n").at(-1) ?? "";
  } catch {
    return "";
  }
}

/** Ends every container below a directory, for a machine that goes down: no agent may be at work there. */
export async function stopComponents(directory: string): Promise<void> {
  const runtime = createWasmRuntime({ directory, now: Date.now, listenAddress: () => undefined });
  const all = await runtime.listContainers();
  await Promise.all(all.map(({ id }) => runtime.stopContainer(id, DOWN_SECONDS)));
  runtime.close();
}
