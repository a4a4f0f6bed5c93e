/**
 * The node agent: the kubelet's part of a node. It registers the node, watches its pods in every tenant, gives each a worker,
 * and sees to what belongs to nobody. A restart adopts what runs: everything is keyed by the pods' uids in the runtime's labels.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Clock, delay, timeText } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Node, NodeStatus, Pod, Service } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";
import { admit } from "./admit.ts";
import type { ClaimDrivers } from "./claims/drivers.ts";
import { editsOf } from "./claims/edits.ts";
import { createClaims, NO_CLAIMS } from "./claims/manager.ts";
import { createContainers } from "./containers.ts";
import { isNodePod, type NodeContext, type NodePod, type NodeSettings } from "./context.ts";
import { createClaimWatches } from "./csi/claim-watches.ts";
import { createVolumeDrivers } from "./csi/drivers.ts";
import { watchRegistrations } from "./csi/registration.ts";
import { createCsiVolumes } from "./csi/volumes.ts";
import { createDevices, NO_DEVICES } from "./devices/manager.ts";
import { collectDead, orphanPod, removeLeftovers, rotateLogs } from "./housekeeping.ts";
import { createImageCollection } from "./image-collection.ts";
import { createContext } from "./node-context.ts";
import { NODES, nodeStatus, registerNode, renewLease, saysAlready, writeNodeStatus } from "./node-object.ts";
import { createObserver, type Observer } from "./observe.ts";
import type { DeviceSources, Network, Runtime, VolumeCalls } from "./ports.ts";
import { createEviction } from "./pressure/eviction.ts";
import { createProber } from "./probes.ts";
import { createReferences } from "./references.ts";
import { createLitterSweep } from "./runtime-litter.ts";
import { configurationOf } from "./serving/configuration.ts";
import { endPods, REFUSAL, SHUTTING_DOWN } from "./shutdown.ts";
import { createStaticPods, isMirror, isStatic } from "./static-pods.ts";
import { createStatistics, type Statistics } from "./stats/summary.ts";
import type { Usage } from "./stats/usage.ts";
import type { Verdict } from "./status.ts";
import { PODS } from "./status-writer.ts";
import { createVolumes } from "./volumes/manager.ts";
import { createWorker, type PodWorker } from "./worker.ts";

const SERVICES: GroupVersionResource = { group: "", version: "v1", resource: "services" };

const RELIST_MS = 1_000;
const LEASE_MS = 10_000;
const STATUS_CHECK_MS = 10_000;
/** An unchanged status is written again after this long. */
const STATUS_WRITE_MS = 300_000;
const HOUSEKEEPING_MS = 10_000;
const RETRY_MS = 2_000;
const STATISTICS_MS = 10_000;
const STATIC_MS = 3_000;
const PRESSURE_MS = 10_000;
const IMAGES_MS = 300_000;

export interface AgentOptions {
  settings: NodeSettings;
  client: Client;
  runtime: Runtime;
  network: Network;
  /** Left out: the node takes no volume drivers. */
  volumeCalls?: VolumeCalls;
  /** Left out: the node takes no device plugins. */
  deviceSources?: DeviceSources;
  /** Left out: the node takes no drivers of claims. */
  claimDrivers?: ClaimDrivers;
  /** Left out: a pod's address is one that this process can dial. */
  reach?(address: string): string;
  /** Usage of what has no cgroup, by the last part of the path that it would have. */
  usage?(name: string, now: number): Usage | undefined;
  log: Log;
  clock?: Clock;
}

export interface Agent {
  context: NodeContext;
  observer: Observer;
  statistics: Statistics;
  /** KubeletConfiguration (kubelet.config.k8s.io/v1beta1), as far as it is the agent's: what it really works with. */
  configuration: object;
  /** The pods of this node, those that are ending included. */
  pods(): NodePod[];
  /** Registered, and the first list of pods is in. */
  ready: Promise<void>;
  /** The machine is about to go: no more pods, and those that run end in order. Resolves when they have, or the time is over. */
  shutDown(): Promise<void>;
  /** Leaves every container running. */
  stop(): Promise<void>;
}

