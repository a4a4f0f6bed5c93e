/** Where a rollout by steps stands and whether it goes on: pure. What is known is kept in an annotation, so that any process may go on. */
import { z } from "zod";
import type { Deployment, ReplicaSet } from "#sdk/api/generated/types.ts";
import { desired } from "../replicas.ts";
import { PROMOTE, STATE, type Step, type StepPlan, sizeOf } from "./plan.ts";

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

export interface StepEvent {
  type: "Normal" | "Warning";
  reason: string;
  message: string;
}

const told = (type: StepEvent["type"], reason: string, message: string): StepEvent => ({ type, reason, message });

export interface StepOutcome {
  /** Undefined where there is nothing to remember: the first version comes at once. */
  state: StepState | undefined;
  /** Pods that the new version may have now. */
  target: number;
  events: StepEvent[];
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
  const { deployment, plan, newSet, others } = input;
  const before = stateOf(deployment);
  if (before?.set !== newSet.metadata.name && others === 0)
    return { state: before, target: desired(deployment), events: [] };
  const { state, ...begun } = begin(input, before);
  const step = plan.steps[state.step];
  const target = step ? sizeOf(step, deployment) : desired(deployment);
  if (!step || state.step >= plan.steps.length - 1) return { ...begun, state, target };
  if (state.failed !== undefined) return { ...begun, state, target, waiting: state.failed };
  const outcome = judge(input, state, step, target);
  return { ...begun, ...outcome, events: [...begun.events, ...outcome.events] };
}

/** The step a rollout stands at, once it has begun and been promoted. */
function begin(
  input: StepInput,
  before: StepState | undefined,
): { state: StepState; events: StepEvent[]; promoted?: boolean } {
  const { deployment, plan, newSet, now } = input;
  const name = newSet.metadata.name ?? "";
  const last = plan.steps.length - 1;
  const events: StepEvent[] = [];
  let state = before?.set === name ? before : undefined;
  if (!state) {
    state = { set: name, step: firstStep(input), since: now };
    events.push(told("Normal", "RolloutStarted", `Rolling out ${name}: ${describe(plan, state.step)}`));
  }
  const asked = deployment.metadata.annotations?.[PROMOTE];
  if (asked !== undefined && state.step < last) {
    state = { set: name, step: asked === "all" ? last : state.step + 1, since: now };
    events.push(told("Normal", "RolloutPromoted", `Promoted ${name}: ${describe(plan, state.step)}`));
  }
  // More than there are: a version that was gone back to, or a plan that became shorter.
  if (state.step > last) state = { ...state, step: last };
  return { state, events, ...(asked === undefined ? {} : { promoted: true }) };
}

/** Whether a step that is not the last one fails, waits or is over. */
function judge(input: StepInput, state: StepState, step: Step, target: number): StepOutcome {
  const { deployment, plan, now } = input;
  const name = state.set;
  const { healthy, failure } = healthOf(input, state, target);
  if (failure !== undefined && plan.rollsBack) return { state, target, events: [], rollBack: failure };
  if (failure !== undefined) {
    const message = `${name} is held at ${describe(plan, state.step)}: ${failure}`;
    const events = [told("Warning", "RolloutHeld", message)];
    return { state: { ...state, failed: failure }, target, events, waiting: failure };
  }
  if (!healthy) {
    const { healthySince, ...rest } = state;
    const since = healthySince === undefined ? state.since : now;
    return { state: { ...rest, since }, target, events: [], recheckMs: since + plan.deadlineMs - now };
  }
  const healthySince = state.healthySince ?? now;
  const bakeMs = healthySince + step.bakeMs - now;
  const isMeasured = input.metric === undefined || input.metric === "good";
  if (step.hold || bakeMs > 0 || !isMeasured) {
    const waitMs = plan.metric ? Math.min(METRIC_MS, bakeMs > 0 ? bakeMs : METRIC_MS) : bakeMs;
    const recheck = waitMs > 0 ? { recheckMs: waitMs } : {};
    const waiting = describe(plan, state.step);
    return { state: { ...state, healthySince }, target, events: [], waiting, ...recheck };
  }
  const next: StepState = { set: name, step: state.step + 1, since: now };
  const following = plan.steps[next.step];
  return {
    state: next,
    target: following ? sizeOf(following, deployment) : desired(deployment),
    events: [told("Normal", "RolloutStep", `${name} goes on: ${describe(plan, next.step)}`)],
    recheckMs: plan.deadlineMs,
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
