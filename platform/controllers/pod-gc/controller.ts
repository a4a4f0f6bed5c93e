/** Removes pods that no node will remove: of nodes that are gone, and ending before they had one (upstream: pkg/controller/podgc). */
import { timeText } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { pause } from "#sdk/client/log.ts";
import { type Controller, type ControllerContext, clientFor, synced } from "../context.ts";
import { isFinished, isTerminating, withCondition } from "../objects.ts";
import { NODES, PODS } from "../resources.ts";

const EVERY_MS = 20_000;
/** A node that has just been deleted may be coming back under its name. */
const QUARANTINE_MS = 40_000;
/** Finished pods beyond so many go, the oldest first. */
const FINISHED_MAX = 12_500;

export const podGarbageCollector: Controller = {
  name: "pod-gc",
  async start(context) {
    const nodes = context.informers.nodes();
    const pods = context.informers.pods();
    /** Names of nodes that pods name and nobody has, since when. */
    const missing = new Map<string, number>();
    if (!(await synced(context.signal, nodes, pods))) return;

    while (!context.signal.aborted) {
      const all = pods.list();
      const named = new Set(all.flatMap((pod) => pod.spec?.nodeName ?? []));
      for (const name of missing.keys()) if (!named.has(name) || nodes.get(`root//${name}`)) missing.delete(name);
      for (const name of named) {
        if (!nodes.get(`root//${name}`) && !missing.has(name)) missing.set(name, performance.now());
      }
      try {
        await collectPods(context, all, await goneNodes(context, missing));
      } catch (error) {
        context.log.warn("pods were not collected", { controller: "pod-gc", error: messageOf(error) });
      }
      await pause(EVERY_MS, context.signal);
    }
  },
};

/** Those that have been missing for long enough and that the API doesn't have either. */
async function goneNodes(context: ControllerContext, missing: Map<string, number>): Promise<Set<string>> {
  const gone = new Set<string>();
  for (const [name, since] of missing) {
    if (performance.now() - since < QUARANTINE_MS) continue;
    try {
      await context.client.get(NODES, { name });
    } catch (error) {
      if (isReason(error, "NotFound")) gone.add(name);
    }
  }
  return gone;
}

async function collectPods(context: ControllerContext, all: readonly Pod[], gone: Set<string>): Promise<void> {
  for (const pod of all) {
    const node = pod.spec?.nodeName;
    if (node && gone.has(node)) await removeOrphan(context, pod);
    else if (!node && isTerminating(pod)) await remove(context, pod);
  }
  const finished = all.filter((pod) => isFinished(pod) && !isTerminating(pod));
  const age = (pod: Pod) => Date.parse(pod.metadata.creationTimestamp ?? "") || 0;
  const surplus = finished.toSorted((a, b) => age(a) - age(b)).slice(0, Math.max(0, finished.length - FINISHED_MAX));
  for (const pod of surplus) await remove(context, pod);
}

async function removeOrphan(context: ControllerContext, pod: Pod): Promise<void> {
  const conditions = withCondition(pod.status?.conditions, {
    type: "DisruptionTarget",
    status: "True",
    reason: "DeletionByPodGC",
    message: "PodGC: node no longer exists",
    lastTransitionTime: timeText(Date.now()),
  });
  const status = { ...pod.status, conditions, phase: isFinished(pod) ? pod.status?.phase : "Failed" };
  try {
    await clientFor(context, pod).update(PODS, { ...pod, status }, { subresource: "status" });
  } catch (error) {
    if (isReason(error, "NotFound")) return;
    if (!isReason(error, "Conflict")) throw error;
  }
  await remove(context, pod);
}

async function remove(context: ControllerContext, pod: Pod): Promise<void> {
  const { namespace, name = "", uid } = pod.metadata;
  try {
    await clientFor(context, pod).delete(PODS, { namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid } });
  } catch (error) {
    if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) throw error;
  }
}
