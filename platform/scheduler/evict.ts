/** Makes room on a node: victims are told, and deleted; the pod they go for is nominated. */
import { timeText } from "#platform/base/clock.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import type { PlacedPod } from "./preemption.ts";

const PODS = { group: "", version: "v1", resource: "pods" };

/** Says on the pod which node is being cleared for it; an empty name takes it back. */
export async function nominate(client: Client, pod: Pod, node: string): Promise<void> {
  if ((pod.status?.nominatedNodeName ?? "") === node) return;
  const { namespace, name = "", uid } = pod.metadata;
  const body = { metadata: { uid }, status: { nominatedNodeName: node === "" ? null : node } };
  await client
    .tenant(tenantOf(pod))
    .patch(PODS, { namespace, name }, { type: "merge", body }, { subresource: "status" });
}

export async function evict(
  client: Client,
  recorder: Recorder,
  victims: readonly PlacedPod[],
  preemptor: Pod,
  node: string,
): Promise<void> {
  await Promise.all(victims.map(({ pod }) => evictOne(client, recorder, pod, preemptor, node)));
}

async function evictOne(client: Client, recorder: Recorder, victim: Pod, preemptor: Pod, node: string): Promise<void> {
  if (victim.metadata.deletionTimestamp) return;
  const api = client.tenant(tenantOf(victim));
  const { namespace, name = "", uid } = victim.metadata;
  const condition = {
    type: "DisruptionTarget",
    status: "True",
    reason: "PreemptionByScheduler",
    message: `${preemptor.spec?.schedulerName ?? "default-scheduler"}: preempting to accommodate a higher priority pod`,
    lastTransitionTime: timeText(Date.now()),
  };
  try {
    const body = { metadata: { uid }, status: { conditions: [condition] } };
    await api.patch(PODS, { namespace, name }, { type: "strategic", body }, { subresource: "status" });
    await api.delete(PODS, { namespace, name }, { preconditions: { uid } });
    const by = `Preempted by pod ${preemptor.metadata.uid} on node ${node}`;
    recorder.event(victim, "Normal", "Preempted", by);
  } catch (error) {
    if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) throw error;
  }
}
