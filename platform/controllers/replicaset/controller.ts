/**
 * Keeps as many pods as a ReplicaSet or a ReplicationController asks for (upstream: pkg/controller/replicaset, which
 * serves both kinds too).
 */
import { messageOf } from "#platform/base/log.ts";
import type { LabelSelector, Pod, ReplicaSet } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, type Informer, keyOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { claim } from "../claim.ts";
import { type Controller, type ControllerContext, clientFor, type Informers, synced } from "../context.ts";
import { dismiss } from "../drain/controller.ts";
import { createExpectations, type Expectations } from "../expectations.ts";
import { controllerOf, isActive, isLeaving, isTerminating, namespaceKey, sameJson } from "../objects.ts";
import { createInBatches, isNamespaceTerminating, podFrom } from "../pods.ts";
import { PODS, REPLICA_SETS } from "../resources.ts";
import { type Failure, podsToDelete, type ReplicaStatus, replicaSetStatus } from "./reconcile.ts";

/** At most so many pods are created or deleted in one reconcile. */
const BURST = 500;
const WORKERS = 5;

/** The kind as far as this loop sees it: a ReplicaSet, or what has the same spec but for the form of its selector. */
export interface ReplicaKind<T extends Replicated> {
  kind: string;
  /** The loop's name; events come from "NAME-controller". */
  name: string;
  component: string;
  resource: GroupVersionResource;
  informer(informers: Informers): Informer<T>;
  selector(object: T): LabelSelector | undefined;
  /** What of the status this kind has. */
  status(status: ReplicaStatus): ReplicaStatus;
}

/** Kinds without a status of their own type are written through this shape. */
export interface Replicated extends KubeObject {
  spec?: { replicas?: number; minReadySeconds?: number; template?: ReplicaSetTemplate };
  status?: ReplicaStatus;
}
type ReplicaSetTemplate = NonNullable<ReplicaSet["spec"]>["template"];

export const replicaSetController = replicaController<ReplicaSet>({
  kind: "ReplicaSet",
  name: "replicaset",
  component: "replicaset-controller",
  resource: REPLICA_SETS,
  informer: (informers) => informers.replicaSets(),
  selector: (rs) => rs.spec?.selector,
  status: (status) => status,
});

export function replicaController<T extends Replicated>(of: ReplicaKind<T>): Controller {
  return {
    name: of.name,
    start: (context) => run(of, context),
  };
}

