/** Where a rollout by steps stands and whether it goes on: pure. What is known is kept in an annotation, so that any process may go on. */
import { z } from "zod";
import type { Deployment, ReplicaSet } from "#sdk/api/generated/types.ts";
import { desired } from "../replicas.ts";
import { PROMOTE, STATE, type StepPlan, sizeOf } from "./plan.ts";

const stateSchema = z.object({
  /** The new version's ReplicaSet. */
  set: z.string(),
  step: z.number().int().min(0),
  /** Milliseconds: when the step began, or was last unhealthy. */
  since: z.number(),
  healthySince: z.number().optional(),
  /** Why it does not go on. */
  failed: z.string().optional(),
});
export type StepState = z.infer<typeof stateSchema>;

/** What somebody else has written there says nothing. */
export function stateOf(d: Deployment): StepState | undefined {
  try {
    return stateSchema.safeParse(JSON.parse(d.metadata.annotations?.[STATE] ?? "")).data;
  } catch {
    return undefined;
  }
}

export interface StepInput {
  deployment: Deployment;
  plan: StepPlan;
  newSet: ReplicaSet;
  /** Replicas of other versions, by their specs. */
  others: number;
  /** What the metric says; "unknown" where it does not answer. */
  metric: "good" | "bad" | "unknown" | undefined;
  now: number;
}

export interface StepOutcome {
  /** Undefined where there is nothing to remember: the first version comes at once. */
  state: StepState | undefined;
  /** Pods that the new version may have now. */
  target: number;
  events: { type: "Normal" | "Warning"; reason: string; message: string }[];
  rollBack?: string;
  /** The step is as large as it should be and waits: no lack of progress. */
  waiting?: string;
  recheckMs?: number;
  /** The annotation "promote" has done its work. */
  promoted?: boolean;
}

/** How often a metric is asked. */
const METRIC_MS = 10_000;

export function advance(input: StepInput): StepOutcome {
  const { deployment, plan, newSet, others, now } = input;
  const name = newSet.metadata.name ?? "";
  const last = plan.steps.length - 1;
  const before = stateOf(deployment);
  if (before?.set !== name && others === 0) return { state: before, target: desired(deployment), events: [] };
  const events: StepOutcome["events"] = [];
  let state: StepState = before?.set === name ? before : { set: name, step: firstStep(input), since: now };
  const told = (type: "Normal" | "Warning", reason: string, message: string) => events.push({ type, reason, message });
  if (state !== before) told("Normal", "RolloutStarted", `Rolling out ${name}: ${describe(plan, state.step)}`);
  const asked = deployment.metadata.annotations?.[PROMOTE];
  const promoted = asked === undefined ? {} : { promoted: true };
  if (asked !== undefined && state.step < last) {
    state = { set: name, step: asked === "all" ? last : state.step + 1, since: now };
    told("Normal", "RolloutPromoted", `Promoted ${name}: ${describe(plan, state.step)}`);
  }
  const step = plan.steps[Math.min(state.step, last)];
  const target = step ? sizeOf(step, deployment) : desired(deployment);
  if (!step || state.step >= last) return { state: { ...state, step: last }, target, events, ...promoted };
  if (state.failed !== undefined) return { state, target, events, waiting: state.failed, ...promoted };

  const health = healthOf(input, state, target);
  if (health.failure !== undefined) {
    if (plan.rollsBack) return { state, target, events, rollBack: health.failure, ...promoted };
    told("Warning", "RolloutHeld", `${name} is held at ${describe(plan, state.step)}: ${health.failure}`);
    return { state: { ...state, failed: health.failure }, target, events, waiting: health.failure, ...promoted };
  }
  if (!health.healthy) {
    const since = state.healthySince === undefined ? state.since : now;
    const { healthySince: _, ...rest } = state;
    return { state: { ...rest, since }, target, events, recheckMs: since + plan.deadlineMs - now, ...promoted };
  }
  const healthySince = state.healthySince ?? now;
  const bakeMs = healthySince + step.bakeMs - now;
  const isMeasured = input.metric === undefined || input.metric === "good";
  if (step.hold || bakeMs > 0 || !isMeasured) {
    const waitMs = plan.metric ? Math.min(METRIC_MS, bakeMs > 0 ? bakeMs : METRIC_MS) : bakeMs;
    return {
      state: { ...state, healthySince },
      target,
      events,
      waiting: describe(plan, state.step),
      ...(waitMs > 0 ? { recheckMs: waitMs } : {}),
      ...promoted,
    };
  }
  const next: StepState = { set: name, step: state.step + 1, since: now };
  told("Normal", "RolloutStep", `${name} goes on: ${describe(plan, next.step)}`);
  const following = plan.steps[next.step];
  return {
    state: next,
    target: following ? sizeOf(following, deployment) : desired(deployment),
    events,
    recheckMs: plan.deadlineMs,
    ...promoted,
  };
}

/** A version that still has pods, because its successor was taken back half-way, loses none of them. */
function firstStep({ deployment, plan, newSet }: StepInput): number {
  const index = plan.steps.findIndex((step) => sizeOf(step, deployment) >= desired(newSet));
  return index < 0 ? plan.steps.length - 1 : index;
}

function healthOf(
  { newSet, metric, plan, now }: StepInput,
  state: StepState,
  target: number,
): { healthy: boolean; failure?: string } {
  if (metric === "bad" && state.healthySince !== undefined && plan.metric) {
    const { name, operator, value } = plan.metric;
    return { healthy: false, failure: `the metric ${name} is not ${operator} ${value}` };
  }
  const healthy = desired(newSet) >= target && (newSet.status?.availableReplicas ?? 0) >= target;
  const sinceMs = now - (state.healthySince === undefined ? state.since : now);
  if (healthy || sinceMs <= plan.deadlineMs) return { healthy };
  const seconds = Math.round(plan.deadlineMs / 1000);
  return {
    healthy,
    failure: `${newSet.status?.availableReplicas ?? 0} of ${target} pods are available after ${seconds}s`,
  };
}

const describe = ({ steps }: StepPlan, index: number): string => {
  const { weight = "", hold = false, bakeMs = 0 } = steps[index] ?? {};
  const waits = hold ? ", until promoted" : bakeMs > 0 ? `, for ${Math.round(bakeMs / 1000)}s` : "";
  return `step ${index + 1} of ${steps.length} (${weight}${waits})`;
};
