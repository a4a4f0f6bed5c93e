/** Evicts pods that don't tolerate their node's NoExecute taints, at once or after tolerationSeconds. */
import { timeText } from "#platform/base/clock.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { sameTaints } from "../node-lifecycle/reconcile.ts";
import { isTerminating, withCondition } from "../objects.ts";
import { PODS } from "../resources.ts";
import { evictionInMs } from "./reconcile.ts";

const WORKERS = 8;

export const taintEvictionController: Controller = {
  name: "taint-eviction",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 30_000 });
    const recorder = context.recorder("taint-eviction-controller");
    const nodes = context.informers.nodes();
    const pods = context.informers.pods();
    /** When a node was first seen with its present taints, for taints without a time. */
    const seen = new Map<string, number>();
    const enqueuePodsOf = (node: Node) => {
      seen.set(node.metadata.name ?? "", Date.now());
      for (const pod of pods.byIndex("node", node.metadata.name ?? "")) queue.add(keyOf(pod));
    };
    nodes.on({
      added: enqueuePodsOf,
      updated(node, old) {
        if (!sameTaints(node.spec?.taints ?? [], old.spec?.taints ?? [])) enqueuePodsOf(node);
      },
      deleted: (node) => void seen.delete(node.metadata.name ?? ""),
    });
    pods.on({
      added: (pod) => queue.add(keyOf(pod)),
      updated(pod, old) {
        const moved = pod.spec?.nodeName !== old.spec?.nodeName;
        const more = pod.spec?.tolerations?.length !== old.spec?.tolerations?.length;
        if (moved || more) queue.add(keyOf(pod));
      },
    });
    if (!(await synced(context.signal, nodes, pods))) return;

    await runController({
      name: "taint-eviction",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const pod = pods.get(key);
        const name = pod?.spec?.nodeName;
        if (!pod || !name || isTerminating(pod)) return;
        const now = Date.now();
        const inMs = evictionInMs(pod, nodes.get(`root//${name}`)?.spec?.taints ?? [], seen.get(name) ?? now, now);
        if (inMs === undefined) return;
        if (inMs > 0) return { requeueAfterMs: inMs };
        const { namespace, name: podName } = pod.metadata;
        recorder.event(pod, "Normal", "TaintManagerEviction", `Marking for deletion Pod ${namespace}/${podName}`);
        await evict(clientFor(context, pod), pod, {
          reason: "DeletionByTaintManager",
          message: "Taint manager: deleting due to NoExecute taint",
        });
      },
    });
  },
};

/** Says in the pod why it goes, and deletes it. */
export async function evict(client: Client, pod: Pod, why: { reason: string; message: string }): Promise<void> {
  const { namespace, name = "", uid } = pod.metadata;
  const conditions = withCondition(pod.status?.conditions, {
    type: "DisruptionTarget",
    status: "True",
    ...why,
    lastTransitionTime: timeText(Date.now()),
  });
  try {
    await client.update(PODS, { ...pod, status: { ...pod.status, conditions } }, { subresource: "status" });
    await client.delete(PODS, { namespace, name }, { preconditions: { uid } });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}
