/** A pod's status from what is there, as the kubelet writes it (kubelet_pods.go, status/generate.go). Pure. */

import { timeText } from "#platform/base/clock.ts";
import type {
  Container,
  ContainerState,
  ContainerStatus,
  PodCondition,
  PodStatus,
  ResourceStatus,
  VolumeMount,
  VolumeMountStatus,
} from "#sdk/api/generated/types.ts";
import { isSidecar, qosClass } from "./cgroups.ts";
import type { NodePod } from "./context.ts";
import type { Observation, ObservedContainer } from "./observe.ts";
import type { ContainerResources } from "./resize.ts";
import { WASM_ID_PREFIX } from "./wasm/ids.ts";

/** Why a pod is over whatever its containers say. */
export interface Verdict {
  reason: string;
  message: string;
  /** Instead of the pod's own grace. */
  graceSeconds?: number;
  /** The node took it from whoever made it: condition DisruptionTarget. */
  disrupted?: boolean;
}

export interface StatusInput {
  pod: NodePod;
  /** The generation of the pod that this is the status of. */
  generation: number | undefined;
  seen: Observation;
  nodeAddresses: readonly string[];
  podIPs: string[];
  /** The sandbox is up and has its network. */
  sandboxReady: boolean;
  /** Why a container that does not run waits, by name: ErrImagePull, CrashLoopBackOff, CreateContainerConfigError … */
  waiting: ReadonlyMap<string, { reason: string; message?: string }>;
  /** By container id; undefined: there is no such probe, or no answer yet. */
  ready(container: Container, id: string): boolean;
  started(container: Container, id: string): boolean;
  terminationMessage(container: ObservedContainer): string | undefined;
  resources(container: string, id: string | undefined): ContainerResources;
  /** The health of the devices that a container has. */
  devices(container: string): ResourceStatus[];
  /** What is said of a change of resources. */
  resizing: Pick<PodCondition, "type" | "status" | "reason" | "message">[];
  now: number;
  startTime: string;
  /** Everything was stopped and nothing starts again. */
  terminal: boolean;
  /** Set when the node refused the pod or ended it. */
  verdict?: Verdict;
}

/** The conditions that the agent decides; others' (readiness gates) are kept as they are. */
export const OWN_CONDITIONS: ReadonlySet<string> = new Set([
  "PodReadyToStartContainers",
  "Initialized",
  "Ready",
  "ContainersReady",
  "PodScheduled",
  "PodResizePending",
  "PodResizeInProgress",
]);

const time = (nanos: string | number | undefined): string => timeText(Number(BigInt(nanos ?? 0) / 1_000_000n));

export function podStatus(input: StatusInput): PodStatus {
  const { pod, verdict, podIPs, nodeAddresses } = input;
  if (verdict !== undefined && input.seen.containers.length === 0)
    return {
      observedGeneration: input.generation,
      phase: "Failed",
      reason: verdict.reason,
      message: verdict.message,
      startTime: input.startTime,
      qosClass: pod.status?.qosClass ?? qosClass(pod),
      conditions: pod.status?.conditions ?? [],
    };
  const init = (pod.spec.initContainers ?? []).map((container) => containerStatus(input, container, true));
  const main = pod.spec.containers.map((container) => containerStatus(input, container, false));
  const ephemeral = (pod.spec.ephemeralContainers ?? []).map((container) => containerStatus(input, container, false));
  const phase = phaseOf(input, init, main);
  const conditions = conditionsOf(input, phase, init, main);
  const ips = pod.spec.hostNetwork === true ? nodeAddresses : podIPs;
  const first = ips[0];
  return {
    observedGeneration: input.generation,
    phase,
    conditions,
    ...(verdict === undefined ? {} : { reason: verdict.reason, message: verdict.message }),
    hostIP: nodeAddresses[0],
    hostIPs: nodeAddresses.map((ip) => ({ ip })),
    ...(first === undefined ? {} : { podIP: first, podIPs: ips.map((ip) => ({ ip })) }),
    startTime: input.startTime,
    qosClass: pod.status?.qosClass ?? qosClass(pod),
    ...(init.length === 0 ? {} : { initContainerStatuses: init }),
    containerStatuses: main,
    ...(ephemeral.length === 0
      ? {}
      : { ephemeralContainerStatuses: ephemeral.map((one) => ({ ...one, ready: false })) }),
  };
}

