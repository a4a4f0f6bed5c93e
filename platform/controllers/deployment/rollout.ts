/** One step of bringing a Deployment's ReplicaSets to where they should be (upstream: sync.go, rolling.go, recreate.go). */
import { timeText } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import type { Deployment, DeploymentCondition, DeploymentStatus, Pod, ReplicaSet } from "#sdk/api/generated/types.ts";
import { isReason, StatusError } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { conditionOf, controllerOf, isFinished, isTerminating, sameJson, withCondition } from "../objects.ts";
import { DEPLOYMENTS, REPLICA_SETS } from "../resources.ts";
import { DESIRED_REPLICAS, REVISION } from "./annotations.ts";
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
import {
  findNew,
  maxRevision,
  newReplicaSet,
  newSetAnnotations,
  revisionOf,
  sameTemplate,
  sizeAnnotations,
} from "./revision.ts";
import {
  baseStatus,
  condition,
  deadlineCheckMs,
  hasDeadline,
  isComplete,
  pausedCondition,
  rolloutStatus,
} from "./status.ts";

export interface Rollout {
  client: Client;
  recorder: Recorder;
  /** As last written: every write replaces it. */
  deployment: Deployment;
  /** All it controls, as last written. */
  sets: ReplicaSet[];
  /** Pods of those. */
  pods: readonly Pod[];
}

/** Returns when to look again for the progress deadline. */
export async function reconcileDeployment(r: Rollout): Promise<{ requeueAfterMs: number } | undefined> {
  if (isTerminating(r.deployment))
    return void (await writeStatus(r, baseStatus(r.deployment, r.sets, newOf(r), Date.now())));
  const paused = pausedCondition(r.deployment, Date.now());
  if (paused) await writeCondition(r, paused);
  if (r.deployment.spec?.paused || (await wasScaled(r))) return void (await scaleOnly(r));
  if (isRollingUpdate(r.deployment)) await rollingStep(r);
  else await recreateStep(r);
  const status = rolloutStatus(r.deployment, r.sets, newOf(r), Date.now());
  await writeStatus(r, status);
  const requeueAfterMs = deadlineCheckMs(r.deployment, status, Date.now());
  return requeueAfterMs === undefined ? undefined : { requeueAfterMs };
}

const newOf = (r: Rollout): ReplicaSet | undefined => findNew(r.deployment, r.sets);
const oldOf = (r: Rollout): ReplicaSet[] => {
  const uid = newOf(r)?.metadata.uid;
  return r.sets.filter((rs) => rs.metadata.uid !== uid);
};
const active = (sets: readonly ReplicaSet[]): ReplicaSet[] => sets.filter((rs) => desired(rs) > 0);

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

/** True when the size changed. `always`: the size annotations are brought up to date even when the size stays. */
async function scale(r: Rollout, rs: ReplicaSet, size: number, always = false): Promise<boolean> {
  const before = desired(rs);
  const annotations = { ...rs.metadata.annotations, ...sizeAnnotations(r.deployment) };
  if (before === size && (!always || sameJson(annotations, rs.metadata.annotations))) return false;
  await writeSet(r, { ...rs, metadata: { ...rs.metadata, annotations }, spec: { ...rs.spec!, replicas: size } });
  if (before === size) return false;
  const direction = before < size ? "up" : "down";
  const message = `Scaled ${direction} replica set ${rs.metadata.name} from ${before} to ${size}`;
  r.recorder.event(r.deployment, "Normal", "ScalingReplicaSet", message);
  return true;
}

