/** Deletes pods that have drained. They count as leaving from the moment they are marked: their owner has let go of them. */

import type { Pod } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { DRAINING_UNTIL, isDraining, isTerminating } from "../objects.ts";
import { PODS } from "../resources.ts";
import { drainedInMs, drainMs } from "./reconcile.ts";

const WORKERS = 4;

export const drainController: Controller = {
  name: "drain",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 30_000 });
    const pods = context.informers.pods();
    const look = (pod: Pod) => {
      if (isDraining(pod) && !isTerminating(pod)) queue.add(keyOf(pod));
    };
    pods.on({ added: look, updated: look });
    if (!(await synced(context.signal, pods))) return;
    await runController({
      name: "drain",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const pod = pods.get(key);
        if (!pod || !isDraining(pod) || isTerminating(pod)) return;
        const inMs = drainedInMs(pod, Date.now());
        if (inMs > 0) return { requeueAfterMs: inMs };
        const { namespace, name = "", uid } = pod.metadata;
        try {
          await clientFor(context, pod).delete(PODS, { namespace, name }, { preconditions: { uid } });
        } catch (error) {
          if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) throw error;
        }
      },
    });
  },
};

/** Deletes a pod, or lets it drain first where its owner asks for it. */
export async function dismiss(client: Client, owner: KubeObject, pod: Pod): Promise<void> {
  const { namespace, name = "", uid, resourceVersion } = pod.metadata;
  const ms = drainMs(owner, pod);
  if (ms === 0) return client.delete(PODS, { namespace, name }, { preconditions: { uid } });
  const until = new Date(Date.now() + ms).toISOString();
  const body = { metadata: { resourceVersion, annotations: { [DRAINING_UNTIL]: until } } };
  await client.patch(PODS, { namespace, name }, { type: "merge", body });
}
