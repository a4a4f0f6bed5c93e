/**
 * Binds pods to nodes. Several may run at once: each decides on what it has seen, and the API refuses what does not
 * hold any more (409); the loser looks again. What decides are plugins (framework.ts); without any, every node is feasible.
 */
import type { Log } from "#platform/base/log.ts";
import type { Namespace, Node, Pod, PodDisruptionBudget, PodGroup } from "#sdk/api/generated/types.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, type Informer, keyOf, tenantOf, withoutManagedFields } from "#sdk/client/port.ts";
import { createRecorder } from "#sdk/client/recorder.ts";
import { createAsker } from "./answers.ts";
import { type Configuration, parseConfiguration } from "./configuration.ts";
import { createCycle, SCHEDULER_NAME, schedulerOf } from "./cycle.ts";
import { createSearch } from "./decide.ts";
import { createDefaultSelectors } from "./default-selector.ts";
import { claimsAreMade } from "./devices/claims.ts";
import { createDevices } from "./devices/devices.ts";
import type { SchedulingPlugins } from "./framework.ts";
import { createGangs, isComplete } from "./gangs.ts";
import { POD_GROUPS, tellGroup } from "./group-status.ts";
import { createNodeTable, demandOf, factsOf } from "./node-table.ts";
import { createOffers, type Frameworks } from "./offers.ts";
import { createPermits, groupOf, noPermits, type PermitPlugins } from "./permits.ts";
import { createPreemptor } from "./preempt.ts";
import type { PlacedPod } from "./preemption.ts";
import { createSchedulingQueue, type QueueOptions } from "./queue.ts";
import { createTraces, exposition, type Trace } from "./traces.ts";
import { createVolumes } from "./volumes.ts";

const PODS = { group: "", version: "v1", resource: "pods" };
const NODES = { group: "", version: "v1", resource: "nodes" };
const NAMESPACES = { group: "", version: "v1", resource: "namespaces" };
const BUDGETS = { group: "policy", version: "v1", resource: "poddisruptionbudgets" };

export interface SchedulerOptions {
  client: Client;
  plugins: SchedulingPlugins;
  log: Log;
  signal: AbortSignal;
  /** Before the configuration's. */
  queue?: QueueOptions;
  /** Of `count` schedulers, this is the one with this index: pods of another's share are left to it for a while. */
  share?: Share;
  /** Left out: nobody is offered anything. */
  frameworks?: Frameworks;
  /** Left out: pods are bound as soon as they have a node. */
  permits?: PermitPlugins;
  /** Left out: one profile with every plugin. */
  configuration?: Configuration;
}

export interface Scheduler {
  /** Resolves when the first lists are in. */
  ready: Promise<void>;
  /** Resolves when the signal has aborted and the last binding is over. */
  done: Promise<void>;
  /** In Prometheus' text form. */
  metrics(): string;
  /** What was decided lately, of one pod ("tenant/namespace/name") or all. */
  traces(pod?: string): Trace[];
}

const groupsOfPod = (pod: Pod): string[] => {
  const name = pod.spec?.schedulingGroup?.podGroupName;
  return name ? [`${tenantOf(pod)}/${pod.metadata.namespace ?? ""}/${name}`] : [];
};

/** Of a pod that waits: whom it waits for. */
const schedulersOfPod = (pod: Pod): string[] => (waitsForNode(pod) ? [schedulerOf(pod)] : []);

const servesPodGroups = async (client: Client): Promise<boolean> => {
  const { code, body } = await client.raw("GET", "/apis/scheduling.k8s.io/v1alpha2");
  return code === 200 && body.includes('"podgroups"');
};

const isFinished = (pod: Pod) => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
const waitsForNode = (pod: Pod) =>
  !pod.spec?.nodeName && !pod.metadata.deletionTimestamp && !isFinished(pod) && !pod.spec?.schedulingGates?.length;

export interface Share {
  index: number;
  count: number;
}

/** A scheduler that is gone leaves its share to the others after so long. */
const TAKEOVER_MS = 30_000;
/** Changes come in bursts: room is offered after one. */
const OFFER_MS = 100;

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

const DEFAULT = parseConfiguration({
  apiVersion: "kubescheduler.config.k8s.io/v1",
  kind: "KubeSchedulerConfiguration",
});

