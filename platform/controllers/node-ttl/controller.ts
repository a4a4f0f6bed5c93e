/**
 * Tells each node, by the size of the cluster, how long its agent may go on with secrets and config maps it has read (upstream:
 * pkg/controller/ttl). Sizes overlap, so that a cluster at a border does not annotate its nodes again and again.
 */
import type { Node } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { NODES } from "../resources.ts";

export const TTL_ANNOTATION = "node.alpha.kubernetes.io/ttl";
const WORKERS = 2;
const STEPS = [
  { from: 0, to: 100, seconds: 0 },
  { from: 90, to: 500, seconds: 15 },
  { from: 450, to: 1000, seconds: 30 },
  { from: 900, to: 2000, seconds: 60 },
  { from: 1800, to: Number.POSITIVE_INFINITY, seconds: 300 },
];

/** The step for a cluster's size: the present one while it fits. */
export function stepOf(nodes: number, present: number): number {
  const { from, to } = STEPS[present] ?? { from: 0, to: -1 };
  if (nodes >= from && nodes <= to) return present;
  return STEPS.findIndex((step) => nodes >= step.from && nodes <= step.to);
}

export const nodeTTLController: Controller = {
  name: "node-ttl",
  async start(context) {
    const queue = createWorkQueue();
    const nodes = context.informers.nodes();
    let step = 0;
    const add = (node: Node) => queue.add(keyOf(node));
    nodes.on({ added: add, updated: (node, old) => (ttlOf(node) === ttlOf(old) ? undefined : add(node)) });
    if (!(await synced(context.signal, nodes))) return;
    await runController({
      name: "node-ttl",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        step = stepOf(nodes.size(), step);
        const node = nodes.get(key);
        const ttl = String(STEPS[step]?.seconds ?? 0);
        if (!node || ttlOf(node) === ttl) return;
        const body = { metadata: { annotations: { [TTL_ANNOTATION]: ttl } } };
        try {
          await clientFor(context, node).patch(NODES, { name: node.metadata.name ?? "" }, { type: "merge", body });
        } catch (error) {
          if (!isReason(error, "NotFound")) throw error;
        }
      },
    });
  },
};

const ttlOf = (node: Node): string | undefined => node.metadata.annotations?.[TTL_ANNOTATION];
