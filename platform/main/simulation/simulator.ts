/**
 * Nodes and pods that live by rules, without a machine behind them (as kwok does): nodes are ready and renew their leases; pods that are
 * bound to them run at once, end after a while where they are not to be restarted, and go when they are deleted.
 */
import { timeText } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";

const NODES = { group: "", version: "v1", resource: "nodes" };
const PODS = { group: "", version: "v1", resource: "pods" };
const LEASES = { group: "coordination.k8s.io", version: "v1", resource: "leases" };
const LEASE_NAMESPACE = "kube-node-lease";

export const SIMULATED_LABEL = "capstan.dev/simulated";
/** On pods: how long one that is not to be restarted runs. */
export const RUN_SECONDS_ANNOTATION = "capstan.dev/simulated-run-seconds";
const RUN_SECONDS = 1;
/** Well within the grace of a node that says nothing (50 s). */
const LEASE_EVERY_MS = 25_000;
const WORKERS = 32;
const ZONES = 3;

export interface SimulatorOptions {
  client: Client;
  log: Log;
  nodes: number;
  signal: AbortSignal;
  leaseEveryMs?: number;
}

export interface Simulator {
  /** Resolves when all nodes are there. */
  ready: Promise<void>;
  /** Resolves after the signal; the nodes stay, and fall silent. */
  done: Promise<void>;
}

export const simulatedName = (i: number): string => `simulated-${String(i).padStart(5, "0")}`;

function nodeOf(i: number, now: string): Node {
  const name = simulatedName(i);
  const amounts = { cpu: "32", memory: "128Gi", "ephemeral-storage": "500Gi", pods: "110" };
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: {
        [SIMULATED_LABEL]: "true",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": `zone-${i % ZONES}`,
      },
    },
    spec: {},
    status: {
      capacity: amounts,
      allocatable: amounts,
      conditions: [
        {
          type: "Ready",
          status: "True",
          reason: "Simulated",
          message: "there is no machine behind this node",
          lastHeartbeatTime: now,
          lastTransitionTime: now,
        },
      ],
      addresses: [
        { type: "InternalIP", address: addressOf(i) },
        { type: "Hostname", address: name },
      ],
    },
  };
}

/** From 198.18.0.0/15, which is for benchmarks (RFC 2544). */
const addressOf = (i: number): string => `198.${18 + ((i >> 16) & 1)}.${(i >> 8) & 255}.${i & 255}`;

const isFinished = ({ status }: Pod): boolean => status?.phase === "Succeeded" || status?.phase === "Failed";

/** What becomes of a pod: written now, or looked at again after so many milliseconds. */
export function nextOf(
  pod: Pod,
  now: number,
): "delete" | { status: NonNullable<Pod["status"]> } | { waitMs: number } | undefined {
  if (pod.metadata.deletionTimestamp) return "delete";
  if (isFinished(pod)) return undefined;
  const { containers = [], restartPolicy = "Always" } = pod.spec ?? {};
  const started = Date.parse(pod.status?.startTime ?? "");
  if (pod.status?.phase !== "Running") return { status: statusOf(pod, now, "Running") };
  if (restartPolicy === "Always" || containers.length === 0) return undefined;
  const seconds = Number(pod.metadata.annotations?.[RUN_SECONDS_ANNOTATION] ?? RUN_SECONDS);
  const waitMs = started + (Number.isFinite(seconds) ? seconds : RUN_SECONDS) * 1000 - now;
  return waitMs > 0 ? { waitMs } : { status: statusOf(pod, now, "Succeeded") };
}

function statusOf(pod: Pod, now: number, phase: "Running" | "Succeeded"): NonNullable<Pod["status"]> {
  const at = timeText(now);
  const startTime = pod.status?.startTime ?? at;
  const ready = phase === "Running";
  const conditions = ["Initialized", "PodReadyToStartContainers", "ContainersReady", "Ready"].map((type) => ({
    type,
    status: ready || type === "Initialized" ? "True" : "False",
    ...(ready || type === "Initialized" ? {} : { reason: "PodCompleted" }),
    lastTransitionTime: at,
  }));
  const state = ready
    ? { running: { startedAt: startTime } }
    : { terminated: { exitCode: 0, reason: "Completed", startedAt: startTime, finishedAt: at } };
  const index = Number(/-(\d+)$/.exec(pod.spec?.nodeName ?? "")?.[1] ?? 0);
  return {
    phase,
    startTime,
    hostIP: addressOf(index),
    conditions,
    containerStatuses: (pod.spec?.containers ?? []).map(({ name, image = "" }) => ({
      name,
      image,
      imageID: "",
      ready,
      started: ready,
      restartCount: 0,
      state,
    })),
  };
}

