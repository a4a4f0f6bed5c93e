/**
 * Liveness, readiness and startup probes (kubernetes/pkg/kubelet/prober). One timer per running container and kind; results
 * belong to a container id, so that a restarted container begins anew. Until it has started, only the startup probe runs.
 */
import type { Container, Probe } from "#sdk/api/generated/types.ts";
import { isSidecar } from "./cgroups.ts";
import { type CheckTarget, check } from "./checks.ts";
import type { NodeContext, NodePod } from "./context.ts";
import type { Observation } from "./observe.ts";

type Kind = "startup" | "liveness" | "readiness";

/**
 * A program that is not up yet when its container has started is asked again before a whole period has passed (upstream asks again whenever the
 * pod is looked at, which in a pod's first seconds is often): after this long, then after twice as long each time, up to the period.
 */
const EARLY_MS = 250;

interface Running {
  kind: Kind;
  probe: Probe;
  result: boolean | undefined;
  successes: number;
  failures: number;
  timer: NodeJS.Timeout | undefined;
  stopped: boolean;
}

export interface Prober {
  /** Starts what is missing for a running container. `changed` is called when a result changes what the pod needs. */
  watch(
    pod: NodePod,
    container: Container,
    containerId: string,
    startedAtMs: number,
    podIP: string,
    changed: () => void,
  ): void;
  /** Ends the probes of every container of the pod that is not among these. */
  keep(uid: string, containerIds: Set<string>): void;
  liveness(containerId: string): boolean | undefined;
  startup(containerId: string): boolean | undefined;
  readiness(containerId: string): boolean | undefined;
}

const TITLE: Record<Kind, string> = { startup: "Startup", liveness: "Liveness", readiness: "Readiness" };

export function createProber(context: NodeContext): Prober {
  /** By container id. */
  const all = new Map<string, { uid: string; probes: Partial<Record<Kind, Running>> }>();
  const resultOf = (id: string, kind: Kind) => all.get(id)?.probes[kind]?.result;

  /** `early`: one more than the probe's period asks for, whose failure is no news. */
  const step = async (pod: NodePod, target: CheckTarget, one: Running, early: boolean, changed: () => void) => {
    const probes = all.get(target.containerId)?.probes;
    const started = probes?.startup === undefined || probes.startup.result === true;
    if (one.kind === "startup" ? one.result !== undefined : !started) return;
    const timeout = one.probe.timeoutSeconds ?? 1;
    const { ok, output } = await check(target, one.probe, timeout);
    if (one.stopped) return;
    if (ok) {
      one.successes++;
      one.failures = 0;
    } else {
      one.successes = 0;
      if (early) return;
      one.failures++;
      const about = { fieldPath: `spec.containers{${target.container.name}}` };
      context.recorder.event(pod, "Warning", "Unhealthy", `${TITLE[one.kind]} probe failed: ${output}`, about);
    }
    const before = one.result;
    if (one.successes >= (one.probe.successThreshold ?? 1)) one.result = true;
    else if (one.failures >= (one.probe.failureThreshold ?? 3)) one.result = false;
    if (one.result !== before) changed();
  };

  const begin = (pod: NodePod, target: CheckTarget, one: Running, startedAtMs: number, changed: () => void) => {
    const period = (one.probe.periodSeconds ?? 10) * 1000;
    /** Begins with the first failure and ends for good when it is ready. */
    let earlyMs = Number.POSITIVE_INFINITY;
    let asked = false;
    /** When its period asks for the next one. */
    let due = startedAtMs + (one.probe.initialDelaySeconds ?? 0) * 1000;
    const plan = (): void => {
      const now = context.clock.now();
      const regular = Math.max(0, due - now);
      const early = earlyMs < regular && one.successes === 0;
      one.timer = setTimeout(() => void probe(early), early ? earlyMs : regular);
      if (early) earlyMs *= 2;
    };
    const probe = async (early: boolean): Promise<void> => {
      one.timer = undefined;
      if (!early) due = context.clock.now() + period;
      await step(pod, target, one, early, changed);
      if (!asked && one.kind === "readiness") earlyMs = EARLY_MS;
      asked = true;
      if (one.result === true) earlyMs = Number.POSITIVE_INFINITY;
      // After a failed liveness or startup probe the container is stopped: nothing more to ask.
      const over = one.kind !== "readiness" && one.result === false;
      if (!one.stopped && !over && !(one.kind === "startup" && one.result === true)) plan();
    };
    plan();
  };

  return {
    watch(pod, container, containerId, startedAtMs, podIP, changed) {
      if (all.has(containerId)) return;
      const probes: Partial<Record<Kind, Running>> = {};
      all.set(containerId, { uid: pod.metadata.uid, probes });
      const target = { runtime: context.runtime, container, containerId, podIP: context.reach(podIP) };
      const wanted: [Kind, Probe | undefined][] = [
        ["startup", container.startupProbe],
        ["liveness", container.livenessProbe],
        ["readiness", container.readinessProbe],
      ];
      for (const [kind, probe] of wanted) {
        if (probe === undefined) continue;
        const one: Running = {
          kind,
          probe,
          result: undefined,
          successes: 0,
          failures: 0,
          timer: undefined,
          stopped: false,
        };
        probes[kind] = one;
        begin(pod, target, one, startedAtMs, changed);
      }
    },
    keep(uid, containerIds) {
      for (const [id, entry] of all) {
        if (entry.uid !== uid || containerIds.has(id)) continue;
        for (const one of Object.values(entry.probes)) {
          one.stopped = true;
          clearTimeout(one.timer);
        }
        all.delete(id);
      }
    },
    liveness: (id) => resultOf(id, "liveness"),
    startup: (id) => resultOf(id, "startup"),
    readiness: (id) => resultOf(id, "readiness"),
  };
}

/** Probes the pod's containers that run, and none of those that ran before. `changed` as in `watch`. */
export function probeRunning(
  prober: Pick<Prober, "watch" | "keep">,
  pod: NodePod,
  seen: Observation,
  podIP: string,
  changed: () => void,
): void {
  const live = new Set<string>();
  for (const container of [...pod.spec.containers, ...(pod.spec.initContainers ?? []).filter(isSidecar)]) {
    const running = seen.containers.find((one) => one.name === container.name && one.state === "CONTAINER_RUNNING");
    if (running === undefined) continue;
    live.add(running.id);
    const startedAtMs = Number(BigInt(running.startedAt ?? 0) / 1_000_000n);
    prober.watch(pod, container, running.id, startedAtMs, podIP, changed);
  }
  prober.keep(pod.metadata.uid, live);
}