async function run<T extends Replicated>(of: ReplicaKind<T>, context: ControllerContext): Promise<void> {
  const queue = createWorkQueue();
  const expectations = createExpectations();
  const recorder = context.recorder(of.component);
  const sets = of.informer(context.informers);
  const pods = context.informers.pods();

  /** The ReplicaSet that controls the pod, by uid. */
  const ownerKey = (pod: Pod): string | undefined => {
    const owner = controllerOf(pod);
    if (owner?.kind !== of.kind) return undefined;
    const rs = sets.get(`${namespaceKey(pod)}/${owner.name}`);
    return rs?.metadata.uid === owner.uid ? keyOf(rs) : undefined;
  };
  const enqueueOwner = (pod: Pod) => {
    const key = ownerKey(pod);
    if (key) queue.add(key);
  };
  /** An orphan may be adopted by any whose selector finds it. */
  const enqueueMatching = (pod: Pod) => {
    for (const rs of sets.byIndex("namespace", namespaceKey(pod))) {
      if (selectsLabels(of.selector(rs), pod.metadata.labels)) queue.add(keyOf(rs));
    }
  };

  sets.on({
    added: (rs) => queue.add(keyOf(rs)),
    updated: (rs) => queue.add(keyOf(rs)),
    deleted: (rs) => {
      expectations.forget(keyOf(rs));
      queue.add(keyOf(rs));
    },
  });
  pods.on({
    added(pod) {
      const key = ownerKey(pod);
      if (key && !isTerminating(pod)) expectations.created(key);
      if (key) queue.add(key);
      else if (!controllerOf(pod)) enqueueMatching(pod);
    },
    updated(pod, old) {
      const key = ownerKey(pod);
      if (key && isLeaving(pod)) expectations.deleted(key, keyOf(pod));
      if (controllerOf(old)?.uid !== controllerOf(pod)?.uid) enqueueOwner(old);
      if (key) queue.add(key);
      else if (!controllerOf(pod) && !sameJson(pod.metadata.labels, old.metadata.labels)) enqueueMatching(pod);
    },
    deleted(pod) {
      const key = ownerKey(pod);
      if (key) expectations.deleted(key, keyOf(pod));
      enqueueOwner(pod);
    },
  });
  if (!(await synced(context.signal, sets, pods))) return;

  await runController({
    name: of.name,
    queue,
    workers: WORKERS,
    log: context.log,
    signal: context.signal,
    async reconcile(key) {
      const rs = sets.get(key);
      if (!rs) return expectations.forget(key);
      const client = clientFor(context, rs);
      const own = pods.byIndex("owner", rs.metadata.uid ?? "");
      const candidates = [...own, ...pods.byIndex("orphans", namespaceKey(rs))].filter(isActive);
      const ready = expectations.satisfied(key);
      const selector = of.selector(rs);
      const active = await claim({
        client,
        owner: rs,
        ownerResource: of.resource,
        resource: PODS,
        selector,
        candidates,
      });
      let error: unknown;
      let failure: Failure | undefined;
      if (ready && !isTerminating(rs)) {
        try {
          await manage({ client, rs, key, active, related: relatedPods(rs), expectations, recorder });
        } catch (thrown) {
          error = thrown;
          const reason = active.length < (rs.spec?.replicas ?? 1) ? "FailedCreate" : "FailedDelete";
          failure = { reason, message: messageOf(thrown) };
        }
      }
      const terminating = own.filter(isLeaving);
      const next = replicaSetStatus(rs, [...active, ...terminating], failure, Date.now());
      const status = of.status(next.status);
      if (!sameJson(rs.status, status)) await client.update(of.resource, { ...rs, status }, { subresource: "status" });
      if (error !== undefined) throw error;
      return next.recheckMs === undefined ? undefined : { requeueAfterMs: next.recheckMs };
    },
  });

  /** The pods of all ReplicaSets of one Deployment: scaling down prefers nodes that hold many of them. */
  function relatedPods(rs: T): Pod[] {
    const owner = controllerOf(rs);
    const family = owner ? sets.byIndex("owner", owner.uid) : [rs];
    return family.flatMap((member) => pods.byIndex("owner", member.metadata.uid ?? ""));
  }
}

interface ManageInput {
  client: Client;
  rs: Replicated;
  key: string;
  active: Pod[];
  related: Pod[];
  expectations: Expectations;
  recorder: Recorder;
}

async function manage(input: ManageInput): Promise<void> {
  const missing = (input.rs.spec?.replicas ?? 1) - input.active.length;
  if (missing > 0) await createPods(input, Math.min(missing, BURST));
  else if (missing < 0) await deletePods(input, Math.min(-missing, BURST));
}

async function createPods({ client, rs, key, expectations, recorder }: ManageInput, count: number): Promise<void> {
  expectations.expectCreations(key, count);
  const pod = podFrom(rs.spec?.template, rs, { generateName: `${rs.metadata.name}-` });
  const { missing, errors } = await createInBatches(count, async () => {
    const created = await client.create(PODS, pod);
    recorder.event(rs, "Normal", "SuccessfulCreate", `Created pod: ${created.metadata.name}`);
  });
  for (let i = 0; i < missing; i++) expectations.created(key);
  const reasons = errors.filter((error) => !isNamespaceTerminating(error));
  for (const reason of reasons) recorder.event(rs, "Warning", "FailedCreate", `Error creating: ${messageOf(reason)}`);
  if (reasons.length > 0) throw reasons[0];
}

async function deletePods(
  { client, rs, key, active, related, expectations, recorder }: ManageInput,
  count: number,
): Promise<void> {
  const victims = podsToDelete(active, related, count, Date.now());
  expectations.expectDeletions(key, victims.map(keyOf));
  const results = await Promise.allSettled(
    victims.map(async (pod) => {
      const { name } = pod.metadata;
      try {
        await dismiss(client, rs, pod);
        recorder.event(rs, "Normal", "SuccessfulDelete", `Deleted pod: ${name}`);
      } catch (error) {
        expectations.deleted(key, keyOf(pod));
        if (isReason(error, "NotFound")) return;
        recorder.event(rs, "Warning", "FailedDelete", `Error deleting: ${messageOf(error)}`);
        throw error;
      }
    }),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
