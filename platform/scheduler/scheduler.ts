/**
 * Binds pods to nodes. Several may run at once: each decides on what it has seen, and the API refuses what does not
 * hold any more (409); the loser looks again. What decides are plugins (framework.ts); without any, every node is feasible.
 */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { createRecorder } from "#sdk/client/recorder.ts";
import { decide, fitMessage, NO_NODES, preemptionMessage } from "./decide.ts";
import type { NodePlugin, SchedulingPlugins } from "./framework.ts";
import { createNodeTable, podClassOf } from "./node-table.ts";
import { createSchedulingQueue, type QueuedPod, type QueueOptions } from "./queue.ts";

export const SCHEDULER_NAME = "default-scheduler";
const PODS = { group: "", version: "v1", resource: "pods" };
const NODES = { group: "", version: "v1", resource: "nodes" };
/** Bindings under way at once; the next decision waits for a place. */
const BINDINGS_MAX = 64;

export interface SchedulerOptions {
  client: Client;
  plugins: SchedulingPlugins;
  log: Log;
  signal: AbortSignal;
  queue?: QueueOptions;
}

export interface Scheduler {
  /** Resolves when the first lists are in. */
  ready: Promise<void>;
  /** Resolves when the signal has aborted and the last binding is over. */
  done: Promise<void>;
}

export function startScheduler(options: SchedulerOptions): Scheduler {
  const { client, plugins, log, signal } = options;
  const wildcard = client.tenant("*");
  const table = createNodeTable();
  const queue = createSchedulingQueue(options.queue);
  const recorder = createRecorder({ client, component: SCHEDULER_NAME, log, perTenant: true });
  const pods = createInformer<Pod>(wildcard, PODS, { log });
  const nodes = createInformer<Node>(wildcard, NODES, { log });
  const sync = createSynchronizer(table);
  const bindings = new Set<Promise<void>>();

  const isFinished = (pod: Pod) => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
  const isWaiting = (pod: Pod) =>
    !pod.spec?.nodeName &&
    !pod.metadata.deletionTimestamp &&
    !isFinished(pod) &&
    (pod.spec?.schedulerName ?? SCHEDULER_NAME) === SCHEDULER_NAME &&
    !pod.spec?.schedulingGates?.length;

  const seePod = (pod: Pod) => {
    const key = keyOf(pod);
    if (isWaiting(pod)) {
      // Decided already, and this is the pod as it was before: its binding will be seen next.
      if (!table.isPlaced(key)) queue.put(key, pod);
      return;
    }
    queue.remove(key);
    if (pod.spec?.nodeName && !isFinished(pod)) table.putPod(key, pod);
    else losePod(key);
  };
  const losePod = (key: string) => {
    queue.remove(key);
    if (!table.isPlaced(key)) return;
    table.removePod(key);
    queue.moveAll();
  };
  pods.on({ added: seePod, updated: seePod, deleted: (pod) => losePod(keyOf(pod)) });
  nodes.on({
    added(node) {
      table.putNode(node);
      queue.moveAll();
    },
    updated(node, old) {
      if (!changesScheduling(node, old)) return;
      table.putNode(node);
      queue.moveAll();
    },
    deleted: (node) => table.removeNode(node.metadata.name ?? ""),
  });
  plugins.attach(table);
  plugins.onChange(() => queue.moveAll());

  const scheduleOne = async (item: QueuedPod) => {
    const pod = pods.get(item.key);
    if (!pod || !isWaiting(pod)) return queue.done(item.key);
    const tenant = tenantOf(pod);
    try {
      const [filters, scores] = [plugins.filters(tenant), plugins.scores(tenant)];
      await sync([...filters, ...scores]);
      const ids = table.ids();
      const decision = await decide(podClassOf(pod, tenant), ids, filters, scores);
      if ("node" in decision) return await bind(item, pod, table.nameOf(decision.node));
      const never = pod.spec?.preemptionPolicy === "Never";
      const victims = (id: number) => table.hasLowerPriority(id, pod.spec?.priority ?? 0);
      const message =
        ids.length === 0
          ? NO_NODES
          : fitMessage(ids.length, decision.failures.values(), preemptionMessage(decision.failures, never, victims));
      await refuse(item, pod, "Unschedulable", message);
    } catch (error) {
      await refuse(item, pod, "SchedulerError", messageOf(error));
    }
  };

  const bind = async (item: QueuedPod, pod: Pod, node: string) => {
    // Between the decision and here nothing is awaited: the next pod sees this one on its node.
    table.assume(item.key, pod, node);
    while (bindings.size >= BINDINGS_MAX) await Promise.race(bindings);
    const binding = sendBinding(item, pod, node).finally(() => bindings.delete(binding));
    bindings.add(binding);
  };

  const sendBinding = async (item: QueuedPod, pod: Pod, node: string) => {
    const { namespace, name = "", uid } = pod.metadata;
    const target = { apiVersion: "v1", kind: "Node", name: node };
    const binding = { apiVersion: "v1", kind: "Binding", metadata: { namespace, name, uid }, target };
    try {
      await client.tenant(tenantOf(pod)).create(PODS, binding, { subresource: "binding", name });
      queue.done(item.key);
      recorder.event(pod, "Normal", "Scheduled", `Successfully assigned ${namespace}/${name} to ${node}`);
    } catch (error) {
      table.forget(item.key);
      if (isReason(error, "NotFound")) return queue.done(item.key);
      // Another scheduler was first, or the node is full by now: what the watch shows next decides.
      if (isReason(error, "Conflict")) return queue.failed(item, true);
      await refuse(item, pod, "SchedulerError", `binding rejected: ${messageOf(error)}`);
    }
  };

  const refuse = async (item: QueuedPod, pod: Pod, reason: "Unschedulable" | "SchedulerError", message: string) => {
    recorder.event(pod, "Warning", "FailedScheduling", message);
    try {
      await sayWhy(client, pod, reason, message);
    } catch (error) {
      log.debug("a pod's condition was not written", { key: item.key, error: messageOf(error) });
    }
    queue.failed(item, reason === "SchedulerError");
  };

  const run = async () => {
    await Promise.all([pods.start(signal), nodes.start(signal)]);
    ready.resolve();
    signal.addEventListener("abort", () => queue.close(), { once: true });
    if (signal.aborted) queue.close();
    for (let item = await queue.take(); item; item = await queue.take()) await scheduleOne(item);
    await Promise.all(bindings);
  };
  const ready = Promise.withResolvers<void>();
  return { ready: ready.promise, done: run() };
}

