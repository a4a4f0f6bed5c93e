/** Keeps as many pods as a ReplicaSet asks for (upstream: pkg/controller/replicaset). */
import { messageOf } from "#platform/base/log.ts";
import type { Pod, ReplicaSet } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { isReason, StatusError } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, keyOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { claim } from "../claim.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { createExpectations, type Expectations } from "../expectations.ts";
import { controllerOf, isActive, isTerminating, namespaceKey, sameJson } from "../objects.ts";
import { PODS, REPLICA_SETS } from "../resources.ts";
import { type Failure, podFor, podsToDelete, replicaSetStatus } from "./reconcile.ts";

/** At most so many pods are created or deleted in one reconcile. */
const BURST = 500;
const WORKERS = 5;

export const replicaSetController: Controller = {
  name: "replicaset",
  async start(context) {
    const queue = createWorkQueue();
    const expectations = createExpectations();
    const recorder = context.recorder("replicaset-controller");
    const sets = context.informers.replicaSets();
    const pods = context.informers.pods();

    /** The ReplicaSet that controls the pod, by uid. */
    const ownerKey = (pod: Pod): string | undefined => {
      const owner = controllerOf(pod);
      if (owner?.kind !== "ReplicaSet") return undefined;
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
        if (selectsLabels(rs.spec?.selector, pod.metadata.labels)) queue.add(keyOf(rs));
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
        if (key && isTerminating(pod)) expectations.deleted(key, keyOf(pod));
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
      name: "replicaset",
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
        const selector = rs.spec?.selector;
        const active = await claim({
          client,
          owner: rs,
          ownerResource: REPLICA_SETS,
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
        const terminating = own.filter(isTerminating);
        const { status, recheckMs } = replicaSetStatus(rs, [...active, ...terminating], failure, Date.now());
        if (!sameJson(rs.status, status))
          await client.update(REPLICA_SETS, { ...rs, status }, { subresource: "status" });
        if (error !== undefined) throw error;
        return recheckMs === undefined ? undefined : { requeueAfterMs: recheckMs };
      },
    });

    /** The pods of all ReplicaSets of one Deployment: scaling down prefers nodes that hold many of them. */
    function relatedPods(rs: ReplicaSet): Pod[] {
      const owner = controllerOf(rs);
      const family = owner ? sets.byIndex("owner", owner.uid) : [rs];
      return family.flatMap((member) => pods.byIndex("owner", member.metadata.uid ?? ""));
    }
  },
};

interface ManageInput {
  client: Client;
  rs: ReplicaSet;
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

/** In batches of 1, 2, 4 …: when all would fail for the same reason, few are tried. */
async function createPods({ client, rs, key, expectations, recorder }: ManageInput, count: number): Promise<void> {
  expectations.expectCreations(key, count);
  const pod = podFor(rs);
  let remaining = count;
  for (let size = 1; remaining > 0; size *= 2) {
    const batch = Math.min(size, remaining);
    const results = await Promise.allSettled(
      Array.from({ length: batch }, async () => {
        const created = await client.create(PODS, pod);
        recorder.event(rs, "Normal", "SuccessfulCreate", `Created pod: ${created.metadata.name}`);
      }),
    );
    remaining -= batch;
    const failed = results.filter((r) => r.status === "rejected");
    if (failed.length === 0) continue;
    for (let i = 0; i < failed.length + remaining; i++) expectations.created(key);
    const reasons = failed.map((f): unknown => f.reason).filter((reason) => !isNamespaceTerminating(reason));
    for (const reason of reasons) recorder.event(rs, "Warning", "FailedCreate", `Error creating: ${messageOf(reason)}`);
    if (reasons.length > 0) throw reasons[0];
    return;
  }
}

async function deletePods(
  { client, rs, key, active, related, expectations, recorder }: ManageInput,
  count: number,
): Promise<void> {
  const victims = podsToDelete(active, related, count, Date.now());
  expectations.expectDeletions(key, victims.map(keyOf));
  const results = await Promise.allSettled(
    victims.map(async (pod) => {
      const { namespace, name = "", uid } = pod.metadata;
      try {
        await client.delete(PODS, { namespace, name }, { preconditions: { uid } });
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

/** Nothing can be created in a namespace that ends: not an error of the ReplicaSet. */
const isNamespaceTerminating = (error: unknown): boolean =>
  error instanceof StatusError &&
  (error.status.details?.causes ?? []).some((cause) => cause.reason === "NamespaceTerminating");