/** Ids of containers tell their runtime. */
const runtimeOf = (id: string): string => (id.startsWith(WASM_ID_PREFIX) ? "wasm" : "containerd");

function terminated(input: StatusInput, container: ObservedContainer): ContainerState {
  const code = container.exitCode ?? 0;
  const message = input.terminationMessage(container);
  return {
    terminated: {
      exitCode: code,
      reason: container.reason || (code === 0 ? "Completed" : "Error"),
      ...(message === undefined || message === "" ? {} : { message }),
      startedAt: time(container.startedAt),
      finishedAt: time(container.finishedAt),
      containerID: `${runtimeOf(container.id)}://${container.id}`,
    },
  };
}

function containerStatus(input: StatusInput, container: Container, init: boolean): ContainerStatus {
  const all = input.seen.containers.filter((one) => one.name === container.name);
  const newest = all[0];
  const why = input.waiting.get(container.name);
  const running = newest?.state === "CONTAINER_RUNNING";
  const ended = all.filter((one) => one.state === "CONTAINER_EXITED");
  const isWaiting = !running && !input.terminal && (newest?.state !== "CONTAINER_EXITED" || why !== undefined);
  const state = running
    ? { running: { startedAt: time(newest.startedAt) } }
    : isWaiting
      ? { waiting: why ?? { reason: defaultWaiting(input) } }
      : newest?.state === "CONTAINER_EXITED"
        ? terminated(input, newest)
        : neverStarted(input, why);
  const last = isWaiting ? ended[0] : ended.find((one) => one !== newest);
  const lastState = last === undefined ? {} : terminated(input, last);
  const started = running && input.started(container, newest.id);
  const ready =
    init && !isSidecar(container)
      ? state.terminated?.exitCode === 0
      : started && !input.terminal && input.ready(container, newest?.id ?? "");
  const devices = init ? [] : input.devices(container.name);
  const { allocated, actual } = input.resources(container.name, running ? newest.id : undefined);
  return {
    name: container.name,
    state,
    lastState,
    ready,
    restartCount: newest?.attempt ?? 0,
    image: newest?.image?.image || container.image || "",
    imageID: newest?.imageRef ?? "",
    ...(newest === undefined ? {} : { containerID: `containerd://${newest.id}` }),
    ...(Object.keys(allocated.requests ?? {}).length === 0 ? {} : { allocatedResources: allocated.requests }),
    ...(devices.length === 0 ? {} : { allocatedResourcesStatus: devices }),
    resources: actual,
    started,
    ...(container.volumeMounts?.length ? { volumeMounts: container.volumeMounts.map(mountStatus) } : {}),
  };
}

/** Recursive read-only mounts are the runtime's to offer, and containerd 1.6 does not. */
const mountStatus = ({ name, mountPath, readOnly }: VolumeMount): VolumeMountStatus => ({
  name,
  mountPath,
  ...(readOnly === true ? { readOnly, recursiveReadOnly: "Disabled" } : {}),
});

const defaultWaiting = (input: StatusInput): string =>
  (input.pod.spec.initContainers ?? []).length > 0 ? "PodInitializing" : "ContainerCreating";

/** A container of a pod that is over, of which the runtime knows nothing. */
function neverStarted(input: StatusInput, why: { reason: string; message?: string } | undefined): ContainerState {
  const before = [...(input.pod.status?.containerStatuses ?? []), ...(input.pod.status?.initContainerStatuses ?? [])];
  if (before.every((one) => one.state?.running === undefined))
    return { waiting: why ?? { reason: defaultWaiting(input) } };
  return {
    terminated: {
      exitCode: 137,
      reason: "ContainerStatusUnknown",
      message: "The container could not be located when the pod was terminated",
      startedAt: undefined,
      finishedAt: undefined,
    },
  };
}

