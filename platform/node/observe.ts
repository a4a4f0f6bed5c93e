/** What the runtime says is there, by pod: asked for once a second and after every action, as the kubelet's relist. */
import type { ContainerStatus, PodSandbox } from "./cri.ts";
import type { Runtime } from "./ports.ts";
import { isRuntimeNotFound } from "./ports.ts";
import { POD_UID } from "./sandbox.ts";

export const CONTAINER_NAME = "io.kubernetes.container.name";
export const CONTAINER_HASH = "io.kubernetes.container.hash";
/** JSON of the container's ports. */
export const CONTAINER_PORTS = "io.kubernetes.container.ports";
export const GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod";
export const MESSAGE_FILE = "capstan.dev/termination-message-file";
export const MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy";

export type ObservedContainer = ContainerStatus & { podSandboxId: string; name: string; attempt: number };

/** Newest first, both. */
export interface Observation {
  sandboxes: PodSandbox[];
  containers: ObservedContainer[];
}

export const nothing: Observation = { sandboxes: [], containers: [] };

export interface Observer {
  /** As of the last refresh. */
  get(uid: string): Observation;
  uids(): string[];
  /** Resolves when a listing begun after the call is in. */
  refresh(): Promise<void>;
}

const nanos = (value: string | number | undefined): bigint => BigInt(value ?? 0);
const newest = (a: { createdAt?: string | number }, b: { createdAt?: string | number }): number =>
  nanos(b.createdAt) > nanos(a.createdAt) ? 1 : -1;

/** `changed` is told each pod that a listing found otherwise than the one before, whoever asked for the listing. */
export function createObserver(runtime: Runtime, changed: (uid: string) => void): Observer {
  let pods = new Map<string, Observation>();
  let known = new Map<string, ObservedContainer>();
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;

  const list = async (): Promise<void> => {
    const [sandboxes, containers] = await Promise.all([runtime.listPodSandboxes(), runtime.listContainers()]);
    const found = new Map<string, Observation>();
    const at = (uid: string): Observation => {
      const observation = found.get(uid) ?? { sandboxes: [], containers: [] };
      found.set(uid, observation);
      return observation;
    };
    for (const sandbox of sandboxes) at(sandbox.labels?.[POD_UID] ?? "").sandboxes.push(sandbox);
    const next = new Map<string, ObservedContainer>();
    for (const container of containers) {
      const before = known.get(container.id);
      const status =
        before?.state === container.state && container.state !== "CONTAINER_UNKNOWN"
          ? before
          : await runtime.containerStatus(container.id).then(
              (answer): ObservedContainer => ({
                ...answer,
                podSandboxId: container.podSandboxId,
                name: container.labels?.[CONTAINER_NAME] ?? container.metadata.name,
                attempt: container.metadata.attempt ?? 0,
              }),
              (error: unknown) => {
                if (isRuntimeNotFound(error)) return undefined;
                throw error;
              },
            );
      if (status === undefined) continue;
      next.set(container.id, status);
      at(container.labels?.[POD_UID] ?? "").containers.push(status);
    }
    for (const observation of found.values()) {
      observation.sandboxes.sort(newest);
      observation.containers.sort(newest);
    }
    const digest = (o: Observation | undefined) =>
      o === undefined
        ? ""
        : [...o.sandboxes.map((s) => s.id + s.state), ...o.containers.map((c) => c.id + c.state)].join();
    const uids = new Set([...pods.keys(), ...found.keys()]);
    const differing = [...uids].filter((uid) => digest(pods.get(uid)) !== digest(found.get(uid)));
    pods = found;
    known = next;
    for (const uid of differing) changed(uid);
  };
  const begin = (): Promise<void> => {
    running = list().finally(() => {
      running = undefined;
    });
    return running;
  };
  return {
    get: (uid) => pods.get(uid) ?? nothing,
    uids: () => [...pods.keys()],
    refresh() {
      if (running === undefined) return begin();
      waiting ??= running
        .catch(() => undefined)
        .then(() => {
          waiting = undefined;
          return begin();
        });
      return waiting;
    },
  };
}
