/** The new version's ReplicaSet: made where there is none, and kept as the Deployment says. */
import { messageOf } from "#platform/base/log.ts";
import type { ReplicaSet } from "#sdk/api/generated/types.ts";
import { isReason, StatusError } from "#sdk/api/status.ts";
import { conditionOf, controllerOf, sameJson } from "../objects.ts";
import { REPLICA_SETS } from "../resources.ts";
import { desired, newReplicaSetSize } from "./replicas.ts";
import { maxRevision, newReplicaSet, newSetAnnotations, revisionOf, sameTemplate } from "./revision.ts";
import { condition, hasDeadline } from "./status.ts";
import { newOf, oldOf, type Rollout, writeCondition, writeRevision, writeSet, writeStatus } from "./write.ts";

/** The new ReplicaSet's annotations and the Deployment's revision, where it exists. */
export async function syncNew(r: Rollout): Promise<ReplicaSet | undefined> {
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

/** `most`: pods that it may begin with. */
export async function ensureNew(r: Rollout, most = Number.POSITIVE_INFINITY): Promise<ReplicaSet> {
  const present = await syncNew(r);
  if (present) return present;
  const revision = maxRevision(r.sets) + 1n;
  const size = Math.min(most, newReplicaSetSize(r.deployment, r.sets, undefined));
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
