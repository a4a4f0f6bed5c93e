/**
 * Notices nodes that have fallen silent, marks them and their pods, and taints nodes by their conditions (upstream:
 * pkg/controller/nodelifecycle). A node speaks by renewing its Lease or by posting its status; when it last did so is
 * measured on our own clock, so that clocks need not agree. Nodes belong to root, their pods to any tenant.
 */
import type { Lease, Node, Pod } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, clientFor, synced } from "../context.ts";
import { conditionOf, isReady, sameJson } from "../objects.ts";
import { NODES, PODS } from "../resources.ts";
import {
  GRACE_MS,
  isGivenUp,
  isMarked,
  readyStatus,
  STARTUP_GRACE_MS,
  sameTaints,
  taintsFor,
  unknownConditions,
} from "./reconcile.ts";
import { ratesOf, ZoneLimits, zoneOf } from "./zones.ts";

const WORKERS = 4;
/** Upstream's --node-monitor-period. */
const MONITOR_EVERY_MS = 5_000;
const LEASE_NAMESPACE = "kube-node-lease";

export const nodeLifecycleController: Controller = {
  name: "node-lifecycle",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 30_000 });
    const recorder = context.recorder("node-controller");
    const nodes = context.informers.nodes();
    const leases = context.informers.leases();
    const pods = context.informers.pods();
    /** When we last saw a sign of life, by performance.now(). */
    const heard = new Map<string, number>();
    const hear = (name: string | undefined) => void heard.set(name ?? "", performance.now());
    const heartbeat = (node: Node) => conditionOf(node.status?.conditions, "Ready")?.lastHeartbeatTime;

    nodes.on({
      added(node) {
        hear(node.metadata.name);
        queue.add(keyOf(node));
        recorder.event(
          node,
          "Normal",
          "RegisteredNode",
          `Node ${node.metadata.name} event: Registered Node ${node.metadata.name} in Controller`,
        );
      },
      updated(node, old) {
        if (heartbeat(node) !== heartbeat(old)) hear(node.metadata.name);
        queue.add(keyOf(node));
      },
      deleted(node) {
        heard.delete(node.metadata.name ?? "");
        recorder.event(
          node,
          "Normal",
          "RemovingNode",
          `Node ${node.metadata.name} event: Removing Node ${node.metadata.name} from Controller`,
        );
      },
    });
    const renewed = (lease: Lease) => {
      const { namespace, name } = lease.metadata;
      if (namespace === LEASE_NAMESPACE && tenantOf(lease) === "root") hear(name);
    };
    leases.on({ added: renewed, updated: renewed });
    // A pod that was bound to a lost node, or written as ready by its agent's last breath.
    const lookAtNodeOf = (pod: Pod) => (pod.spec?.nodeName ? queue.add(`root//${pod.spec.nodeName}`) : undefined);
    pods.on({
      added: lookAtNodeOf,
      updated: (pod, old) => (isReady(pod) && !isReady(old) ? lookAtNodeOf(pod) : undefined),
    });
    if (!(await synced(context.signal, nodes, leases, pods))) return;

    const anyReady = () => nodes.list().some(isReadyNode);
    let wasAnyReady = anyReady();
    const limits = new ZoneLimits();
    /** Of all zones, made anew at each look at the nodes: counting thousands for each of thousands would be squares. */
    let rates = ratesOf(nodes.list());
    const timer = setInterval(() => {
      const before = rates;
      const all = nodes.list();
      rates = ratesOf(all);
      limits.keep(new Set(rates.keys()));
      const isAnyReady = all.some(isReadyNode);
      const changed = isAnyReady !== wasAnyReady;
      wasAnyReady = isAnyReady;
      const now = performance.now();
      for (const node of all) {
        const isSilent = now - (heard.get(node.metadata.name ?? "") ?? 0) > GRACE_MS;
        const status = readyStatus(node);
        // What is known to be silent is looked at again only when its zone may be given up faster.
        const hasNews = before.get(zoneOf(node)) !== rates.get(zoneOf(node)) && status !== "True";
        if (changed || hasNews || (isSilent && !isMarked(node))) queue.add(keyOf(node));
      }
    }, MONITOR_EVERY_MS);
    context.signal.addEventListener("abort", () => clearInterval(timer), { once: true });

    await runController({
      name: "node-lifecycle",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const node = nodes.get(key);
        if (!node) return undefined;
        const name = node.metadata.name ?? "";
        const silentMs = performance.now() - (heard.get(name) ?? performance.now());
        const graceMs = conditionOf(node.status?.conditions, "Ready") ? GRACE_MS : STARTUP_GRACE_MS;
        const marked = silentMs > graceMs ? await markUnknown(context, node) : node;
        if (readyStatus(node) === "True" && readyStatus(marked) !== "True") {
          recorder.event(node, "Normal", "NodeNotReady", `Node ${name} status is now: NodeNotReady`);
        }
        const waitMs = mayEvict(marked, rates, limits);
        await taint(context, marked, waitMs === 0 && (isReadyNode(marked) || anyReady()));
        // Before the node has ever spoken its pods are not ready anyway.
        if (conditionOf(marked.status?.conditions, "Ready") && readyStatus(marked) !== "True") {
          for (const pod of pods.byIndex("node", name)) {
            if (await markNotReady(context, pod)) recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready");
          }
        }
        return waitMs ? { requeueAfterMs: waitMs } : undefined;
      },
    });
  },
};

const isReadyNode = (node: Node): boolean => readyStatus(node) === "True";

/** 0: its pods may be evicted, as they are where it was decided before; otherwise as ZoneLimits says. */
function mayEvict(node: Node, rates: ReadonlyMap<string, number>, limits: ZoneLimits): number | undefined {
  if (readyStatus(node) === "True" || isGivenUp(node)) return 0;
  return limits.take(zoneOf(node), rates.get(zoneOf(node)) ?? 0, performance.now());
}

async function markUnknown(context: ControllerContext, node: Node): Promise<Node> {
  const conditions = unknownConditions(node, Date.now());
  if (sameJson(conditions, node.status?.conditions)) return node;
  const status = { ...node.status, conditions };
  return clientFor(context, node).update(NODES, { ...node, status }, { subresource: "status" });
}

async function taint(context: ControllerContext, node: Node, evict: boolean): Promise<void> {
  const taints = taintsFor(node, evict, Date.now());
  if (sameTaints(taints, node.spec?.taints ?? [])) return;
  const { name = "", resourceVersion } = node.metadata;
  const body = { metadata: { resourceVersion }, spec: { taints: taints.map((t) => ({ ...t })) } };
  await clientFor(context, node).patch(NODES, { name }, { type: "merge", body });
}

/** True when the pod was ready until now. Services then leave it out. */
async function markNotReady(context: ControllerContext, pod: Pod): Promise<boolean> {
  const conditions = pod.status?.conditions ?? [];
  if (conditionOf(conditions, "Ready")?.status !== "True") return false;
  const now = `${new Date().toISOString().slice(0, 19)}Z`;
  const next = conditions.map((c) => (c.type === "Ready" ? { ...c, status: "False", lastTransitionTime: now } : c));
  try {
    await clientFor(context, pod).update(
      PODS,
      { ...pod, status: { ...pod.status, conditions: next } },
      { subresource: "status" },
    );
    return true;
  } catch (error) {
    if (isReason(error, "NotFound")) return false;
    throw error;
  }
}
