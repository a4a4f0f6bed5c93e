/** Tells in the status of a PodGroup what was decided about its pods (upstream: the condition PodGroupScheduled). */
import { timeText } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { PodGroup } from "#sdk/api/generated/types.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";

export const POD_GROUPS = { group: "scheduling.k8s.io", version: "v1alpha2", resource: "podgroups" };
const TYPE = "PodGroupScheduled";

export type GroupDecision = "Scheduled" | "Unschedulable" | "SchedulerError";

/** Says it where it is not said already; a group that was scheduled stays so. What cannot be written is logged. */
export async function tellGroup(
  client: Client,
  log: Log,
  group: PodGroup,
  reason: GroupDecision,
  message: string,
): Promise<void> {
  const { namespace, name = "", uid, generation } = group.metadata;
  const before = group.status?.conditions?.find(({ type }) => type === TYPE);
  const status = reason === "Scheduled" ? "True" : "False";
  if (before?.status === "True" && status !== "True") return;
  if (before?.status === status && before.reason === reason && before.message === message) return;
  const lastTransitionTime = before?.status === status ? before.lastTransitionTime : timeText(Date.now());
  const condition = { type: TYPE, status, reason, message, lastTransitionTime };
  const conditions = [{ ...condition, ...(generation === undefined ? {} : { observedGeneration: generation }) }];
  try {
    await client
      .tenant(tenantOf(group))
      .patch(
        POD_GROUPS,
        namespace === undefined ? { name } : { namespace, name },
        { type: "strategic", body: { metadata: { uid }, status: { conditions } } },
        { subresource: "status" },
      );
  } catch (error) {
    log.debug("a group's condition was not written", { group: `${namespace}/${name}`, error: messageOf(error) });
  }
}
