/**
 * One pod's worker: a loop that is woken by changes of the object, of its containers and of its probes, and does one thing at a
 * time. It keeps no truth of its own that a restarted agent would miss: that is in the API, the runtime and network.json.
 */
import { rm } from "node:fs/promises";
import { messageOf } from "#platform/base/log.ts";
import { StatusError } from "#sdk/api/status.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { isSidecar } from "./cgroups.ts";
import type { ClaimManager } from "./claims/manager.ts";
import { type Containers, finishedAtMs, podText } from "./containers.ts";
import { type NodeContext, type NodePod, nodeAddresses, podLogDirectory } from "./context.ts";
import { type Decision, decide } from "./decide.ts";
import type { DeviceManager } from "./devices/manager.ts";
import { WaitingError } from "./images.ts";
import type { Observer } from "./observe.ts";
import { nextState, type PodEvent, type PodState } from "./pod-state.ts";
import { isRuntimeNotFound } from "./ports.ts";
import { type Prober, probeRunning } from "./probes.ts";
import { createResizer, type Refusal } from "./resize.ts";
import { addressesOf, createSandbox, readNetwork, type SandboxNetwork, stopSandbox } from "./sandbox.ts";
import type { Verdict } from "./status.ts";
import { createStatusWriter, PODS } from "./status-writer.ts";
import { createCurrency } from "./volumes/currency.ts";
import type { MountedVolumes, VolumeManager } from "./volumes/manager.ts";

/** Changed ConfigMaps and Secrets reach volumes within this time, tokens are renewed, lost changes found. */
const RESYNC_MS = 30_000;
const RETRY_MS = 10_000;
const NETWORK_RETRY_MS = 5_000;
/** A volume that is attached or bound elsewhere comes soon. */
const MOUNT_RETRY_MS = 3_000;
/** A pod whose object vanished (deleted with force) was asked to end at once. */
const VANISHED_GRACE_SECONDS = 2;

export interface WorkerParts {
  context: NodeContext;
  observer: Observer;
  containers: Containers;
  volumes: VolumeManager;
  devices: Pick<DeviceManager, "health">;
  claims: Pick<ClaimManager, "prepare" | "holds" | "release">;
  prober: Prober;
  /** Why the node cannot take the pod (reason, message); undefined: it can. */
  admit(pod: NodePod): Promise<{ reason: string; message: string } | undefined>;
  /** The same for a pod that runs here and asks for other resources. */
  admitResize(pod: NodePod): Refusal | undefined;
  gone(uid: string): void;
}

export interface PodWorker {
  readonly uid: string;
  pod(): NodePod;
  state(): PodState;
  /** The object as it is now; undefined: it is no more. */
  update(pod: NodePod | undefined): void;
  /** Something on the node changed. */
  wake(): void;
  /** The node ends the pod, which is Failed then. False when it does not run. */
  evict(why: Verdict): boolean;
  /** Ends the loop after the step it is at; touches nothing. */
  stop(): Promise<void>;
}

