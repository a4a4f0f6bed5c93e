/** Whether a pod's volumes have to be looked at again: most wakes of its worker are about something else, its own writes of the status among them. */
import type { Clock } from "#platform/base/clock.ts";
import type { NodePod } from "../context.ts";
import type { VolumeManager } from "./manager.ts";

/** Changed ConfigMaps and Secrets, and tokens to renew, are found by the worker's next look after this. */
const CURRENT_MS = 15_000;

export interface Currency {
  due(pod: NodePod, podIPs: readonly string[]): boolean;
  /** They are as they should be now. */
  done(pod: NodePod, podIPs: readonly string[]): void;
}

export function createCurrency(volumes: Pick<VolumeManager, "due">, clock: Pick<Clock, "now">): Currency {
  let ensured = { of: "", at: 0 };
  /** What a volume's files may say of the pod itself. */
  const keyOf = ({ metadata, spec }: NodePod, podIPs: readonly string[]): string =>
    JSON.stringify([metadata.labels, metadata.annotations, spec, podIPs]);
  return {
    due: (pod, podIPs) =>
      clock.now() - ensured.at >= CURRENT_MS || ensured.of !== keyOf(pod, podIPs) || volumes.due(pod.metadata.uid),
    done(pod, podIPs) {
      ensured = { of: keyOf(pod, podIPs), at: clock.now() };
    },
  };
}
