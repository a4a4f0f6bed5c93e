/** A pod's row: the one word that sums up its containers' states, as upstream finds it. */
import type { ContainerState, ContainerStatus, Pod } from "#sdk/api/generated/types.ts";
import { NONE, since } from "./format.ts";
import { AGE, NAME, nameOf, printer, type RowCondition, text, wide } from "./printer.ts";

interface Summary {
  ready: number;
  total: number;
  reason: string;
  restarts: number;
  /** When the last restarted container had ended; "" for never. */
  lastRestart: string;
}

type Terminated = NonNullable<ContainerState["terminated"]>;

const later = (a: string, b: string | undefined | null): string =>
  b && (a === "" || Date.parse(b) > Date.parse(a)) ? b : a;
const endOfLast = (status: ContainerStatus): string | undefined => status.lastState?.terminated?.finishedAt;

const terminatedReason = (state: Terminated): string =>
  state.reason || (state.signal ? `Signal:${state.signal}` : `ExitCode:${state.exitCode}`);

const isTrue = (pod: Pod, type: string): boolean =>
  pod.status?.conditions?.find((condition) => condition.type === type)?.status === "True";

/** Why initialization is not over at this container; undefined when this container does not hold it up. */
function initReason(status: ContainerStatus, restartable: boolean, progress: string): string | undefined {
  const { terminated, waiting } = status.state ?? {};
  if (terminated?.exitCode === 0) return undefined;
  if (restartable && status.started) return undefined;
  if (terminated) return `Init:${terminatedReason(terminated)}`;
  if (waiting?.reason && waiting.reason !== "PodInitializing") return `Init:${waiting.reason}`;
  return `Init:${progress}`;
}

function initContainers(pod: Pod, summary: Summary): { initializing: boolean; restarts: number; lastRestart: string } {
  const specs = new Map((pod.spec?.initContainers ?? []).map((c) => [c.name, c.restartPolicy === "Always"]));
  summary.total += [...specs.values()].filter((restartable) => restartable).length;
  const sidecars = { restarts: 0, lastRestart: "" };
  for (const [i, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const restartable = specs.get(status.name) ?? false;
    summary.restarts += status.restartCount;
    summary.lastRestart = later(summary.lastRestart, endOfLast(status));
    if (restartable) {
      sidecars.restarts += status.restartCount;
      sidecars.lastRestart = later(sidecars.lastRestart, endOfLast(status));
    }
    const reason = initReason(status, restartable, `${i}/${specs.size}`);
    if (reason !== undefined) {
      summary.reason = reason;
      return { initializing: true, ...sidecars };
    }
    const exited = status.state?.terminated?.exitCode === 0;
    if (!exited && restartable && status.ready) summary.ready += 1;
  }
  return { initializing: false, ...sidecars };
}

/** From the last container to the first, so that the first one's trouble is what is told. */
function appContainers(pod: Pod, summary: Summary): void {
  let running = false;
  let failed = "";
  for (const status of (pod.status?.containerStatuses ?? []).toReversed()) {
    summary.restarts += status.restartCount;
    summary.lastRestart = later(summary.lastRestart, endOfLast(status));
    const { waiting, terminated } = status.state ?? {};
    if (waiting?.reason) summary.reason = waiting.reason;
    else if (terminated) {
      summary.reason = terminatedReason(terminated);
      if (terminated.exitCode !== 0) failed = summary.reason;
    } else if (status.ready && status.state?.running) {
      running = true;
      summary.ready += 1;
    }
  }
  if (summary.reason !== "Completed") return;
  if (running && isTrue(pod, "Ready")) summary.reason = "Running";
  else if (failed !== "") summary.reason = failed;
  else if (running) summary.reason = "NotReady";
}

export function summarizePod(pod: Pod): Summary {
  const { phase = "", reason, conditions } = pod.status ?? {};
  const gated = conditions?.some((c) => c.type === "PodScheduled" && c.reason === "SchedulingGated");
  const summary: Summary = {
    ready: 0,
    total: pod.spec?.containers?.length ?? 0,
    reason: gated ? "SchedulingGated" : reason || phase,
    restarts: 0,
    lastRestart: "",
  };
  const init = initContainers(pod, summary);
  if (!init.initializing || isTrue(pod, "Initialized")) {
    summary.restarts = init.restarts;
    summary.lastRestart = init.lastRestart;
    appContainers(pod, summary);
  }
  if (pod.metadata.deletionTimestamp) {
    if (reason === "NodeLost") summary.reason = "Unknown";
    else if (phase !== "Succeeded" && phase !== "Failed") summary.reason = "Terminating";
  }
  return summary;
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  return gates.length === 0
    ? NONE
    : `${gates.filter((gate) => isTrue(pod, gate.conditionType)).length}/${gates.length}`;
}

function completed(pod: Pod): RowCondition[] | undefined {
  const [reason, message] =
    pod.status?.phase === "Succeeded"
      ? ["Succeeded", "The pod has completed successfully."]
      : pod.status?.phase === "Failed"
        ? ["Failed", "The pod failed."]
        : [];
  return reason === undefined ? undefined : [{ type: "Completed", status: "True", reason, message }];
}

export const pods = printer<Pod>({
  columns: [
    NAME,
    ...text("Ready", "Status", "Restarts"),
    AGE,
    ...wide("IP", "Node", "Nominated Node", "Readiness Gates"),
  ],
  conditions: completed,
  cells(pod, now) {
    const { ready, total, reason, restarts, lastRestart } = summarizePod(pod);
    const ago = restarts !== 0 && lastRestart !== "" ? ` (${since(lastRestart, now)} ago)` : "";
    return [
      nameOf(pod),
      `${ready}/${total}`,
      reason,
      `${restarts}${ago}`,
      since(pod.metadata.creationTimestamp, now),
      pod.status?.podIPs?.[0]?.ip || NONE,
      pod.spec?.nodeName || NONE,
      pod.status?.nominatedNodeName || NONE,
      readinessGates(pod),
    ];
  },
});
