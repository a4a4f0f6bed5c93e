/**
 * Binds pods to nodes. Several may run at once: each decides on what it has seen, and the API refuses what does not
 * hold any more (409); the loser looks again. What decides are plugins (framework.ts); without any, every node is feasible.
 */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Namespace, Node, Pod, PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { createRecorder } from "#sdk/client/recorder.ts";
import { decide, filterNodes, fitMessage, NO_NODES, preemptionMessage } from "./decide.ts";
import { evict, nominate } from "./evict.ts";
import type { FilterOutcome, FilterPlugin, NodePlugin, SchedulingPlugins } from "./framework.ts";
import { createNodeTable, podClassOf } from "./node-table.ts";
import { findVictims, priorityOf } from "./preemption.ts";
import { createSchedulingQueue, type QueuedPod, type QueueOptions } from "./queue.ts";

export const SCHEDULER_NAME = "default-scheduler";
const PODS = { group: "", version: "v1", resource: "pods" };
const NODES = { group: "", version: "v1", resource: "nodes" };
const NAMESPACES = { group: "", version: "v1", resource: "namespaces" };
const BUDGETS = { group: "policy", version: "v1", resource: "poddisruptionbudgets" };
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
  const namespaces = createInformer<Namespace>(wildcard, NAMESPACES, { log });
  const budgets = createInformer<PodDisruptionBudget>(wildcard, BUDGETS, { log });
  const labelsOf = (tenant: string, name: string) => namespaces.get(`${tenant}//${name}`)?.metadata.labels ?? {};
  const table = createNodeTable(labelsOf);
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
      if (table.isPlaced(key)) return;
      const nominated = pod.status?.nominatedNodeName;
      if (nominated) table.nominate(key, pod, nominated);
      else table.forget(key);
      queue.put(key, pod);
      return;
    }
    queue.remove(key);
    if (pod.spec?.nodeName && !isFinished(pod)) table.putPod(key, pod);
    else losePod(key);
  };
  const losePod = (key: string) => {
    queue.remove(key);
    if (!table.isPlaced(key) && table.nominatedNode(key) === undefined) return;
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
    const nominated = table.nominatedNode(item.key);
    try {
      // What is kept free for it does not stand in its own way.
      if (nominated) table.forget(item.key);
      const [filters, scores] = [plugins.filters(tenant), plugins.scores(tenant)];
      await sync([...filters, ...scores]);
      const ids = table.ids();
      const decision = await decide(podClassOf(pod, tenant, labelsOf), ids, filters, scores);
      if ("node" in decision) return await bind(item, pod, table.nameOf(decision.node));
      if (nominated) table.nominate(item.key, pod, nominated);
      if (await preempt(item, pod, decision.failures, filters, nominated)) {
        await refuse(item, pod, "Unschedulable", fitMessage(ids.length, decision.failures.values()));
        return;
      }
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

  /** True where room is being made: the pod waits for its victims to be gone. */
  const preempt = async (
    item: QueuedPod,
    pod: Pod,
    failures: ReadonlyMap<number, FilterOutcome>,
    filters: readonly FilterPlugin[],
    nominated: string | undefined,
  ): Promise<boolean> => {
    if (pod.spec?.preemptionPolicy === "Never") return false;
    const waitingFor = nominated === undefined ? undefined : table.idOf(nominated);
    const still = (other: Pod) => other.metadata.deletionTimestamp && priorityOf(other) < priorityOf(pod);
    if (waitingFor !== undefined && table.podsOn(waitingFor).some((other) => still(other.pod))) return true;
    const shown = podClassOf(pod, tenantOf(pod), labelsOf);
    const change = async (removed: ReadonlyMap<number, ReadonlySet<string>>) => {
      const delta = table.without(removed);
      for (const filter of new Set(filters)) await filter.sync(delta);
    };
    const found = await findVictims(pod, failures, budgets.list(), {
      podsOn: (node) => table.podsOn(node).filter(({ key }) => key !== item.key),
      async fitsWithout(removed) {
        const none = new Map([...removed.keys()].map((node) => [node, new Set<string>()]));
        try {
          await change(removed);
          return new Set((await filterNodes(shown, [...removed.keys()], filters)).feasible);
        } finally {
          await change(none);
        }
      },
    });
    if (!found) return false;
    const node = table.nameOf(found.node);
    const nominees = found.victims.filter(({ key }) => table.nominatedNode(key) !== undefined);
    for (const { key, pod: nominee } of nominees) {
      table.forget(key);
      await nominate(client, nominee, "");
    }
    table.nominate(item.key, pod, node);
    await evict(
      client,
      recorder,
      found.victims.filter((victim) => !nominees.includes(victim)),
      pod,
      node,
    );
    await nominate(client, pod, node);
    return true;
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
    await Promise.all([namespaces, budgets].map((informer) => informer.start(signal)));
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
    if (delta.nodes.length + delta.podChanges.length + delta.usage.length + delta.removed.length > 0) {
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
