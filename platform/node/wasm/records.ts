/**
 * What an agent that starts again has to know of sandboxes and containers, in files: DIRECTORY/sandboxes/ID.json, and of each container a
 * directory DIRECTORY/containers/ID with record.json, spec.json (what its process was told), exit.json (how it ended), process.log and,
 * where it has a network of its own, resolv.conf.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { GuestExit } from "#sdk/engine/wasi/spec.ts";
import type { PodSandboxConfig } from "../cri.ts";
import { namesIn, readJson, writeWhole } from "./files.ts";
import type { Identity } from "./process.ts";

export interface SandboxRecord {
  id: string;
  metadata: PodSandboxConfig["metadata"];
  labels: Record<string, string>;
  annotations: Record<string, string>;
  logDirectory: string;
  ready: boolean;
  /** Milliseconds since the epoch, as all times here. */
  createdAt: number;
  /** Path of its network namespace, where it has one of its own. */
  netns?: string;
  /** What its resolv.conf says. */
  dns?: PodSandboxConfig["dnsConfig"];
}

export interface ContainerRecord {
  id: string;
  sandboxId: string;
  metadata: { name: string; attempt?: number };
  image: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  logPath: string;
  /** CPUs; undefined: as much as there is. */
  cpuLimit?: number;
  createdAt: number;
  startedAt?: number;
  process?: Identity;
  /** Set before a signal is sent, and told when the process left no word itself. */
  stopping?: "SIGTERM" | "SIGKILL";
  exit?: GuestExit;
}

export interface Records {
  sandboxes: Map<string, SandboxRecord>;
  containers: Map<string, ContainerRecord>;
  putSandbox(record: SandboxRecord): void;
  removeSandbox(id: string): void;
  putContainer(record: ContainerRecord): void;
  removeContainer(id: string): void;
  containerFile(id: string, name: "spec.json" | "exit.json" | "process.log" | "resolv.conf"): string;
}

export function openRecords(directory: string): Records {
  const sandboxFile = (id: string) => join(directory, "sandboxes", `${id}.json`);
  const containerDirectory = (id: string) => join(directory, "containers", id);
  const sandboxes = new Map<string, SandboxRecord>();
  for (const name of namesIn(join(directory, "sandboxes"))) {
    const record = readJson<SandboxRecord>(join(directory, "sandboxes", name));
    if (record) sandboxes.set(record.id, record);
  }
  const containers = new Map<string, ContainerRecord>();
  for (const id of namesIn(join(directory, "containers"))) {
    const record = readJson<ContainerRecord>(join(containerDirectory(id), "record.json"));
    if (record) containers.set(id, record);
  }
  return {
    sandboxes,
    containers,
    putSandbox(record) {
      sandboxes.set(record.id, record);
      writeWhole(sandboxFile(record.id), JSON.stringify(record));
    },
    removeSandbox(id) {
      sandboxes.delete(id);
      rmSync(sandboxFile(id), { force: true });
    },
    putContainer(record) {
      containers.set(record.id, record);
      mkdirSync(containerDirectory(record.id), { recursive: true, mode: 0o700 });
      writeWhole(join(containerDirectory(record.id), "record.json"), JSON.stringify(record));
    },
    removeContainer(id) {
      containers.delete(id);
      rmSync(containerDirectory(id), { recursive: true, force: true });
    },
    containerFile: (id, name) => join(containerDirectory(id), name),
  };
}