/** The new ReplicaSet's annotations and the Deployment's revision, where it exists. */
async function syncNew(r: Rollout): Promise<ReplicaSet | undefined> {
  const newSet = newOf(r);
  if (!newSet) return undefined;
  const annotations = newSetAnnotations(r.deployment, newSet.metadata.annotations, maxRevision(oldOf(r)) + 1n);
  const minReadySeconds = r.deployment.spec?.minReadySeconds ?? 0;
  if (!sameJson(annotations, newSet.metadata.annotations) || (newSet.spec?.minReadySeconds ?? 0) !== minReadySeconds) {
    await writeSet(r, {
      ...newSet,
      metadata: { ...newSet.metadata, annotations },
      spec: { ...newSet.spec!, minReadySeconds },
    });
  }
  await writeRevision(r, revisionOf({ metadata: { annotations } }));
  if (hasDeadline(r.deployment) && !conditionOf(r.deployment.status?.conditions, "Progressing")) {
    const message = `Found new replica set "${newSet.metadata.name}"`;
    await writeCondition(r, condition("Progressing", "True", "FoundNewReplicaSet", message, Date.now()));
  }
  return newOf(r);
}

async function ensureNew(r: Rollout): Promise<ReplicaSet> {
  const present = await syncNew(r);
  if (present) return present;
  const revision = maxRevision(r.sets) + 1n;
  const size = newReplicaSetSize(r.deployment, r.sets, undefined);
  const created = await createNew(r, newReplicaSet(r.deployment, size, revision));
  r.sets.push(created);
  await writeRevision(r, revision);
  if (hasDeadline(r.deployment)) {
    const message = `Created new replica set "${created.metadata.name}"`;
    await writeCondition(r, condition("Progressing", "True", "NewReplicaSetCreated", message, Date.now()));
  }
  return created;
}

async function createNew(r: Rollout, wanted: ReplicaSet): Promise<ReplicaSet> {
  const { namespace, name = "" } = wanted.metadata;
  try {
    const created = await r.client.create(REPLICA_SETS, wanted);
    const message = `Scaled up replica set ${name} from 0 to ${desired(wanted)}`;
    if (desired(wanted) > 0) r.recorder.event(r.deployment, "Normal", "ScalingReplicaSet", message);
    return created;
  } catch (error) {
    if (isReason(error, "AlreadyExists")) {
      const there = await r.client.get<ReplicaSet>(REPLICA_SETS, { namespace, name });
      const own = controllerOf(there)?.uid === r.deployment.metadata.uid;
      if (own && sameTemplate(there.spec?.template, r.deployment.spec?.template)) return there;
      // Another template's hash: count it, so that the next try has another name.
      const collisionCount = (r.deployment.status?.collisionCount ?? 0) + 1;
      await writeStatus(r, { ...r.deployment.status, collisionCount });
    } else if (!endsWithNamespace(error)) {
      const message = `Failed to create new replica set "${name}": ${messageOf(error)}`;
      if (hasDeadline(r.deployment)) {
        await writeCondition(r, condition("Progressing", "False", "ReplicaSetCreateError", message, Date.now()));
      }
      r.recorder.event(r.deployment, "Warning", "ReplicaSetCreateError", message);
    }
    throw error;
  }
}

const endsWithNamespace = (error: unknown): boolean =>
  error instanceof StatusError &&
  (error.status.details?.causes ?? []).some((cause) => cause.reason === "NamespaceTerminating");

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

async function writeSet(r: Rollout, rs: ReplicaSet): Promise<void> {
  const written = await r.client.update(REPLICA_SETS, rs);
  r.sets = r.sets.map((old) => (old.metadata.uid === written.metadata.uid ? written : old));
}

async function writeRevision(r: Rollout, revision: bigint): Promise<void> {
  if (revisionOf(r.deployment) === revision) return;
  const { namespace, name = "" } = r.deployment.metadata;
  const body = { metadata: { annotations: { [REVISION]: String(revision) } } };
  r.deployment = await r.client.patch<Deployment>(DEPLOYMENTS, { namespace, name }, { type: "merge", body });
}

async function writeCondition(r: Rollout, next: DeploymentCondition): Promise<void> {
  const conditions = withCondition(r.deployment.status?.conditions, { ...next, lastUpdateTime: timeText(Date.now()) });
  await writeStatus(r, { ...r.deployment.status, conditions });
}

async function writeStatus(r: Rollout, status: DeploymentStatus): Promise<void> {
  if (sameJson(r.deployment.status, status)) return;
  r.deployment = await r.client.update(DEPLOYMENTS, { ...r.deployment, status }, { subresource: "status" });
}