export function createWorker(parts: WorkerParts, first: NodePod): PodWorker {
  const { context, observer, containers, volumes, prober, claims } = parts;
  const { runtime, clock, log, recorder } = context;
  const uid = first.metadata.uid;
  const resizer = createResizer(context, parts.admitResize);
  const writer = createStatusWriter(context, { observer, prober, resizer, devices: parts.devices }, first);
  let pod = resizer.allocated(first);
  let observedGeneration = first.metadata.generation;
  let vanished = false;
  let state: PodState = isOver(first) ? "finished" : "running";
  let admitted = false;
  let verdict: Verdict | undefined;
  let network: SandboxNetwork | undefined;
  let networkRead = false;
  const waiting = new Map<string, { reason: string; message?: string }>();
  let timer: NodeJS.Timeout | undefined;
  let wanted = false;
  let stopping = false;
  let sandboxRetryAt = 0;
  const current = createCurrency(volumes, clock);
  /** Of the termination that is under way. */
  let stopGrace: number | undefined;
  let loop: Promise<void> | undefined;

  const take = (event: PodEvent) => {
    state = nextState(state, event);
  };
  const over = () => state === "gone";
  const podIPs = () => (pod.spec.hostNetwork === true ? nodeAddresses(context.settings) : addressesOf(network));
  const networked = (sandboxId: string) => pod.spec.hostNetwork === true || network?.sandboxId === sandboxId;

  const wake = () => {
    wanted = true;
    if (loop !== undefined || stopping) return;
    clearTimeout(timer);
    loop = run().finally(() => {
      loop = undefined;
      if (wanted && !stopping && state !== "gone") wake();
    });
  };

  const run = async () => {
    while (wanted && !stopping && !over()) {
      wanted = false;
      let again = RESYNC_MS;
      try {
        if (!networkRead) {
          network = readNetwork(context, uid);
          networkRead = true;
        }
        again = await steps[state]();
      } catch (error) {
        log.warn("a pod's step failed and is tried again", { pod: podText(pod), state, error: messageOf(error) });
        again = RETRY_MS;
      }
      clearTimeout(timer);
      if (!over()) timer = setTimeout(wake, again);
    }
  };

  const writeStatus = async (terminal = false): Promise<void> => {
    if (vanished) return;
    const view = { pod, observedGeneration, podIPs: podIPs(), networked, waiting, verdict };
    const answered = await writer.write(view, terminal);
    if (answered) pod = { ...pod, status: answered };
  };

  const resize = async (): Promise<void> => {
    pod = resizer.allocate(pod, observer.get(uid));
    observedGeneration = pod.metadata.generation;
    const restart = await resizer.actuate(pod, observer.get(uid));
    const grace = pod.spec.terminationGracePeriodSeconds ?? 30;
    for (const one of restart) await containers.stop(pod, one, `Container ${one.name} resize requires restart`, grace);
    if (restart.length > 0) await observer.refreshPod(uid);
  };

  const runStep = async (): Promise<number> => {
    if (verdict !== undefined) return await finish();
    if (!admitted && observer.get(uid).containers.length === 0 && pod.status?.startTime === undefined) {
      const refused = await parts.admit(pod);
      if (refused !== undefined) {
        recorder.event(pod, "Warning", refused.reason, refused.message);
        verdict = { reason: refused.reason, message: `Pod was rejected: ${refused.message}` };
        return await finish();
      }
    }
    admitted = true;
    const deadline = pod.spec.activeDeadlineSeconds;
    let startTime = writer.startTime();
    if (deadline !== undefined && startTime !== undefined && clock.now() - Date.parse(startTime) >= deadline * 1000) {
      const message = "Pod was active on the node longer than the specified deadline";
      recorder.event(pod, "Normal", "DeadlineExceeded", message);
      verdict = { reason: "DeadlineExceeded", message };
      return await finish();
    }
    await resize();
    const decision = decide(pod, observer.get(uid), prober, networked);
    if (decision.finished) return await finish();
    // Nobody has to wait for the API to know that the pod begins.
    const told = pod.status?.startTime === undefined ? writeStatus() : undefined;
    told?.catch(() => undefined);
    const again = await act(decision);
    await told;
    if (state !== "running") return 0;
    const seen = observer.get(uid);
    probeRunning(prober, pod, seen, podIPs()[0] ?? "127.0.0.1", wake);
    await writeStatus();
    startTime = writer.startTime();
    const left =
      deadline === undefined || startTime === undefined
        ? RESYNC_MS
        : Date.parse(startTime) + deadline * 1000 - clock.now();
    // A container that is over, or an init container that is done, may mean there is something to do at once.
    const next = decide(pod, seen, prober, networked);
    const more = next.finished || next.kill.length > 0 || next.start.some((one) => !waiting.has(one.container.name));
    return more ? 0 : Math.max(1000, Math.min(again, left));
  };

  const stopRunning = async (): Promise<void> => {
    const running = observer.get(uid).containers.filter((one) => one.state === "CONTAINER_RUNNING");
    const grace = verdict?.graceSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30;
    await Promise.all(running.map((one) => containers.stop(pod, one, "", grace)));
  };

  const finish = async (): Promise<number> => {
    if (claims.holds(uid)) {
      await stopRunning();
      // Who hears that the pod is over may give its devices to others; when this fails, the step is tried again.
      await claims.release(uid);
      if (state !== "running") return 0;
    }
    take("ended");
    await stopRunning();
    await observer.refreshPod(uid);
    await writeStatus(true);
    return await steps.finished();
  };

  const act = async (decision: Decision): Promise<number> => {
    const grace = pod.spec.terminationGracePeriodSeconds ?? 30;
    for (const { container, message } of decision.kill) {
      const probe = pod.spec.containers.find((one) => one.name === container.name)?.livenessProbe;
      await containers.stop(pod, container, message, probe?.terminationGracePeriodSeconds ?? grace);
    }
    if (decision.kill.length > 0) await observer.refreshPod(uid);
    if (decision.start.length === 0 && !decision.createSandbox && !current.due(pod, podIPs())) {
      waiting.clear();
      return RESYNC_MS;
    }
    let mounted: MountedVolumes;
    try {
      mounted = await volumes.ensure(pod, podIPs());
      current.done(pod, podIPs());
    } catch (error) {
      recorder.event(pod, "Warning", "FailedMount", messageOf(error));
      return MOUNT_RETRY_MS;
    }
    try {
      await claims.prepare(pod);
    } catch (error) {
      const message = `Failed to prepare dynamic resources: ${messageOf(error)}`;
      recorder.event(pod, "Warning", "FailedPrepareDynamicResources", message);
      return RETRY_MS;
    }
    if (decision.createSandbox) {
      const left = sandboxRetryAt - clock.now();
      if (left > 0) return left;
      if (!(await renewSandbox())) return NETWORK_RETRY_MS;
      decision = decide(pod, observer.get(uid), prober, networked);
    }
    return decision.sandbox === undefined ? 0 : await startAll(decision, decision.sandbox.id, mounted);
  };

  const renewSandbox = async (): Promise<boolean> => {
    const old = observer.get(uid).sandboxes;
    if (old.some((one) => one.state === "SANDBOX_READY") && observer.get(uid).containers.length > 0)
      recorder.event(pod, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
    try {
      // One that is not ready may be attached all the same, by an agent that ended before it could say so.
      for (const one of old) await stopSandbox(context, pod, one.id);
      network = undefined;
      const attempt = Math.max(-1, ...old.map((one) => one.metadata.attempt ?? 0)) + 1;
      const made = await createSandbox(context, pod, attempt);
      network = made.network;
      observer.note(uid, { sandbox: made.sandbox });
    } catch (error) {
      recorder.event(pod, "Warning", "FailedCreatePodSandBox", `Failed to create pod sandbox: ${messageOf(error)}`);
      log.info("a sandbox could not be made", { pod: podText(pod), error: messageOf(error) });
      sandboxRetryAt = clock.now() + NETWORK_RETRY_MS;
      await observer.refreshPod(uid);
      return false;
    }
    return true;
  };

  const startAll = async (decision: Decision, sandboxId: string, mounted: MountedVolumes): Promise<number> => {
    let again = RESYNC_MS;
    const asked = new Set(decision.start.map((one) => one.container.name));
    for (const name of waiting.keys()) if (!asked.has(name)) waiting.delete(name);
    for (const { container } of decision.start) {
      if (state !== "running") break;
      try {
        const seen = observer.get(uid);
        const started = await containers.start({ pod, container, seen, sandboxId, podIPs: podIPs(), volumes: mounted });
        observer.note(uid, { container: started });
        waiting.delete(container.name);
      } catch (error) {
        const known = error instanceof WaitingError;
        waiting.set(container.name, {
          reason: known ? error.reason : "CreateContainerError",
          message: messageOf(error),
        });
        const last = observer.get(uid).containers.find((one) => one.name === container.name);
        const left = last === undefined ? 0 : containers.backoffLeft(pod, container.name, finishedAtMs(last));
        const crashed = known && error.reason === "CrashLoopBackOff";
        again = Math.min(again, crashed ? Math.max(left, 100) : RETRY_MS);
        // It may have been made, or even have run.
        if (!crashed) await observer.refreshPod(uid);
      }
    }
    return again;
  };

  /** Its network and its persistent volumes are given back; its containers stay for their logs until the object is deleted. */
  const finishedStep = async (): Promise<number> => {
    prober.keep(uid, new Set());
    const ready = observer.get(uid).sandboxes.filter((one) => one.state === "SANDBOX_READY");
    for (const one of ready) await stopSandbox(context, pod, one.id);
    if (ready.length > 0) await observer.refreshPod(uid);
    network = undefined;
    await volumes.release(uid);
    return RESYNC_MS * 10;
  };

  const terminateStep = async (): Promise<number> => {
    observedGeneration = pod.metadata.generation;
    const grace = vanished
      ? VANISHED_GRACE_SECONDS
      : (pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30);
    stopGrace = grace;
    await observer.refreshPod(uid);
    const running = observer
      .get(uid)
      .containers.filter((one) => one.state === "CONTAINER_RUNNING" || one.state === "CONTAINER_UNKNOWN");
    const sidecars = new Set((pod.spec.initContainers ?? []).filter(isSidecar).map((one) => one.name));
    await Promise.all(
      running.filter((one) => !sidecars.has(one.name)).map((one) => containers.stop(pod, one, "", grace)),
    );
    await Promise.all(
      running.filter((one) => sidecars.has(one.name)).map((one) => containers.stop(pod, one, "", grace)),
    );
    prober.keep(uid, new Set());
    await observer.refreshPod(uid);
    const left = observer.get(uid);
    for (const one of left.sandboxes) await stopSandbox(context, pod, one.id);
    network = undefined;
    await claims.release(uid);
    if (!isOver(pod)) await writeStatus(true);
    for (const one of left.containers) await ignoreMissing(runtime.removeContainer(one.id));
    for (const one of left.sandboxes) await ignoreMissing(runtime.removePodSandbox(one.id));
    await observer.refreshPod(uid);
    await volumes.remove(uid);
    if (!context.cgroups.remove(pod)) return 1000;
    await rm(podLogDirectory(context.settings, pod), { recursive: true, force: true });
    containers.forget(uid);
    take("cleared");
    return await steps.stopped();
  };

  const stoppedStep = async (): Promise<number> => {
    if (!vanished) {
      const name = { namespace: pod.metadata.namespace, name: pod.metadata.name };
      const client = context.client.tenant(tenantOf(pod));
      await client.delete(PODS, name, { gracePeriodSeconds: 0, preconditions: { uid } }).catch((error: unknown) => {
        // Gone meanwhile: the node may then not even ask for it.
        if (vanished) return;
        if (!(error instanceof StatusError) || (error.code !== 404 && error.code !== 409)) throw error;
      });
      return RETRY_MS;
    }
    take("vanished");
    parts.gone(uid);
    return 0;
  };

  const steps: Record<PodState, () => Promise<number>> = {
    running: runStep,
    finished: finishedStep,
    terminating: terminateStep,
    stopped: stoppedStep,
    gone: () => Promise.resolve(RESYNC_MS),
  };

  /** A shorter grace than the one that is running: who deletes with force is not made to wait. */
  const hurry = () => {
    if (state !== "terminating" || stopGrace === undefined) return;
    const grace = vanished ? VANISHED_GRACE_SECONDS : (pod.metadata.deletionGracePeriodSeconds ?? stopGrace);
    if (grace >= stopGrace) return;
    stopGrace = grace;
    for (const one of observer.get(uid).containers)
      if (one.state === "CONTAINER_RUNNING") void runtime.stopContainer(one.id, grace).catch(() => undefined);
  };

  return {
    uid,
    pod: () => pod,
    state: () => state,
    update(next) {
      if (next === undefined) {
        vanished = true;
        take("vanished");
        if (state === "gone") parts.gone(uid);
      } else {
        pod = resizer.allocated(next);
        take(next.metadata.deletionTimestamp === undefined ? "changed" : "deleting");
      }
      hurry();
      wake();
    },
    wake,
    evict(why) {
      if (state !== "running" || verdict !== undefined) return false;
      verdict = why;
      wake();
      return true;
    },
    async stop() {
      stopping = true;
      clearTimeout(timer);
      prober.keep(uid, new Set());
      await loop;
    },
  };
}

const isOver = (pod: NodePod): boolean => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";

async function ignoreMissing(action: Promise<void>): Promise<void> {
  await action.catch((error: unknown) => {
    if (!isRuntimeNotFound(error)) throw error;
  });
}