/** Heartbeats come every few seconds from every node and change nothing here. */
function changesScheduling(node: Node, old: Node): boolean {
  const relevant = ({ metadata, spec, status }: Node) =>
    JSON.stringify([
      metadata.labels,
      metadata.annotations,
      spec,
      status?.allocatable,
      status?.images,
      status?.conditions?.map((c) => [c.type, c.status]),
    ]);
  return relevant(node) !== relevant(old);
}

/** Brings plugins up to date: one that is new, or failed to follow, gets everything. */
function createSynchronizer(table: ReturnType<typeof createNodeTable>): (used: readonly NodePlugin[]) => Promise<void> {
  let current = new Set<NodePlugin>();
  return async (used) => {
    const delta = table.takeDelta();
    const before = current;
    if (delta.nodes.length + delta.usage.length + delta.removed.length > 0) {
      // Whoever misses this delta (another tenant's, or one that comes after a failure) gets everything next time.
      current = new Set();
    }
    for (const plugin of new Set(used)) {
      if (current.has(plugin)) continue;
      await plugin.sync(before.has(plugin) ? delta : table.whole());
      current.add(plugin);
    }
  };
}

/** The condition PodScheduled, where it doesn't say so already. */
async function sayWhy(client: Client, pod: Pod, reason: string, message: string): Promise<void> {
  const present = pod.status?.conditions?.find((c) => c.type === "PodScheduled");
  if (present?.status === "False" && present.reason === reason && present.message === message) return;
  const now = `${new Date().toISOString().slice(0, 19)}Z`;
  const lastTransitionTime = present?.status === "False" ? (present.lastTransitionTime ?? now) : now;
  const condition = { type: "PodScheduled", status: "False", reason, message, lastProbeTime: null, lastTransitionTime };
  const { namespace, name = "" } = pod.metadata;
  const body = { metadata: { uid: pod.metadata.uid }, status: { conditions: [condition] } };
  await client
    .tenant(tenantOf(pod))
    .patch(PODS, { namespace, name }, { type: "strategic", body }, { subresource: "status" });
}