export function startAgent(options: AgentOptions): Agent {
  const { settings, client, log } = options;
  const ending = new AbortController();
  const { signal } = ending;
  mkdirSync(settings.directory, { recursive: true });
  const wildcard = client.tenant("*");
  const services = createInformer<Service>(wildcard, SERVICES, {
    log,
    indexes: { namespace: (service) => [`${tenantOf(service)}/${service.metadata.namespace}`] },
  });
  const context = createContext(options, {
    services: (tenant, namespace) => services.byIndex("namespace", `${tenant}/${namespace}`),
    apiUid: (pod) => (isStatic(pod) ? statics.mirrorUid(pod.metadata.uid) : pod.metadata.uid),
  });
  const references = createReferences(client, () => context.clock.now());
  const drivers = options.volumeCalls && createVolumeDrivers(context, options.volumeCalls);
  const claimWatches = createClaimWatches(context, signal, (uid) => workers.get(uid)?.wake());
  const volumes = createVolumes(context, references, drivers && createCsiVolumes(context, drivers), claimWatches);
  const devices = options.deviceSources
    ? createDevices(context, options.deviceSources, {
        active: () => (pods.synced() ? activePods() : undefined),
        changed: () => void keepStatus().catch(() => undefined),
        wake: (uid) => workers.get(uid)?.wake(),
        claims: (pod, container) => claims.of(pod, container),
      })
    : NO_DEVICES;
  const claims = options.claimDrivers
    ? createClaims(context, options.claimDrivers, {
        active: () => (pods.synced() ? present() : undefined),
        wake: (uid) => workers.get(uid)?.wake(),
      })
    : NO_CLAIMS;
  const prober = createProber(context);
  const workers = new Map<string, PodWorker>();
  const observer = createObserver(context.runtime, context.clock.now, (uid) => workers.get(uid)?.wake());
  let status: NodeStatus | undefined;
  const all = () => [...workers.values()].map((worker) => worker.pod());
  const activePods = () =>
    [...workers.values()]
      .filter((one) => one.state() === "running" || one.state() === "terminating")
      .map((one) => one.pod());
  const present = () => new Set([...activePods().map(({ metadata }) => metadata.uid), ...observer.uids()]);
  const healthOf = (uid: string, name: string) => {
    const pod = workers.get(uid)?.pod();
    const container = pod?.spec.containers.find((one) => one.name === name);
    return [...devices.health(uid, name), ...(pod && container ? claims.health(pod, container) : [])];
  };
  const reference = nodeReference(settings.name);
  const images = createImageCollection({ context, node: reference });
  let shuttingDown = false;
  const enders = {
    pods: () => all().filter((pod) => workers.get(pod.metadata.uid)?.state() === "running"),
    evict: (pod: NodePod, why: Verdict) => workers.get(pod.metadata.uid)?.evict(why) === true,
  };
  const eviction = createEviction({
    context,
    observer,
    node: reference,
    ...enders,
    reclaim: images.removeUnused,
  });
  const parts = {
    context,
    observer,
    containers: createContainers(context, references, editsOf(devices, claims)),
    volumes,
    devices: { health: healthOf },
    claims,
    prober,
    admit: async (pod: NodePod) => {
      if (shuttingDown) return REFUSAL;
      const pressure = eviction.refuses(pod);
      if (pressure !== undefined) return { reason: "Evicted", message: pressure };
      return admit(pod, status, [...workers.values()]) ?? (await devices.admit(pod));
    },
    admitResize: (pod: NodePod) => {
      const alone = admit(pod, status, []);
      const refusal = alone ?? admit(pod, status, [...workers.values()]);
      return refusal && { forEver: alone !== undefined, message: refusal.message };
    },
    gone: (uid: string) => void workers.delete(uid),
  };
  const pods = createInformer<Pod>(wildcard, PODS, { log, fieldSelector: `spec.nodeName=${settings.name}` });

  const take = (pod: NodePod) => {
    const worker = workers.get(pod.metadata.uid) ?? createWorker(parts, pod);
    workers.set(pod.metadata.uid, worker);
    worker.update(pod);
  };
  const statics = createStaticPods({
    context,
    node: () => node,
    run: take,
    end(pod) {
      const { uid } = pod.metadata;
      const worker = workers.get(uid);
      worker?.update(worker.state() === "stopped" ? undefined : endingPod(pod, context.clock.now()));
      return !workers.has(uid);
    },
  });
  pods.on({
    added: (pod) => (isMirror(pod) ? statics.mirrored(pod) : void (isNodePod(pod) && take(pod))),
    updated(pod, old) {
      if (isMirror(pod)) return statics.mirrored(pod);
      if (old.metadata.uid !== pod.metadata.uid) workers.get(old.metadata.uid ?? "")?.update(undefined);
      if (isNodePod(pod)) take(pod);
    },
    deleted: (pod) =>
      isMirror(pod) ? statics.unmirrored(pod) : void workers.get(pod.metadata.uid ?? "")?.update(undefined),
  });

  const sweepLitter = createLitterSweep(context, observer);
  const orphans = async () => {
    if (!pods.synced()) return;
    for (const uid of observer.uids()) {
      if (uid === "" || workers.has(uid)) continue;
      const pod = orphanPod(uid, observer.get(uid));
      if (pod === undefined) continue;
      log.info("taking down a pod that the API no longer has", { tenant: tenantOf(pod), pod: pod.metadata.name, uid });
      const worker = createWorker(parts, pod);
      workers.set(uid, worker);
      worker.update(undefined);
    }
    await collectDead(context, observer, log);
    await rotateLogs(context, observer, all());
    const present = new Set(observer.uids());
    await removeLeftovers(context, volumes, (uid) => workers.has(uid) || present.has(uid));
    await sweepLitter();
  };

  const statistics = createStatistics({ context, observer, pods: all });

  let node: Node | undefined;
  let problem: string | undefined;
  let writtenAt = 0;
  const heartbeat = async () => {
    if (node !== undefined) await renewLease(client, node, context.clock, log);
  };
  const keepStatus = async () => {
    const facts = await factsOf(context, (why) => {
      problem = why;
    });
    // Somebody may have taken our silence for death: what the API says counts, not what we said last.
    if (node) node = await client.get<Node>(NODES, { name: settings.name });
    status = await nodeStatus(
      settings,
      {
        ...facts,
        problem: shuttingDown ? SHUTTING_DOWN : problem,
        pressures: eviction.pressures(),
        volumesInUse: volumes.inUse(),
        devices: devices.counts(),
      },
      node?.status ?? status,
      context.clock.now(),
    );
    node ??= await registerNode(client, settings, status);
    if (saysAlready(node.status, status) && context.clock.now() - writtenAt < STATUS_WRITE_MS) return;
    node = await writeNodeStatus(client, settings.name, status);
    writtenAt = context.clock.now();
  };

  /** A condition that begins or ends is told at once: the scheduler is to know. */
  const checkPressure = async () => {
    const before = [...eviction.pressures()].join();
    await eviction.check();
    if ([...eviction.pressures()].join() !== before) await keepStatus();
  };

  const every = async (ms: number, what: string, action: () => Promise<void>) => {
    while (!signal.aborted) {
      await action().catch((error: unknown) =>
        log.warn(`${what} failed and is tried again`, { error: messageOf(error) }),
      );
      await delay(ms, signal);
    }
  };

  const registrations = () => {
    const kinds = new Map([
      ["CSIPlugin", drivers?.registrations],
      ["DevicePlugin", devices.registrations],
      ["DRAPlugin", claims.registrations],
    ]);
    return watchRegistrations({
      directory: join(settings.directory, "plugins_registry"),
      log,
      signal,
      async added(plugin) {
        const kind = kinds.get(plugin.type);
        if (kind === undefined) throw new Error(`plugins of type ${plugin.type} are not taken here`);
        await kind.added(plugin);
      },
      removed: (plugin) => kinds.get(plugin.type)?.removed(plugin),
    });
  };

  const begin = async () => {
    for (let done = false; !done && !signal.aborted; ) {
      try {
        await keepStatus();
        await observer.refresh();
        done = true;
      } catch (error) {
        log.warn("the node is not registered yet", { node: settings.name, error: messageOf(error) });
        await delay(RETRY_MS, signal);
      }
    }
    context.recorder.event(reference, "Normal", "Starting", "Starting kubelet.");
    loops.push(every(LEASE_MS, "the node's heartbeat", heartbeat));
    loops.push(every(STATUS_CHECK_MS, "the node's status", keepStatus));
    await services.start(signal);
    await pods.start(signal);
    loops.push(every(STATIC_MS, "reading static pods", statics.sync));
    if (drivers) loops.push(drivers.start(signal));
    loops.push(devices.start(signal), claims.start(signal));
    if (!settings.componentsOnly) loops.push(registrations());
    loops.push(every(RELIST_MS, "looking what has ended", observer.poll));
    loops.push(every(STATISTICS_MS, "reading what is used", async () => statistics.tick()));
    loops.push(every(PRESSURE_MS, "looking what is left", checkPressure));
    loops.push(every(IMAGES_MS, "removing unused images", images.collect));
    loops.push(every(HOUSEKEEPING_MS, "housekeeping", orphans));
  };
  const loops: Promise<void>[] = [];
  const ready = begin();
  return {
    context,
    observer,
    statistics,
    configuration: configurationOf(settings),
    pods: all,
    ready,
    async shutDown() {
      if (shuttingDown) return;
      shuttingDown = true;
      log.info("the machine is shutting down: pods are ended", { node: settings.name });
      await keepStatus().catch((error: unknown) =>
        log.warn("the node could not say that it goes", { error: messageOf(error) }),
      );
      await endPods(enders);
    },
    async stop() {
      ending.abort();
      await Promise.all([...workers.values()].map((worker) => worker.stop()));
      await Promise.all(loops);
      await context.recorder.flush();
    },
  };
}

