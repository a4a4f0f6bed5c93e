/** From what the metrics ask for to what is done: stabilization and rates (upstream: pkg/controller/podautoscaler/horizontal.go). Pure but for the history. */
import type { HorizontalPodAutoscalerBehavior, HPAScalingRules } from "#sdk/api/generated/types.ts";
import { changedWithin, type History, remember } from "./history.ts";

/** Upstream's --horizontal-pod-autoscaler-downscale-stabilization. */
export const DOWNSCALE_WINDOW_SECONDS = 300;
const SCALE_UP_FACTOR = 2;
const SCALE_UP_LEAST = 4;

export interface Bounds {
  min: number;
  max: number;
  current: number;
  behavior: HorizontalPodAutoscalerBehavior | undefined;
}

interface Verdict {
  replicas: number;
  reason: string;
  message: string;
}

export interface Limited {
  replicas: number;
  able: { reason: string; message: string };
  limited: { isLimited: boolean; reason: string; message: string };
}

const WITHIN = { reason: "DesiredWithinRange", message: "the desired count is within the acceptable range" };
const TOO_FEW = {
  reason: "TooFewReplicas",
  message: "the desired replica count is less than the minimum replica count",
};
const TOO_MANY = {
  reason: "TooManyReplicas",
  message: "the desired replica count is more than the maximum replica count",
};
const UP_FAST = {
  reason: "ScaleUpLimit",
  message: "the desired replica count is increasing faster than the maximum scale rate",
};
const DOWN_FAST = {
  reason: "ScaleDownLimit",
  message: "the desired replica count is decreasing faster than the maximum scale rate",
};
const DOWN_STABILIZED = {
  reason: "ScaleDownStabilized",
  message: "recent recommendations were higher than current one, applying the highest recent recommendation",
};
const UP_STABILIZED = {
  reason: "ScaleUpStabilized",
  message: "recent recommendations were lower than current one, applying the lowest recent recommendation",
};
const READY = { reason: "ReadyForNewScale", message: "recommended size matches current size" };

/** `asked`: what the metrics say. The recommendation is remembered. `now` in milliseconds. */
export function limit(bounds: Bounds, asked: number, history: History, now: number): Limited {
  const stabilized = bounds.behavior
    ? stabilizeByRules(bounds, bounds.behavior, asked, history, now)
    : stabilize(asked, history, now);
  const wanted = stabilized.replicas;
  const verdict = bounds.behavior ? rateByRules(bounds, bounds.behavior, wanted, history, now) : rate(bounds, wanted);
  return {
    replicas: verdict.replicas,
    able: wanted === asked ? READY : { reason: stabilized.reason, message: stabilized.message },
    limited: { isLimited: verdict.replicas !== wanted, reason: verdict.reason, message: verdict.message },
  };
}

function stabilize(asked: number, history: History, now: number): Verdict {
  const windowMs = DOWNSCALE_WINDOW_SECONDS * 1000;
  const recent = history.recommendations.filter((r) => r.at >= now - windowMs).map((r) => r.replicas);
  remember(history, asked, windowMs, now);
  return { replicas: Math.max(asked, ...recent), ...DOWN_STABILIZED };
}

function stabilizeByRules(
  { current }: Bounds,
  behavior: HorizontalPodAutoscalerBehavior,
  asked: number,
  history: History,
  now: number,
): Verdict {
  const upMs = (behavior.scaleUp?.stabilizationWindowSeconds ?? 0) * 1000;
  const downMs = (behavior.scaleDown?.stabilizationWindowSeconds ?? DOWNSCALE_WINDOW_SECONDS) * 1000;
  const since = (windowMs: number) => history.recommendations.filter((r) => r.at > now - windowMs);
  const atLeast = Math.min(asked, ...since(upMs).map((r) => r.replicas));
  const atMost = Math.max(asked, ...since(downMs).map((r) => r.replicas));
  remember(history, asked, Math.max(upMs, downMs), now);
  const replicas = Math.min(Math.max(current, atLeast), atMost);
  return { replicas, ...(asked >= current ? UP_STABILIZED : DOWN_STABILIZED) };
}

/** Without rules: at most twice as many at a time, and four at least. */
function rate({ min, max, current }: Bounds, wanted: number): Verdict {
  const fastest = Math.max(SCALE_UP_FACTOR * current, SCALE_UP_LEAST);
  if (wanted < min) return { replicas: min, ...TOO_FEW };
  if (wanted > Math.min(max, fastest))
    return max > fastest ? { replicas: fastest, ...UP_FAST } : { replicas: max, ...TOO_MANY };
  return { replicas: wanted, ...WITHIN };
}

function rateByRules(
  { min, max, current }: Bounds,
  behavior: HorizontalPodAutoscalerBehavior,
  wanted: number,
  history: History,
  now: number,
): Verdict {
  if (wanted > current) {
    const fastest = Math.max(current, furthest(behavior.scaleUp, "up", current, history, now));
    const [most, why] = max > fastest ? [fastest, UP_FAST] : [max, TOO_MANY];
    if (wanted > most) return { replicas: most, ...why };
  } else if (wanted < current) {
    const fastest = Math.min(current, furthest(behavior.scaleDown, "down", current, history, now));
    const [least, why] = min < fastest ? [fastest, DOWN_FAST] : [min, TOO_FEW];
    if (wanted < least) return { replicas: least, ...why };
  }
  return { replicas: wanted, ...WITHIN };
}

/** How far the policies let the size go, counted from what it was at the beginning of each one's period. */
function furthest(
  rules: HPAScalingRules | undefined,
  direction: "up" | "down",
  current: number,
  history: History,
  now: number,
): number {
  if (!rules || rules.selectPolicy === "Disabled") return current;
  const proposals = (rules.policies ?? []).map(({ type, value, periodSeconds }) => {
    const added = changedWithin(history.ups, periodSeconds, now);
    const taken = changedWithin(history.downs, periodSeconds, now);
    const start = current - added + taken;
    const sign = direction === "up" ? 1 : -1;
    if (type === "Pods") return start + sign * value;
    const share = start * (1 + (sign * value) / 100);
    // Rounded so that a policy that allows anything at all allows one pod.
    return direction === "up" ? Math.ceil(share) : Math.trunc(share);
  });
  if (proposals.length === 0) return current;
  const least = (rules.selectPolicy === "Min") === (direction === "up");
  return least ? Math.min(...proposals) : Math.max(...proposals);
}
