/**
 * What the runtime says is there, by pod. Once a second it is asked what has ended, which is little; after an action, for the pod it was
 * done to. Everything is listed now and then only: on a full node that is most of what an idle agent does.
 */
import type { Container, ContainerStatus, PodSandbox } from "./cri.ts";
import { isRuntimeNotFound, type ListFilter, type Runtime } from "./ports.ts";
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
  /** As of the last look. */
  get(uid: string): Observation;
  uids(): string[];
  /** Looks at everything. Resolves when a listing begun after the call is in. */
  refresh(): Promise<void>;
  /** Looks at one pod, which is what an action on it has changed. */
  refreshPod(uid: string): Promise<void>;
  /** Looks for what has ended; at everything after a failure, and from time to time: others may have taken something away. */
  poll(): Promise<void>;
  /** What somebody who acted has just learned of a pod, without a listing. */
  note(uid: string, news: { sandbox?: PodSandbox; container?: ObservedContainer }): void;
}

const WHOLE_MS = 10_000;

const nanos = (value: string | number | undefined): bigint => BigInt(value ?? 0);
const newest = (a: { createdAt?: string | number }, b: { createdAt?: string | number }): number =>
  nanos(b.createdAt) > nanos(a.createdAt) ? 1 : -1;

const isEmpty = ({ sandboxes, containers }: Observation): boolean => sandboxes.length + containers.length === 0;

const digest = ({ sandboxes, containers }: Observation): string =>
  [...sandboxes.map((one) => one.id + one.state), ...containers.map((one) => one.id + one.state)].join();

const observed = (container: Container, status: ContainerStatus): ObservedContainer => ({
  ...status,
  podSandboxId: container.podSandboxId,
  name: container.labels?.[CONTAINER_NAME] ?? container.metadata.name,
  attempt: container.metadata.attempt ?? 0,
});

/**
 * `changed` is told each pod that a listing found otherwise than the one before, whoever asked for the listing. Of two looks at a pod
 * the one that began later counts, whichever answer comes first.
 */
export function createObserver(runtime: Runtime, now: () => number, changed: (uid: string) => void): Observer {
  /** Empty ones are kept until everything was listed since: an older look must not bring back what is gone. */
  const pods = new Map<string, Observation & { begun: number }>();
  /** Looks are numbered as they begin. */
  let looks = 0;
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;
  /** Undefined: the next poll is to look at everything. */
  let wholeAt: number | undefined;

  const put = (uid: string, begun: number, { sandboxes, containers }: Observation = nothing): void => {
    const before = pods.get(uid);
    if (before !== undefined && before.begun > begun) return;
    const next = { sandboxes: [...sandboxes].sort(newest), containers: [...containers].sort(newest), begun };
    pods.set(uid, next);
    if (digest(before ?? nothing) !== digest(next)) changed(uid);
  };

  /** A container that is as it was is not asked about again. */
  const statusOf = async (container: Container): Promise<ObservedContainer | undefined> => {
    const uid = container.labels?.[POD_UID] ?? "";
    const before = pods.get(uid)?.containers.find((one) => one.id === container.id);
    if (before?.state === container.state && container.state !== "CONTAINER_UNKNOWN") return before;
    try {
      return observed(container, await runtime.containerStatus(container.id));
    } catch (error) {
      if (isRuntimeNotFound(error)) return undefined;
      throw error;
    }
  };

  const look = async (filter: ListFilter): Promise<Map<string, Observation>> => {
    const [sandboxes, containers] = await Promise.all([
      runtime.listPodSandboxes(filter),
      runtime.listContainers(filter),
    ]);
    const found = new Map<string, Observation>();
    const at = (uid = ""): Observation => {
      const observation = found.get(uid) ?? { sandboxes: [], containers: [] };
      found.set(uid, observation);
      return observation;
    };
    for (const sandbox of sandboxes) at(sandbox.labels?.[POD_UID]).sandboxes.push(sandbox);
    for (const container of containers) {
      const status = await statusOf(container);
      if (status !== undefined) at(container.labels?.[POD_UID]).containers.push(status);
    }
    return found;
  };

  const list = async (): Promise<void> => {
    const begun = ++looks;
    wholeAt = undefined;
    const at = now();
    const found = await look({});
    for (const uid of new Set([...pods.keys(), ...found.keys()])) put(uid, begun, found.get(uid));
    for (const [uid, one] of pods) if (isEmpty(one) && one.begun <= begun) pods.delete(uid);
    wholeAt = at;
  };
  const begin = (): Promise<void> => {
    running = list().finally(() => {
      running = undefined;
    });
    return running;
  };

  const refreshPod = async (uid: string): Promise<void> => {
    const begun = ++looks;
    const found = await look({ podUid: uid });
    put(uid, begun, found.get(uid));
  };

  const refresh = (): Promise<void> => {
    if (running === undefined) return begin();
    waiting ??= running
      .catch(() => undefined)
      .then(() => {
        waiting = undefined;
        return begin();
      });
    return waiting;
  };

  /** What has ended and is not known to have. */
  const ended = async (): Promise<Set<string>> => {
    const [sandboxes, containers] = await Promise.all([
      runtime.listPodSandboxes({ ended: true }),
      runtime.listContainers({ ended: true }),
    ]);
    const news = new Set<string>();
    for (const { id, state, labels } of [...sandboxes, ...containers]) {
      const uid = labels?.[POD_UID];
      if (uid === undefined) continue;
      const known = pods.get(uid);
      const same = (one: { id: string; state: string }) => one.id === id && one.state === state;
      if (!known?.sandboxes.some(same) && !known?.containers.some(same)) news.add(uid);
    }
    return news;
  };

  return {
    get: (uid) => pods.get(uid) ?? nothing,
    uids: () => [...pods].flatMap(([uid, one]) => (isEmpty(one) ? [] : [uid])),
    refresh,
    refreshPod,
    async poll() {
      if (wholeAt === undefined || now() - wholeAt >= WHOLE_MS) return await refresh();
      try {
        for (const uid of await ended()) await refreshPod(uid);
      } catch (error) {
        wholeAt = undefined;
        throw error;
      }
    },
    note(uid, { sandbox, container }) {
      const { sandboxes, containers } = pods.get(uid) ?? nothing;
      const others = <T extends { id: string }>(list: T[], one: T | undefined): T[] =>
        one === undefined ? list : [one, ...list.filter(({ id }) => id !== one.id)];
      pods.set(uid, {
        sandboxes: others(sandboxes, sandbox).sort(newest),
        containers: others(containers, container).sort(newest),
        begun: ++looks,
      });
    },
  };
}
