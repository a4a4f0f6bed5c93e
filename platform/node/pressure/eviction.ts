/** A node that is short of something says so, frees what nobody needs, and then ends one pod at a time. */
import type { KubeObject } from "#sdk/api/object.ts";
import type { NodeContext, NodePod } from "../context.ts";
import type { Observer } from "../observe.ts";
import {
  evictionMessage,
  hasStorageLimits,
  isCritical,
  type PodUsage,
  rank,
  refusalUnder,
  storageExcess,
} from "./ranking.ts";
import { podUsages, readSignals } from "./signals.ts";
import {
  DEFAULT_THRESHOLDS,
  holdingPressures,
  type Met,
  metThresholds,
  type PressureType,
  type Scarce,
  type Signals,
  scarceOf,
  type Threshold,
} from "./thresholds.ts";

/** What pods wrote is measured no more often. */
const STORAGE_MS = 60_000;
/** What was ended needs a while to be gone: the next one is not ended for the same shortage. */
const SETTLE_MS = 30_000;
const GRACE_SECONDS = 1;

export interface Evicted {
  reason: "Evicted";
  message: string;
  graceSeconds: number;
  /** Adds the condition DisruptionTarget. */
  disrupted: boolean;
}

export interface EvictionParts {
  context: NodeContext;
  observer: Pick<Observer, "get">;
  node: KubeObject;
  /** Pods that run. */
  pods(): NodePod[];
  /** False when the pod does not run any more. */
  evict(pod: NodePod, why: Evicted): boolean;
  /** Frees what no pod needs: images, dead containers. Answers what it freed, in bytes. */
  reclaim(): Promise<number>;
  thresholds?: readonly Threshold[];
  signals?: () => Promise<Signals>;
  usages?: (pods: readonly NodePod[], disk: boolean) => Promise<Map<string, PodUsage>>;
}

export interface Eviction {
  /** To be called every ten seconds or so. */
  check(): Promise<void>;
  pressures(): ReadonlySet<PressureType>;
  /** Why the node refuses a pod now. */
  refuses(pod: NodePod): string | undefined;
}

export function createEviction(parts: EvictionParts): Eviction {
  const { context, observer, node } = parts;
  const { clock, recorder, settings, log } = context;
  const thresholds = parts.thresholds ?? DEFAULT_THRESHOLDS;
  const signals = parts.signals ?? (() => readSignals(settings.directory, clock.now()));
  const usages = parts.usages ?? ((pods, disk) => podUsages(context, observer, pods, disk));
  const lastMet = new Map<PressureType, number>();
  let pressures: ReadonlySet<PressureType> = new Set();
  let storageAt = Number.NEGATIVE_INFINITY;
  let evictedAt = Number.NEGATIVE_INFINITY;

  const evict = (pod: NodePod, message: string, disrupted: boolean): boolean => {
    const done = parts.evict(pod, { reason: "Evicted", message, graceSeconds: GRACE_SECONDS, disrupted });
    if (done) recorder.event(pod, "Warning", "Evicted", message);
    return done;
  };

  /** Pods that wrote more than they may go whatever the node has left. */
  const checkStorage = async (): Promise<boolean> => {
    const limited = parts.pods().filter((pod) => hasStorageLimits(pod) && !isCritical(pod));
    if (limited.length === 0 || clock.now() - storageAt < STORAGE_MS) return false;
    storageAt = clock.now();
    const used = await usages(limited, true);
    const over = limited.filter((pod) => {
      const usage = used.get(pod.metadata.uid);
      const message = usage === undefined ? undefined : storageExcess(pod, usage);
      return message !== undefined && evict(pod, message, false);
    });
    return over.length > 0;
  };

  const relieve = async (met: Met, scarce: Scarce): Promise<void> => {
    recorder.event(node, "Warning", "EvictionThresholdMet", `Attempting to reclaim ${scarce}`);
    const disk = scarce === "ephemeral-storage" || scarce === "inodes";
    if (disk && (await parts.reclaim()) > 0 && metThresholds([met.threshold], await signals()).length === 0) return;
    if (clock.now() - evictedAt < SETTLE_MS) return;
    const pods = parts.pods().filter((pod) => !isCritical(pod));
    const used = await usages(pods, disk);
    for (const pod of rank(pods, scarce, (one) => used.get(one.metadata.uid))) {
      const message = evictionMessage(pod, scarce, met, used.get(pod.metadata.uid));
      if (!evict(pod, message, true)) continue;
      log.warn("a pod is evicted", {
        tenant: pod.metadata.annotations?.["capstan.dev/tenant"],
        pod: pod.metadata.name,
        message,
      });
      evictedAt = clock.now();
      return;
    }
  };

  return {
    pressures: () => pressures,
    refuses: (pod) => refusalUnder(pressures, pod),
    async check() {
      const met = metThresholds(thresholds, await signals());
      pressures = holdingPressures(met, lastMet, clock.now());
      if (await checkStorage()) return;
      const [first] = met;
      if (first !== undefined) await relieve(first, scarceOf(first.threshold.signal));
    },
  };
}