/** getPhase: what the containers' states add up to under the restart policy. */
function phaseOf(input: StatusInput, init: ContainerStatus[], main: ContainerStatus[]): string {
  const policy = input.pod.spec.restartPolicy ?? "Always";
  if (input.verdict !== undefined) return "Failed";
  const specs = input.pod.spec.initContainers ?? [];
  const failed = (one: ContainerStatus) => one.state?.terminated !== undefined && one.state.terminated.exitCode !== 0;
  const regular = init.filter((_, index) => !isSidecar(specs[index] ?? { name: "" }));
  if (regular.some(failed) && (policy === "Never" || input.terminal)) return "Failed";
  const stopped = main.filter((one) => one.state?.terminated !== undefined);
  if (input.terminal) {
    if (main.every((one) => one.state?.terminated?.exitCode === 0)) return "Succeeded";
    return "Failed";
  }
  const pending = regular.some((one) => one.state?.terminated?.exitCode !== 0);
  const begun = main.some((one) => one.containerID !== undefined);
  if (pending && !begun) return "Pending";
  if (main.some((one) => one.state?.waiting !== undefined && one.lastState?.terminated === undefined)) return "Pending";
  if (stopped.length < main.length || policy === "Always") return "Running";
  if (stopped.every((one) => !failed(one))) return "Succeeded";
  return policy === "Never" ? "Failed" : "Running";
}

function conditionsOf(
  input: StatusInput,
  phase: string,
  init: ContainerStatus[],
  main: ContainerStatus[],
): PodCondition[] {
  const { pod } = input;
  const over = phase === "Succeeded" || phase === "Failed";
  const specs = pod.spec.initContainers ?? [];
  const uninitialized = init.filter((one, index) =>
    isSidecar(specs[index] ?? { name: "" }) ? one.started !== true : !one.ready,
  );
  const unready = [...main, ...init.filter((_, index) => isSidecar(specs[index] ?? { name: "" }))].filter(
    (one) => !one.ready,
  );
  const begun = main.some((one) => one.containerID !== undefined);
  const names = (list: ContainerStatus[]) => list.map((one) => one.name).join(" ");
  const initialized: Made =
    phase === "Succeeded"
      ? { status: "True", reason: "PodCompleted" }
      : uninitialized.length === 0 || begun
        ? { status: "True" }
        : {
            status: "False",
            reason: "ContainersNotInitialized",
            message: `containers with incomplete status: [${names(uninitialized)}]`,
          };
  const containersReady: Made =
    phase === "Succeeded"
      ? { status: "False", reason: "PodCompleted" }
      : phase === "Failed"
        ? { status: "False", reason: "PodFailed" }
        : unready.length === 0
          ? { status: "True" }
          : {
              status: "False",
              reason: "ContainersNotReady",
              message: `containers with unready status: [${names(unready)}]`,
            };
  const made: [string, Made][] = [
    ["PodReadyToStartContainers", { status: input.sandboxReady && !over ? "True" : "False" }],
    ["Initialized", initialized],
    ["Ready", readyCondition(pod, containersReady)],
    ["ContainersReady", containersReady],
    ["PodScheduled", { status: "True" }],
  ];
  const { verdict } = input;
  if (verdict?.disrupted === true)
    made.push(["DisruptionTarget", { status: "True", reason: "TerminationByKubelet", message: verdict.message }]);
  const others = (pod.status?.conditions ?? []).filter(
    (one) => made.every(([type]) => type !== one.type) && !OWN_CONDITIONS.has(one.type),
  );
  const resizing = input.resizing.map(({ type, ...one }): [string, Made] => [type, one]);
  return [...[...made, ...resizing].map(([type, one]) => withTimes(input, type, one)), ...others];
}

interface Made {
  status: string;
  reason?: string;
  message?: string;
}

function readyCondition(pod: NodePod, containersReady: Made): Made {
  if (containersReady.status === "False") return containersReady;
  const missing = (pod.spec.readinessGates ?? []).filter(
    (gate) => pod.status?.conditions?.find((one) => one.type === gate.conditionType)?.status !== "True",
  );
  const first = missing[0];
  if (first === undefined) return containersReady;
  const present = pod.status?.conditions?.some((one) => one.type === first.conditionType) === true;
  const why = present
    ? `the status of pod readiness gate "${first.conditionType}" is not "True", but False`
    : `corresponding condition of pod readiness gate "${first.conditionType}" does not exist.`;
  return { status: "False", reason: "ReadinessGatesNotReady", message: why };
}

/** The transition time moves only with the status. */
function withTimes(input: StatusInput, type: string, made: Made): PodCondition {
  const before = input.pod.status?.conditions?.find((one) => one.type === type);
  const same = before?.status === made.status;
  const scheduled = type === "PodScheduled" && before !== undefined;
  return {
    type,
    observedGeneration: scheduled ? before.observedGeneration : input.generation,
    ...made,
    lastTransitionTime: (same ? before?.lastTransitionTime : undefined) ?? timeText(input.now),
  };
}
