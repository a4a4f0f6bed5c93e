/** One step of bringing a Deployment's ReplicaSets to where they should be (upstream: sync.go, rolling.go, recreate.go). */
import { isReason } from "#sdk/api/status.ts";
import { controllerOf, isFinished, isTerminating } from "../objects.ts";
import { REPLICA_SETS } from "../resources.ts";
import { DESIRED_REPLICAS } from "./annotations.ts";
import { ensureNew, syncNew } from "./create.ts";
import {
  byAge,
  desired,
  isRollingUpdate,
  isSaturated,
  newReplicaSetSize,
  scaleDownOld,
  scaleInProportion,
  sum,
} from "./replicas.ts";
import { revisionOf } from "./revision.ts";
import { baseStatus, deadlineCheckMs, isComplete, pausedCondition, rolloutStatus } from "./status.ts";
import { stepping } from "./steps/step.ts";
import { active, newOf, oldOf, type Rollout, scale, writeCondition, writeStatus } from "./write.ts";

export type { Rollout } from "./write.ts";

/** Returns when to look again for the progress deadline. */
export async function reconcileDeployment(r: Rollout): Promise<{ requeueAfterMs: number } | undefined> {
  if (isTerminating(r.deployment))
    return void (await writeStatus(r, baseStatus(r.deployment, r.sets, newOf(r), Date.now())));
  const paused = pausedCondition(r.deployment, Date.now());
  if (paused) await writeCondition(r, paused);
  if (r.deployment.spec?.paused || (await wasScaled(r))) return void (await scaleOnly(r));
  const steps = await stepping(r);
  if (steps && isComplete(r.deployment, r.deployment.status)) await cleanUp(r);
  if (!steps && isRollingUpdate(r.deployment)) await rollingStep(r);
  else if (!steps) await recreateStep(r);
  const status = rolloutStatus(r.deployment, r.sets, newOf(r), Date.now(), steps?.waiting);
  await writeStatus(r, status);
  const checks = [deadlineCheckMs(r.deployment, status, Date.now()), steps?.recheckMs].filter((ms) => ms !== undefined);
  return checks.length === 0 ? undefined : { requeueAfterMs: Math.max(0, Math.min(...checks)) };
}

async function rollingStep(r: Rollout): Promise<void> {
  const newSet = await ensureNew(r);
  const d = r.deployment;
  const size = desired(newSet) > desired(d) ? desired(d) : newReplicaSetSize(d, r.sets, newSet);
  if (desired(newSet) !== desired(d) && (await scale(r, newSet, size))) return;
  const sizes = scaleDownOld(d, r.sets, active(oldOf(r)), newSet);
  for (const rs of oldOf(r)) await scale(r, rs, sizes.get(rs.metadata.name ?? "") ?? desired(rs));
  if (sizes.size === 0 && isComplete(d, d.status)) await cleanUp(r);
}

async function recreateStep(r: Rollout): Promise<void> {
  await syncNew(r);
  const old = active(oldOf(r));
  for (const rs of old) await scale(r, rs, 0);
  if (old.length > 0 || oldPodsRun(r)) return;
  const newSet = await ensureNew(r);
  await scale(r, newSet, desired(r.deployment));
  if (isComplete(r.deployment, r.deployment.status)) await cleanUp(r);
}

function oldPodsRun(r: Rollout): boolean {
  const newUid = newOf(r)?.metadata.uid;
  if (sum(oldOf(r), (rs) => rs.status?.replicas) > 0) return true;
  return r.pods.some((pod) => controllerOf(pod)?.uid !== newUid && !isFinished(pod));
}

/** Some active ReplicaSet remembers another size of the Deployment than it has now. */
async function wasScaled(r: Rollout): Promise<boolean> {
  await syncNew(r);
  return active(r.sets).some((rs) => {
    const remembered = rs.metadata.annotations?.[DESIRED_REPLICAS];
    return remembered !== undefined && Number(remembered) !== desired(r.deployment);
  });
}

/** Paused or scaled: no progress of the rollout, only sizes. */
async function scaleOnly(r: Rollout): Promise<void> {
  await syncNew(r);
  await scaleAll(r);
  if (r.deployment.spec?.paused) await cleanUp(r);
  await writeStatus(r, baseStatus(r.deployment, r.sets, newOf(r), Date.now()));
}

async function scaleAll(r: Rollout): Promise<void> {
  const [d, newSet] = [r.deployment, newOf(r)];
  const actives = active(r.sets);
  if (actives.length <= 1) {
    const only = actives[0] ?? newSet ?? r.sets.toSorted(byAge).at(-1);
    if (only) await scale(r, only, desired(d), true);
    return;
  }
  if (isSaturated(d, newSet)) {
    for (const rs of active(oldOf(r))) await scale(r, rs, 0);
    return;
  }
  if (!isRollingUpdate(d)) return;
  const sizes = scaleInProportion(d, actives);
  for (const rs of actives) await scale(r, rs, sizes.get(rs.metadata.name ?? "") ?? desired(rs), true);
}

/** Old ReplicaSets beyond revisionHistoryLimit go, the oldest first, when nothing is left in them. */
async function cleanUp(r: Rollout): Promise<void> {
  const limit = r.deployment.spec?.revisionHistoryLimit ?? 10;
  const old = oldOf(r).filter((rs) => !isTerminating(rs));
  const surplus = old
    .toSorted((a, b) => (revisionOf(a) < revisionOf(b) ? -1 : 1))
    .slice(0, Math.max(0, old.length - limit));
  for (const rs of surplus) {
    const observed = (rs.status?.observedGeneration ?? 0) >= (rs.metadata.generation ?? 0);
    if (desired(rs) !== 0 || (rs.status?.replicas ?? 0) !== 0 || !observed) continue;
    const { namespace, name = "", uid } = rs.metadata;
    try {
      await r.client.delete(
        REPLICA_SETS,
        { namespace, name },
        { propagationPolicy: "Background", preconditions: { uid } },
      );
    } catch (error) {
      if (!isReason(error, "NotFound")) throw error;
    }
  }
}
