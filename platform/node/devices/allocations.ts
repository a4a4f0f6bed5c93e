/** Which container has which devices (kubernetes/pkg/kubelet/cm/devicemanager, pod_devices.go): kept in a file, so that a new agent knows it too. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { ContainerEdits } from "#sdk/plugin/types.ts";

const editsShape = z.object({
  envs: z.array(z.tuple([z.string(), z.string()])),
  mounts: z.array(z.object({ hostPath: z.string(), containerPath: z.string(), readOnly: z.boolean() })),
  deviceNodes: z.array(z.object({ hostPath: z.string(), containerPath: z.string(), permissions: z.string() })),
  annotations: z.array(z.tuple([z.string(), z.string()])),
  cdiDevices: z.array(z.string()),
});
const allocationShape = z.object({
  /** The pod's. */
  uid: z.string(),
  container: z.string(),
  resource: z.string(),
  devices: z.array(z.object({ id: z.string(), numaNodes: z.array(z.number()) })),
  edits: editsShape,
});
const fileShape = z.object({ allocations: z.array(allocationShape), resources: z.array(z.string()) });

export type Allocation = z.infer<typeof allocationShape>;
export type Checkpoint = z.infer<typeof fileShape>;

/** Undefined where there is none that can be read. */
export function readCheckpoint(file: string): Checkpoint | undefined {
  try {
    return fileShape.safeParse(JSON.parse(readFileSync(file, "utf8"))).data;
  } catch {
    return undefined;
  }
}

/** Whole or not at all. */
export function writeCheckpoint(file: string, checkpoint: Checkpoint): void {
  writeFileSync(`${file}.tmp`, JSON.stringify(checkpoint), { mode: 0o600 });
  renameSync(`${file}.tmp`, file);
}

export class Allocations {
  readonly #all: Allocation[];
  constructor(all: Allocation[]) {
    this.#all = [...all];
  }

  list(): readonly Allocation[] {
    return this.#all;
  }

  of(uid: string, container: string): Allocation[] {
    return this.#all.filter((one) => one.uid === uid && one.container === container);
  }

  get(uid: string, container: string, resource: string): Allocation | undefined {
    return this.of(uid, container).find((one) => one.resource === resource);
  }

  inUse(resource: string): Set<string> {
    return new Set(
      this.#all.filter((one) => one.resource === resource).flatMap(({ devices }) => devices.map(({ id }) => id)),
    );
  }

  add(allocation: Allocation): void {
    this.#all.push(allocation);
  }

  /** Forgets what pods have that are no more; true: something was forgotten. */
  keep(uids: ReadonlySet<string>): boolean {
    const kept = this.#all.filter(({ uid }) => uids.has(uid));
    if (kept.length === this.#all.length) return false;
    this.#all.splice(0, this.#all.length, ...kept);
    return true;
  }
}

/** What several plugins give one container: of two that say the same thing differently, the first counts. */
export function mergeEdits(all: readonly ContainerEdits[]): ContainerEdits {
  const first = <T>(list: readonly T[], key: (one: T) => string): T[] =>
    [...new Map([...list].reverse().map((one) => [key(one), one])).values()].reverse();
  return {
    envs: first(
      all.flatMap(({ envs }) => envs),
      ([name]) => name,
    ),
    mounts: first(
      all.flatMap(({ mounts }) => mounts),
      ({ containerPath }) => containerPath,
    ),
    deviceNodes: first(
      all.flatMap(({ deviceNodes }) => deviceNodes),
      ({ containerPath }) => containerPath,
    ),
    annotations: first(
      all.flatMap(({ annotations }) => annotations),
      ([name]) => name,
    ),
    cdiDevices: [...new Set(all.flatMap(({ cdiDevices }) => cdiDevices))],
  };
}
