/**
 * The machine is about to go (kubernetes/pkg/kubelet/nodeshutdown): the node takes no more pods and says so, and those that run end in order, critical ones
 * last, each within its own grace as far as there is time.
 */
import { delay } from "#platform/base/clock.ts";
import type { NodePod } from "./context.ts";
import { isCritical } from "./pressure/ranking.ts";
import type { Verdict } from "./status.ts";

/** The kubelet's shutdownGracePeriod and shutdownGracePeriodCriticalPods. */
const ALL_SECONDS = 30;
const CRITICAL_SECONDS = 10;
const LOOK_MS = 200;

export const SHUTTING_DOWN = "node is shutting down";
export const REFUSAL = { reason: "NodeShutdown", message: "Pod was rejected as the node is shutting down." };

export interface ShutdownParts {
  /** Pods that run. */
  pods(): NodePod[];
  evict(pod: NodePod, why: Verdict): boolean;
}

export const endOf = (pod: NodePod, seconds: number): Verdict => ({
  reason: "Terminated",
  message: "Pod was terminated in response to imminent node shutdown.",
  graceSeconds: Math.min(pod.spec.terminationGracePeriodSeconds ?? 30, seconds),
  disrupted: true,
});

/** Resolves when every pod has ended, or the time is over. */
export async function endPods(
  { pods, evict }: ShutdownParts,
  allSeconds = ALL_SECONDS,
  criticalSeconds = CRITICAL_SECONDS,
): Promise<void> {
  const phases: [seconds: number, isOne: (pod: NodePod) => boolean][] = [
    [allSeconds - criticalSeconds, (pod) => !isCritical(pod)],
    [criticalSeconds, isCritical],
  ];
  for (const [seconds, isOne] of phases) {
    for (const pod of pods().filter(isOne)) evict(pod, endOf(pod, seconds));
    for (let left = seconds * 1000; left > 0 && pods().some(isOne); left -= LOOK_MS) await delay(LOOK_MS);
  }
}