export function startScheduler(options: SchedulerOptions): Scheduler {
  const { client, plugins, log, signal, configuration = DEFAULT } = options;
  const wildcard = client.tenant("*");
  const namespaces = createInformer<Namespace>(wildcard, NAMESPACES, { log });
  const budgets = createInformer<PodDisruptionBudget>(wildcard, BUDGETS, { log });
  const labelsOf = (tenant: string, name: string) => namespaces.get(`${tenant}//${name}`)?.metadata.labels ?? {};
  const volumes = createVolumes(client, log);
  const facts = (pod: Pod) => factsOf(pod, labelsOf, volumes.factsOf(pod));
  const table = createNodeTable(facts);
  const selectors = createDefaultSelectors(client, log);
  /** Of a pod that is to be placed. */
  const candidate = (pod: Pod) => {
    const defaultSelector = selectors.of(pod);
    return defaultSelector ? { ...facts(pod), defaultSelector } : facts(pod);
  };
  const queue = createSchedulingQueue({ ...configuration.queue, ...options.queue });
  const recorder = createRecorder({ client, component: SCHEDULER_NAME, log, perTenant: true });
  const pods = createInformer<Pod>(wildcard, PODS, {
    transform: withoutManagedFields,
    log,
    indexes: { group: groupsOfPod, scheduler: schedulersOfPod },
  });
  const nodes = createInformer<Node>(wildcard, NODES, { transform: withoutManagedFields, log });
  /** Undefined where the API does not serve them. */
  let groups: Informer<PodGroup> | undefined;
  const asker = createAsker(table);
  const gangs = createGangs((key) => groups?.get(key));
  const gangOf = (key: string) => gangs.of(key)?.name;
  const devices = createDevices({
    client,
    log,
    recorder,
    pod: (key) => pods.get(key),
    gang: (key) => gangs.of(key)?.key,
    gangRuns: (key) => (gangs.of(key)?.placed.size ?? 0) > 0,
    group: (pod) => groupsOfPod(pod).flatMap((key) => groups?.get(key) ?? [])[0],
  });
  const permits = createPermits(options.permits ?? noPermits, signal);
  const profiles = new Map(
    configuration.profiles.map(({ schedulerName, search, plugins: chosen }) => [
      schedulerName,
      { plugins: chosen(devices.with(plugins)), search: createSearch(table, asker, search) },
    ]),
  );
  const isWaiting = (pod: Pod) => waitsForNode(pod) && profiles.has(schedulerOf(pod)) && claimsAreMade(pod);
  const wholeOf = (one: PlacedPod): readonly PlacedPod[] => {
    const gang = gangs.of(one.key);
    // What goes as one counts by its own priority, whatever its pods say.
    const priority = gang?.goesWhole === "always" ? gang.priority : undefined;
    return gangs.wholeOf(one.key).flatMap((key) => {
      const pod = key === one.key ? one.pod : pods.get(key);
      if (!pod?.spec) return [];
      return [{ key, pod: priority === undefined ? pod : { ...pod, spec: { ...pod.spec, priority } } }];
    });
  };
  const preemptor = createPreemptor({ client, table, asker, recorder, budgets: budgets.list, wholeOf });
  const traces = createTraces();
  const cycle = createCycle({
    gangs,
    asker,
    traces,
    client,
    profiles,
    table,
    queue,
    preemptor,
    recorder,
    log,
    waiting(key) {
      const pod = pods.get(key);
      return pod && isWaiting(pod) ? pod : undefined;
    },
    facts: candidate,
    demand: (pod) => devices.without(pod, demandOf(pod)),
    tellGang(gang, reason, message) {
      const group = gang.ofGroup ? groups?.get(gang.key) : undefined;
      if (group) void tellGroup(client, log, group, reason, message);
    },
    reservations: {
      reserve: devices.reserve,
      permit: (key, pod, node) => permits.ask(key, groupOf(pod, gangOf(key)), () => ({ pod: facts(pod), node })),
      async prepare(key, pod, node) {
        await volumes.bind(pod, node);
        await devices.bind(key, pod, node);
      },
      bound: permits.done,
      async release(key, pod) {
        permits.giveUp(key);
        await devices.release(key, pod);
      },
      giveBack: devices.giveBack,
    },
  });

  const seePod = (pod: Pod) => {
    const key = keyOf(pod);
    if (isWaiting(pod)) {
      // Decided already, and this is the pod as it was before: its binding will be seen next.
      if (table.isPlaced(key)) return;
      const nominated = pod.status?.nominatedNodeName;
      if (nominated) table.nominate(key, pod, nominated);
      else table.forget(key);
      enqueue(key, pod);
      return;
    }
    queue.remove(key);
    if (pod.spec?.nodeName && !isFinished(pod)) {
      gangs.place(key, pod);
      const isNew = table.putPod(key, pod);
      if (isNew) queue.move("podPlaced");
    } else losePod(key);
  };
  const { index, count } = options.share ?? { index: 0, count: 1 };
  const delayOf = (of: string) => (hashOf(of) % count === index ? 0 : TAKEOVER_MS);
  /** A gang's pods are queued when enough are there. */
  const enqueue = (key: string, pod: Pod) => {
    const gang = gangs.wait(key, pod);
    // Devices are given out by one of the schedulers.
    if (!gang) return queue.put(key, pod, delayOf(devices.concerns(pod) ? "devices" : (pod.metadata.uid ?? key)));
    if (!isComplete(gang)) return;
    const members = [...gang.waiting].flatMap((member) => pods.get(member) ?? []);
    const share = members.some(devices.concerns) ? "devices" : gang.key;
    for (const member of members) {
      if (!table.isPlaced(keyOf(member))) queue.put(keyOf(member), member, delayOf(share));
    }
  };
  const losePod = (key: string) => {
    queue.remove(key);
    gangs.lose(key);
    permits.giveUp(key);
    if (!table.isPlaced(key) && table.nominatedNode(key) === undefined) return;
    table.removePod(key);
    queue.move("podGone");
  };
  pods.on({ added: seePod, updated: seePod, deleted: (pod) => losePod(keyOf(pod)) });
  const offered = { added: () => offerSoon(), updated: () => offerSoon(), deleted: () => offerSoon() };
  pods.on(offered);
  nodes.on(offered);
  options.frameworks?.onChange(() => offerSoon());
  const seeNode = (node: Node) => {
    const volumeLimits = volumes.limitsOf(node.metadata.name ?? "");
    table.putNode(volumeLimits ? Object.assign({}, node, { volumeLimits }) : node);
    queue.move("node");
  };
  nodes.on({
    added: seeNode,
    updated(node, old) {
      if (changesScheduling(node, old)) seeNode(node);
    },
    deleted: (node) => table.removeNode(node.metadata.name ?? ""),
  });
  namespaces.on({
    updated(namespace, old) {
      if (JSON.stringify(namespace.metadata.labels) === JSON.stringify(old.metadata.labels)) return;
      const [tenant, name] = [tenantOf(namespace), namespace.metadata.name];
      table.refresh((pod) => pod.tenant === tenant && pod.metadata.namespace === name);
      queue.move("other");
    },
  });
  volumes.on({
    volumes() {
      table.refresh((pod) => pod.claims !== undefined);
      queue.move("other");
    },
    limits(name) {
      const node = nodes.get(`root//${name}`);
      if (node) seeNode(node);
    },
  });
  devices.onChange((classes) => queue.move(classes ? "other" : "devices"));
  plugins.attach(table);
  plugins.onChange(() => queue.move("other"));

  const offers =
    options.frameworks &&
    createOffers({
      frameworks: options.frameworks,
      waiting: (name) => pods.byIndex("scheduler", name).filter((pod) => !table.isPlaced(keyOf(pod))),
      rooms: table.free,
      async place(pod, node) {
        const id = table.idOf(node);
        return id === undefined ? "the node is gone" : await cycle.placeOn(pod, keyOf(pod), id);
      },
      log,
    });
  /** One thing at a time asks the plugins: a decision, or a round of offers. */
  let turn: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    turn = turn.then(work);
    return turn;
  };
  let offering = false;
  const offerSoon = () => {
    if (!offers || offering || signal.aborted || options.frameworks?.list().length === 0) return;
    offering = true;
    setTimeout(() => {
      offering = false;
      if (!signal.aborted) void inTurn(() => offers.round());
    }, OFFER_MS).unref();
  };

  /** Pods may have come before their group. */
  const seeGroup = (group: PodGroup) => {
    for (const pod of pods.byIndex("group", keyOf(group))) if (isWaiting(pod)) enqueue(keyOf(pod), pod);
  };

  const run = async () => {
    await Promise.all([
      volumes.start(signal),
      devices.start(signal),
      selectors.start(signal),
      ...[namespaces, budgets].map((informer) => informer.start(signal)),
    ]);
    if (await servesPodGroups(client)) {
      groups = createInformer<PodGroup>(wildcard, POD_GROUPS, { log });
      await groups.start(signal);
      groups.on({ added: seeGroup, updated: seeGroup });
    }
    await Promise.all([pods.start(signal), nodes.start(signal)]);
    ready.resolve();
    signal.addEventListener("abort", () => queue.close(), { once: true });
    if (signal.aborted) queue.close();
    for (;;) {
      const item = await queue.take();
      if (!item) break;
      await inTurn(() => cycle.schedule(item));
    }
    await cycle.settled();
  };
  const ready = Promise.withResolvers<void>();
  const searches = new Map([...profiles].map(([name, { search }]) => [name, search]));
  return {
    ready: ready.promise,
    done: run(),
    metrics: () => exposition({ attempts: cycle.attempts, queue, asker, plugins, searches }),
    traces: traces.list,
  };
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