/** As if somebody had deleted it in the API. */
const endingPod = (pod: NodePod, now: number): NodePod => ({
  ...pod,
  metadata: {
    ...pod.metadata,
    deletionTimestamp: timeText(now),
    deletionGracePeriodSeconds: pod.spec.terminationGracePeriodSeconds ?? 30,
  },
});

/** Events about the node carry its name as its uid, as the kubelet's do. */
const nodeReference = (name: string): KubeObject => ({ apiVersion: "v1", kind: "Node", metadata: { name, uid: name } });

async function factsOf(context: NodeContext, say: (problem: string | undefined) => void) {
  const { runtime, machine } = context;
  const shared = { cpus: machine.cpuMilli / 1000, memoryBytes: machine.memoryBytes };
  try {
    const [version, conditions, images] = await Promise.all([
      runtime.version(),
      runtime.status(),
      runtime.listImages(),
    ]);
    const broken = conditions.find((one) => one.type === "RuntimeReady" && one.status !== true);
    say(
      broken === undefined
        ? undefined
        : `container runtime is not ready: ${broken.reason ?? ""} ${broken.message ?? ""}`.trim(),
    );
    return { ...shared, runtime: version, images };
  } catch (error) {
    say(`container runtime is down: ${messageOf(error)}`);
    return {
      ...shared,
      runtime: { runtimeName: "containerd", runtimeVersion: "Unknown", runtimeApiVersion: "" },
      images: [],
    };
  }
}
