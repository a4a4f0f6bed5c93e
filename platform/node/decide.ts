/** What is to be done for a pod, from what it asks for and what is there. Pure; kuberuntime's computePodActions. */
import { createHash } from "node:crypto";
import type { Container } from "#sdk/api/generated/types.ts";
import { isSidecar } from "./cgroups.ts";
import type { NodePod } from "./context.ts";
import type { PodSandbox } from "./cri.ts";
import { CONTAINER_HASH, type Observation, type ObservedContainer } from "./observe.ts";

export interface ProbeState {
  /** Undefined while unknown; a container without such a probe is never asked about. */
  liveness(containerId: string): boolean | undefined;
  startup(containerId: string): boolean | undefined;
}

export interface Decision {
  /** The sandbox in use, when there is one that works. */
  sandbox: PodSandbox | undefined;
  createSandbox: boolean;
  /** Stop these first. */
  kill: { container: ObservedContainer; message: string; liveness: boolean }[];
  /** Start these, in this order; `init` marks init containers. */
  start: { container: Container; init: boolean; previous: ObservedContainer | undefined }[];
  /** Nothing runs and nothing will: the pod is over. */
  finished: boolean;
}

/** Upstream restarts a container whose image changes; other fields cannot change. */
export const containerHash = (container: Container): string =>
  createHash("sha256").update(`${container.name}\n${container.image}`).digest("hex").slice(0, 8);

const exitedOk = (container: ObservedContainer): boolean => (container.exitCode ?? 0) === 0;
const isRunning = (container: ObservedContainer | undefined): boolean => container?.state === "CONTAINER_RUNNING";

function restarts(pod: NodePod, container: Container, last: ObservedContainer): boolean {
  const policy = container.restartPolicy ?? pod.spec.restartPolicy ?? "Always";
  return policy === "Always" || (policy === "OnFailure" && !exitedOk(last));
}

/** `networked` is the id of the sandbox that has its network (any, for a pod on the host's). */
export function decide(
  pod: NodePod,
  seen: Observation,
  probes: ProbeState,
  networked: (sandboxId: string) => boolean,
): Decision {
  const sandbox = seen.sandboxes.find((one) => one.state === "SANDBOX_READY" && networked(one.id));
  if (sandbox === undefined) return withoutSandbox(pod, seen);
  const decision: Decision = { sandbox, createSandbox: false, kill: [], start: [], finished: false };
  const here = (name: string) => seen.containers.find((one) => one.name === name && one.podSandboxId === sandbox.id);
  // Ephemeral containers start once, whatever else the pod waits for, and never again.
  for (const container of pod.spec.ephemeralContainers ?? [])
    if (seen.containers.every((one) => one.name !== container.name))
      decision.start.push({ container, init: false, previous: undefined });
  const begun = pod.spec.containers.some((container) => here(container.name) !== undefined);
  const init = decideInit(pod, here, probes, decision, begun);
  if (init === "failed") {
    decision.finished = !seen.containers.some(isRunning);
    return decision;
  }
  if (init === "waiting") return decision;
  for (const container of pod.spec.containers) decideOne(pod, container, here(container.name), probes, decision);
  decision.finished =
    decision.start.length === 0 &&
    decision.kill.length === 0 &&
    pod.spec.containers.every((container) => here(container.name)?.state === "CONTAINER_EXITED");
  return decision;
}

/** A pod whose containers all ended for good gets no new sandbox (its old one may have been stopped with it). */
function withoutSandbox(pod: NodePod, seen: Observation): Decision {
  const decision: Decision = { sandbox: undefined, createSandbox: true, kill: [], start: [], finished: false };
  for (const container of seen.containers)
    if (isRunning(container)) decision.kill.push({ container, message: "", liveness: false });
  const last = (name: string) => seen.containers.find((one) => one.name === name);
  const policy = pod.spec.restartPolicy ?? "Always";
  const begun = seen.containers.length > 0;
  if (!begun || policy === "Always") return decision;
  const over = (container: Container): boolean => {
    const one = last(container.name);
    // With Never, what was cut short is not begun again; with OnFailure, what was never begun is.
    return one === undefined ? policy === "Never" : one.state === "CONTAINER_EXITED" && !restarts(pod, container, one);
  };
  if (decision.kill.length === 0 && pod.spec.containers.every(over)) {
    decision.createSandbox = false;
    decision.finished = true;
  }
  return decision;
}

function decideInit(
  pod: NodePod,
  here: (name: string) => ObservedContainer | undefined,
  probes: ProbeState,
  decision: Decision,
  begun: boolean,
): "done" | "waiting" | "failed" {
  for (const container of pod.spec.initContainers ?? []) {
    const last = here(container.name);
    if (isSidecar(container)) {
      decideOne(pod, container, last, probes, decision, true);
      const started =
        isRunning(last) && (container.startupProbe === undefined || probes.startup(last?.id ?? "") === true);
      if (!started && !begun) return "waiting";
      continue;
    }
    if (begun) continue;
    if (last === undefined || last.state === "CONTAINER_CREATED" || last.state === "CONTAINER_UNKNOWN") {
      decision.start.push({ container, init: true, previous: last });
      return "waiting";
    }
    if (isRunning(last)) return "waiting";
    if (exitedOk(last)) continue;
    if ((pod.spec.restartPolicy ?? "Always") === "Never") return "failed";
    decision.start.push({ container, init: true, previous: last });
    return "waiting";
  }
  return "done";
}

function decideOne(
  pod: NodePod,
  container: Container,
  last: ObservedContainer | undefined,
  probes: ProbeState,
  decision: Decision,
  init = false,
): void {
  if (last === undefined || last.state !== "CONTAINER_RUNNING") {
    const again = last === undefined || last.state !== "CONTAINER_EXITED" || restarts(pod, container, last);
    if (again) decision.start.push({ container, init, previous: last });
    return;
  }
  const why = reasonToKill(container, last, probes);
  if (why === undefined) return;
  const policy = container.restartPolicy ?? pod.spec.restartPolicy ?? "Always";
  const restart = policy !== "Never" || !why.liveness;
  decision.kill.push({
    container: last,
    message: restart ? `${why.message}, will be restarted` : why.message,
    liveness: why.liveness,
  });
}

function reasonToKill(
  container: Container,
  running: ObservedContainer,
  probes: ProbeState,
): { message: string; liveness: boolean } | undefined {
  const hash = running.annotations?.[CONTAINER_HASH];
  if (hash !== undefined && hash !== containerHash(container))
    return { message: `Container ${container.name} definition changed`, liveness: false };
  if (container.livenessProbe && probes.liveness(running.id) === false)
    return { message: `Container ${container.name} failed liveness probe`, liveness: true };
  if (container.startupProbe && probes.startup(running.id) === false)
    return { message: `Container ${container.name} failed startup probe`, liveness: true };
  return undefined;
}
