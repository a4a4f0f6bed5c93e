/** Starts and stops one container: image, configuration, hooks, events (kuberuntime_container.go). */
import { delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import type { Container } from "#sdk/api/generated/types.ts";
import { createBackoffs } from "./backoff.ts";
import { check } from "./checks.ts";
import { containerConfig } from "./container-config.ts";
import { allContainers, type NodeContext, type NodePod } from "./context.ts";
import type { DeviceManager } from "./devices/manager.ts";
import { ConfigError } from "./env.ts";
import { createImagePuller, WaitingError } from "./images.ts";
import type { Observation, ObservedContainer } from "./observe.ts";
import { isRuntimeNotFound } from "./ports.ts";
import type { References } from "./references.ts";
import { sandboxConfig } from "./sandbox.ts";
import type { MountedVolumes } from "./volumes/manager.ts";

/** A preStop hook that takes all of the grace period still leaves the container this long. */
const GRACE_SECONDS_MIN = 2;
/** Hooks have no timeout of their own; a hung one must not hold the pod for ever. */
const HOOK_SECONDS_MAX = 600;

export interface StartInput {
  pod: NodePod;
  container: Container;
  seen: Observation;
  sandboxId: string;
  podIPs: string[];
  volumes: MountedVolumes;
}

export interface Containers {
  /** Answers the container as it is then. Rejects with WaitingError: why the container waits now. */
  start(input: StartInput): Promise<ObservedContainer>;
  /** Returns when it has exited. */
  stop(pod: NodePod, container: ObservedContainer, message: string, graceSeconds: number): Promise<void>;
  /** Milliseconds until a container in back-off may start; 0: it may now. */
  backoffLeft(pod: NodePod, name: string, finishedAtMs: number): number;
  forget(uid: string): void;
}

/** "name_namespace(uid)" */
export const podText = (pod: NodePod): string => `${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;

/** As Go prints a duration: 10s, 1m20s, 5m0s. */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

export const finishedAtMs = (container: ObservedContainer): number =>
  Number(BigInt(container.finishedAt ?? 0) / 1_000_000n);

/** The container whose processes an ephemeral one is to see. */
function targetOf(pod: NodePod, container: Container, seen: Observation): string | undefined {
  const wanted = pod.spec.ephemeralContainers?.find((one) => one.name === container.name)?.targetContainerName;
  if (!wanted) return undefined;
  return seen.containers.find((one) => one.name === wanted && one.state === "CONTAINER_RUNNING")?.id;
}

export function createContainers(
  context: NodeContext,
  references: References,
  devices: Pick<DeviceManager, "edits">,
): Containers {
  const { runtime, recorder, clock, log } = context;
  const images = createImagePuller(context, references);
  const backoffs = createBackoffs();
  const keyOf = (pod: NodePod, name: string) => `${pod.metadata.uid}/${name}`;
  const about = (name: string) => ({ fieldPath: `spec.containers{${name}}` });

  const failed = (pod: NodePod, name: string, reason: string, error: unknown): WaitingError => {
    const message = messageOf(error);
    recorder.event(pod, "Warning", "Failed", `Error: ${message}`, about(name));
    return new WaitingError(reason, message);
  };

  const backOff = (pod: NodePod, name: string, previous: ObservedContainer | undefined): void => {
    if (previous?.state !== "CONTAINER_EXITED") return;
    const key = keyOf(pod, name);
    const since = finishedAtMs(previous);
    if (backoffs.waiting(key, clock.now(), since)) {
      recorder.event(
        pod,
        "Warning",
        "BackOff",
        `Back-off restarting failed container ${name} in pod ${podText(pod)}`,
        about(name),
      );
      const wait = durationText(backoffs.get(key));
      throw new WaitingError(
        "CrashLoopBackOff",
        `back-off ${wait} restarting failed container=${name} pod=${podText(pod)}`,
      );
    }
    backoffs.next(key, since);
  };

  const attemptOf = (pod: NodePod, name: string, newest: ObservedContainer | undefined): number => {
    if (newest !== undefined) return newest.attempt + 1;
    const all = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
    const known = all.find((one) => one.name === name);
    return known?.containerID === undefined ? 0 : known.restartCount + 1;
  };

  return {
    async start({ pod, container, seen, sandboxId, podIPs, volumes }) {
      const { name } = container;
      const newest = seen.containers.find((one) => one.name === name);
      backOff(pod, name, newest);
      const sandbox = sandboxConfig(context, pod, seen.sandboxes[0]?.metadata.attempt ?? 0);
      const image = await images.ensure(pod, container, sandbox);
      const attempt = attemptOf(pod, name, newest);
      const edits = await devices.edits(pod, container).catch((error: unknown) => {
        throw failed(pod, name, "CreateContainerConfigError", error);
      });
      const config = await containerConfig({
        context,
        references,
        pod,
        container,
        image,
        attempt,
        podIPs,
        volumes,
        edits,
        targetId: targetOf(pod, container, seen),
      }).catch((error: unknown) => {
        throw failed(
          pod,
          name,
          error instanceof ConfigError ? "CreateContainerConfigError" : "CreateContainerError",
          error,
        );
      });
      const id = await runtime.createContainer(sandboxId, config, sandbox).catch((error: unknown) => {
        throw failed(pod, name, "CreateContainerError", error);
      });
      recorder.event(pod, "Normal", "Created", "Container created", about(name));
      await runtime.startContainer(id).catch((error: unknown) => {
        throw failed(pod, name, "RunContainerError", error);
      });
      recorder.event(pod, "Normal", "Started", "Container started", about(name));
      const hook = container.lifecycle?.postStart;
      const asStarted = async (): Promise<ObservedContainer> => {
        const status = await runtime.containerStatus(id);
        return { ...status, podSandboxId: sandboxId, name, attempt };
      };
      if (hook === undefined) return await asStarted();
      const target = { runtime, container, containerId: id, podIP: context.reach(podIPs[0] ?? "127.0.0.1") };
      const result = await check(target, hook, HOOK_SECONDS_MAX);
      if (result.ok) return await asStarted();
      recorder.event(pod, "Warning", "FailedPostStartHook", "PostStartHook failed", about(name));
      recorder.event(pod, "Normal", "Killing", "FailedPostStartHook", about(name));
      await runtime.stopContainer(id, pod.spec.terminationGracePeriodSeconds ?? 30);
      throw new WaitingError("PostStartHookError", result.output);
    },

    async stop(pod, observed, message, graceSeconds) {
      const spec = allContainers(pod).find((one) => one.name === observed.name);
      const text = message === "" ? `Stopping container ${observed.name}` : message;
      recorder.event(pod, "Normal", "Killing", text, about(observed.name));
      const begun = clock.now();
      const hook = spec?.lifecycle?.preStop;
      if (spec !== undefined && hook !== undefined && graceSeconds > 0) {
        const target = {
          runtime,
          container: spec,
          containerId: observed.id,
          podIP: context.reach(pod.status?.podIP ?? "127.0.0.1"),
        };
        const result = await Promise.race([check(target, hook, graceSeconds), delay(graceSeconds * 1000)]);
        if (result?.ok === false) {
          log.info("a preStop hook failed", { pod: podText(pod), container: observed.name, output: result.output });
          recorder.event(pod, "Warning", "FailedPreStopHook", "PreStopHook failed", about(observed.name));
        }
      }
      const spent = Math.round((clock.now() - begun) / 1000);
      const left = graceSeconds === 0 ? 0 : Math.max(graceSeconds - spent, GRACE_SECONDS_MIN);
      await runtime.stopContainer(observed.id, left).catch((error: unknown) => {
        if (!isRuntimeNotFound(error)) throw error;
      });
    },

    backoffLeft: (pod, name, since) => {
      const key = keyOf(pod, name);
      return Math.max(0, since + backoffs.get(key) - clock.now());
    },
    forget(uid) {
      backoffs.forget(`${uid}/`);
      images.forget(uid);
    },
  };
}
