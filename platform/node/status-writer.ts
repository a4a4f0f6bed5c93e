/** Writes one pod's status: what is already there is not written again, and times of transitions are counted from what was written last. */
import { timeText } from "#platform/base/clock.ts";
import type { Pod, PodCondition, PodStatus } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, JsonObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { type NodeContext, type NodePod, nodeAddresses } from "./context.ts";
import type { DeviceManager } from "./devices/manager.ts";
import type { Observer } from "./observe.ts";
import type { Prober } from "./probes.ts";
import type { Resizer } from "./resize.ts";
import { OWN_CONDITIONS, podStatus, type Verdict } from "./status.ts";
import { terminationMessage } from "./termination-message.ts";

export const PODS: GroupVersionResource = { group: "", version: "v1", resource: "pods" };

/** What the worker knows of its pod beside the runtime's observation. */
export interface PodView {
  pod: NodePod;
  observedGeneration: number | undefined;
  podIPs: string[];
  /** This sandbox has the pod's network. */
  networked(sandboxId: string): boolean;
  /** Containers that wait, by name, and for what. */
  waiting: ReadonlyMap<string, { reason: string; message?: string }>;
  /** Why the pod is over whatever its containers say. */
  verdict: Verdict | undefined;
}

export interface StatusWriter {
  /** When the node took the pod; undefined until the first status of it was written. */
  startTime(): string | undefined;
  /** Answers the status that the API now shows; undefined where nothing was written, or the pod is no more. */
  write(view: PodView, terminal: boolean): Promise<PodStatus | undefined>;
}

export function createStatusWriter(
  context: NodeContext,
  parts: { observer: Observer; prober: Prober; resizer: Resizer; devices: Pick<DeviceManager, "health"> },
  first: NodePod,
): StatusWriter {
  const { clock } = context;
  const { observer, prober, resizer } = parts;
  const { uid } = first.metadata;
  let startTime = first.status?.startTime;
  let written = "";
  let lastConditions: PodCondition[] = [];
  /** Of the pod as our last write left it. */
  let lastVersion: string | undefined;

  /** The informer may still show what was before our last write. */
  const latest = (pod: NodePod): NodePod => {
    const others = (pod.status?.conditions ?? []).filter(
      (one) => !lastConditions.some(({ type }) => type === one.type),
    );
    return lastConditions.length === 0
      ? pod
      : { ...pod, status: { ...pod.status, conditions: [...lastConditions, ...others] } };
  };

  /** Somebody has written our conditions since, as the node's controller does while it takes the node for dead. */
  const overruled = ({ metadata: { resourceVersion }, status: shown }: NodePod): boolean =>
    resourceVersion !== undefined &&
    lastVersion !== undefined &&
    BigInt(resourceVersion) > BigInt(lastVersion) &&
    lastConditions.some(({ type, status: ours }) =>
      shown?.conditions?.some((one) => one.type === type && one.status !== ours),
    );

  const status = (view: PodView, terminal: boolean): PodStatus => {
    const seen = observer.get(uid);
    return podStatus({
      pod: latest(view.pod),
      generation: view.observedGeneration,
      resources: resizer.resources,
      resizing: resizer.conditions(),
      devices: (container) => parts.devices.health(uid, container),
      seen,
      nodeAddresses: nodeAddresses(context.settings),
      podIPs: view.podIPs,
      sandboxReady: seen.sandboxes.some((one) => one.state === "SANDBOX_READY" && view.networked(one.id)),
      waiting: view.waiting,
      ready: (container, id) => container.readinessProbe === undefined || prober.readiness(id) === true,
      started: (container, id) => container.startupProbe === undefined || prober.startup(id) === true,
      terminationMessage: (container) => terminationMessage(context, view.pod, container),
      now: clock.now(),
      startTime: startTime ?? timeText(clock.now()),
      terminal,
      verdict: view.verdict,
    });
  };

  return {
    startTime: () => startTime,
    async write(view, terminal) {
      startTime ??= timeText(clock.now());
      const next = status(view, terminal);
      const known = context.apiUid(view.pod);
      if (known === undefined) return undefined;
      // A mirror pod that was made again has no status yet.
      const text = JSON.stringify([known, next]);
      if (text === written && !overruled(view.pod)) return undefined;
      const { pod } = view;
      const body: JsonObject = { metadata: { uid: known }, status: cleared(pod.status, next) };
      const name = { namespace: pod.metadata.namespace, name: pod.metadata.name };
      try {
        const client = context.client.tenant(tenantOf(pod));
        const answer = await client.patch<Pod>(PODS, name, { type: "merge", body }, { subresource: "status" });
        written = text;
        lastVersion = answer.metadata.resourceVersion;
        lastConditions = (next.conditions ?? []).filter((one) => OWN_CONDITIONS.has(one.type));
        return answer.status;
      } catch (error) {
        if (!(error instanceof StatusError) || (error.code !== 404 && error.code !== 409)) throw error;
        // Deleted or replaced meanwhile: the informer tells.
        return undefined;
      }
    },
  };
}

/** A merge patch keeps what it does not name: what is no more is named null. */
function cleared(before: PodStatus | undefined, next: PodStatus): JsonObject {
  const own = ["reason", "message", "podIP", "podIPs", "initContainerStatuses", "containerStatuses"] as const;
  const patch: JsonObject = JSON.parse(JSON.stringify(next));
  for (const field of own) if (before?.[field] !== undefined && next[field] === undefined) patch[field] = null;
  return patch;
}