export function startSimulator(options: SimulatorOptions): Simulator {
  const { client, log, nodes, signal } = options;
  const pods = createInformer<Pod>(client.tenant("*"), PODS, { log });
  const queue = createWorkQueue({ firstRetryMs: 50, lastRetryMs: 10_000 });
  const names = new Set(Array.from({ length: nodes }, (_, i) => simulatedName(i)));
  const see = (pod: Pod) => {
    if (names.has(pod.spec?.nodeName ?? "")) queue.add(keyOf(pod));
  };

  const live = async (key: string): Promise<void> => {
    const pod = pods.get(key);
    if (!pod) return;
    const next = nextOf(pod, Date.now());
    if (!next) return;
    const api = client.tenant(tenantOf(pod));
    const at = { namespace: pod.metadata.namespace, name: pod.metadata.name ?? "" };
    const { uid } = pod.metadata;
    if (next === "delete") return await api.delete(PODS, at, { gracePeriodSeconds: 0, preconditions: { uid } });
    if ("waitMs" in next) return queue.addAfter(key, next.waitMs);
    const body = { metadata: { uid }, status: next.status as never };
    await api.patch(PODS, at, { type: "strategic", body }, { subresource: "status" });
  };

  const work = async () => {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      try {
        await live(key);
        queue.forget(key);
      } catch (error) {
        if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) {
          log.debug("a simulated pod is tried again", { key, error: messageOf(error) });
          queue.addRateLimited(key);
        }
      } finally {
        queue.done(key);
      }
    }
  };

  const createNode = async (i: number) => {
    try {
      await client.create<Node>(NODES, nodeOf(i, timeText(Date.now())));
    } catch (error) {
      if (!isReason(error, "AlreadyExists")) throw error;
    }
  };

  const renew = async (i: number) => {
    const name = simulatedName(i);
    const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime: microTime(Date.now()) };
    const at = { namespace: LEASE_NAMESPACE, name };
    try {
      await client.patch(LEASES, at, { type: "merge", body: { spec } });
    } catch (error) {
      if (!isReason(error, "NotFound")) throw error;
      const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: at, spec };
      await client.create<KubeObject>(LEASES, lease);
    }
  };

  /** Leases are spread over the period, so that they never come all at once. */
  const heartbeats = async () => {
    const every = options.leaseEveryMs ?? LEASE_EVERY_MS;
    while (!signal.aborted) {
      const started = performance.now();
      await inParallel(nodes, async (i) => {
        const early = started + (every * i) / nodes - performance.now();
        if (early > 0) await pause(early, signal);
        if (signal.aborted) return;
        await renew(i).catch((error: unknown) => log.debug("a lease was not renewed", { error: messageOf(error) }));
      });
      await pause(Math.max(0, started + every - performance.now()), signal);
    }
  };

  const ready = Promise.withResolvers<void>();
  const run = async () => {
    await inParallel(nodes, async (i) => {
      await createNode(i);
      await renew(i);
    });
    pods.on({ added: see, updated: see });
    await pods.start(signal);
    ready.resolve();
    signal.addEventListener("abort", () => queue.shutDown(), { once: true });
    if (signal.aborted) queue.shutDown();
    await Promise.all([heartbeats(), ...Array.from({ length: WORKERS }, work)]);
  };
  const done = run();
  done.catch((error: unknown) => ready.reject(error));
  return { ready: ready.promise, done };
}

/** RFC 3339 with microseconds, as leases have it. */
const microTime = (now: number): string => new Date(now).toISOString().replace("Z", "000Z");

async function inParallel(count: number, each: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await each(next++);
  };
  await Promise.all(Array.from({ length: Math.min(WORKERS, count) }, worker));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}
