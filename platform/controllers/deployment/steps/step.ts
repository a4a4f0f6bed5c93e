/** Rollouts that go by steps, stand side by side or go back, for Deployments whose annotations ask for it. */
import type { Deployment, PodTemplateSpec, ReplicaSet } from "#sdk/api/generated/types.ts";
import { DEPLOYMENTS } from "../../resources.ts";
import { TEMPLATE_HASH } from "../annotations.ts";
import { ensureNew } from "../create.ts";
import { desired, isRollingUpdate, specSum } from "../replicas.ts";
import { revisionOf, sameTemplate } from "../revision.ts";
import { active, newOf, oldOf, type Rollout, scale } from "../write.ts";
import { advance, type StepOutcome, type StepState, stateOf } from "./advance.ts";
import {
  holds,
  InvalidRollout,
  type Metric,
  PROMOTE,
  planOf,
  ROLLBACK,
  STATE,
  type StepPlan,
  shares,
  sizeOf,
  weightsOf,
} from "./plan.ts";
import { stepTargets, towards } from "./towards.ts";

export interface Stepped {
  /** Why nothing moves, where that is as it should be. */
  waiting?: string;
  recheckMs?: number;
}

/** Undefined where the rollout is a plain one. */
export async function stepping(r: Rollout): Promise<Stepped | undefined> {
  const asked = r.deployment.metadata.annotations?.[ROLLBACK];
  if (asked !== undefined) await rollBack(r, asked);
  if (!isRollingUpdate(r.deployment)) return undefined;
  try {
    const weights = weightsOf(r.deployment);
    if (weights) return await sideBySide(r, weights);
    const plan = planOf(r.deployment);
    const isFirst = active(oldOf(r)).length === 0 && stateOf(r.deployment)?.set !== newOf(r)?.metadata.name;
    return plan && !isFirst ? await takeStep(r, plan) : undefined;
  } catch (error) {
    if (!(error instanceof InvalidRollout)) throw error;
    r.recorder.event(r.deployment, "Warning", "InvalidRollout", error.message);
    return { waiting: error.message };
  }
}

async function takeStep(r: Rollout, plan: StepPlan): Promise<Stepped> {
  const [first] = plan.steps;
  const newSet = await ensureNew(r, first ? sizeOf(first, r.deployment) : desired(r.deployment));
  const outcome = advance({
    deployment: r.deployment,
    plan,
    newSet,
    others: specSum(active(oldOf(r))),
    metric: await verdict(r, plan.metric),
    now: Date.now(),
  });
  await remember(r, outcome);
  for (const { type, reason, message } of outcome.events) r.recorder.event(r.deployment, type, reason, message);
  if (outcome.rollBack !== undefined) {
    const why = `${newSet.metadata.name} is rolled back: ${outcome.rollBack}`;
    r.recorder.event(r.deployment, "Warning", "RolloutFailed", why);
    await rollBack(r, "previous", plan.steps.length);
    return { recheckMs: 0 };
  }
  await approach(r, stepTargets(r.deployment, r.sets, newSet, outcome.target));
  const { waiting, recheckMs } = outcome;
  return { ...(waiting === undefined ? {} : { waiting }), ...(recheckMs === undefined ? {} : { recheckMs }) };
}

async function approach(r: Rollout, targets: ReadonlyMap<string, number>): Promise<void> {
  const sizes = towards(r.deployment, r.sets, targets);
  for (const rs of r.sets) {
    const size = sizes.get(rs.metadata.name ?? "");
    if (size !== undefined) await scale(r, rs, size);
  }
}

/** Asked once the step is healthy only: before there is nothing to measure. */
async function verdict(r: Rollout, metric: Metric | undefined): Promise<"good" | "bad" | "unknown" | undefined> {
  if (!metric || stateOf(r.deployment)?.healthySince === undefined) return metric && "unknown";
  try {
    const values = await r.metrics.external(metric.name, r.deployment.metadata.namespace ?? "", metric.selector);
    return holds(metric, values.reduce((sum, value) => sum + value, 0) / 1000) ? "good" : "bad";
  } catch {
    return "unknown";
  }
}

async function remember(r: Rollout, { state, promoted }: StepOutcome): Promise<void> {
  const text = state && JSON.stringify(state);
  const annotations = r.deployment.metadata.annotations ?? {};
  if (!promoted && (text === undefined || text === annotations[STATE])) return;
  await annotate(r, { ...(text === undefined ? {} : { [STATE]: text }), ...(promoted ? { [PROMOTE]: null } : {}) });
}

async function annotate(r: Rollout, annotations: Record<string, string | null>): Promise<void> {
  const { namespace, name = "" } = r.deployment.metadata;
  const body = { metadata: { annotations } };
  r.deployment = await r.client.patch<Deployment>(DEPLOYMENTS, { namespace, name }, { type: "merge", body });
}

/** `to`: a revision, or "previous". The version that is gone back to comes without steps. */
async function rollBack(r: Rollout, to: string, steps = Number.MAX_SAFE_INTEGER): Promise<void> {
  const target = to === "previous" ? previousOf(r) : r.sets.find((rs) => String(revisionOf(rs)) === to);
  if (!target || sameTemplate(target.spec?.template, r.deployment.spec?.template)) {
    const [reason, message] = target
      ? [
          "DeploymentRollbackTemplateUnchanged",
          `The rollback revision contains the same template as current deployment "${r.deployment.metadata.name}"`,
        ]
      : ["DeploymentRollbackRevisionNotFound", "Unable to find the revision to rollback to."];
    r.recorder.event(r.deployment, "Warning", reason, message);
    return annotate(r, { [ROLLBACK]: null });
  }
  const { [ROLLBACK]: _, [PROMOTE]: __, ...annotations } = r.deployment.metadata.annotations ?? {};
  const state: StepState = { set: target.metadata.name ?? "", step: steps, since: Date.now() };
  annotations[STATE] = JSON.stringify(state);
  const spec = { ...r.deployment.spec!, template: plainTemplate(target) };
  const metadata = { ...r.deployment.metadata, annotations };
  r.deployment = await r.client.update<Deployment>(DEPLOYMENTS, { ...r.deployment, metadata, spec });
  const message = `Rolled back deployment "${metadata.name}" to revision ${revisionOf(target)}`;
  r.recorder.event(r.deployment, "Normal", "DeploymentRollback", message);
}

const previousOf = (r: Rollout): ReplicaSet | undefined =>
  oldOf(r).toSorted((a, b) => (revisionOf(a) < revisionOf(b) ? 1 : -1))[0];

function plainTemplate(rs: ReplicaSet): PodTemplateSpec {
  const template = rs.spec?.template ?? {};
  const { [TEMPLATE_HASH]: _, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

async function sideBySide(r: Rollout, weights: ReadonlyMap<string, number>): Promise<Stepped> {
  await ensureNew(r, 0);
  const names = new Map<string, number>();
  for (const [revision, weight] of weights) {
    const rs = r.sets.find((set) => String(revisionOf(set)) === revision);
    if (!rs) throw new InvalidRollout(`there is no revision ${revision} to give a weight`);
    names.set(rs.metadata.name ?? "", weight);
  }
  await approach(r, shares(names, desired(r.deployment)));
  return { waiting: `has revisions side by side: ${[...weights].map(([k, v]) => `${k}=${v}`).join(", ")}` };
}
