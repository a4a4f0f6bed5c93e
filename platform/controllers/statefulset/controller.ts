/** Keeps a StatefulSet's numbered pods and their claims (upstream: pkg/controller/statefulset). */
import { messageOf } from "#platform/base/log.ts";
import type { ControllerRevision, PersistentVolumeClaim, Pod, StatefulSet } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, type Informer, keyOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { claim } from "../claim.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { createExpectations, type Expectations } from "../expectations.ts";
import { syncHistory, templateOf, trimHistory } from "../history.ts";
import { controllerOf, isTerminating, namespaceKey, sameJson } from "../objects.ts";
import { createInBatches, deletePod } from "../pods.ts";
import { PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS } from "../resources.ts";
import { claimName, claimOf, claimOwners, ordinalOf, podOf, REVISION_LABEL, revisionOf } from "./identity.ts";
import { type Plan, planStatefulSet, type Step } from "./reconcile.ts";

const WORKERS = 5;
const HASH_LABEL = "controller.kubernetes.io/hash";

export const statefulSetController: Controller = {
  name: "statefulset",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 60_000 });
    const expectations = createExpectations();
    const recorder = context.recorder("statefulset-controller");
    const sets = context.informers.statefulSets();
    const pods = context.informers.pods();
    const revisions = context.informers.controllerRevisions();
    const claims = context.informers.claims();

    const ownerKey = (pod: Pod): string | undefined => {
      const owner = controllerOf(pod);
      if (owner?.kind !== "StatefulSet") return undefined;
      const set = sets.get(`${namespaceKey(pod)}/${owner.name}`);
      return set?.metadata.uid === owner.uid ? keyOf(set) : undefined;
    };
    const enqueue = (pod: Pod) => {
      const key = ownerKey(pod);
      if (key) queue.add(key);
      else if (!controllerOf(pod)) {
        for (const set of sets.byIndex("namespace", namespaceKey(pod))) {
          if (selectsLabels(set.spec?.selector, pod.metadata.labels)) queue.add(keyOf(set));
        }
      }
    };
    const add = (set: StatefulSet) => queue.add(keyOf(set));
    sets.on({
      added: add,
      updated: add,
      deleted(set) {
        expectations.forget(keyOf(set));
      },
    });
    pods.on({
      added(pod) {
        const key = ownerKey(pod);
        if (key) expectations.created(key);
        enqueue(pod);
      },
      updated(pod, old) {
        const key = ownerKey(pod);
        if (key && isTerminating(pod)) expectations.deleted(key, keyOf(pod));
        if (controllerOf(old)?.uid !== controllerOf(pod)?.uid) enqueue(old);
        enqueue(pod);
      },
      deleted(pod) {
        const key = ownerKey(pod);
        if (key) expectations.deleted(key, keyOf(pod));
        enqueue(pod);
      },
    });
    if (!(await synced(context.signal, sets, pods, revisions, claims))) return;

    await runController({
      name: "statefulset",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const set = sets.get(key);
        if (!set) return expectations.forget(key);
        if (!expectations.satisfied(key)) return;
        const client = clientFor(context, set);
        const uid = set.metadata.uid ?? "";
        const common = { client, owner: set, ownerResource: STATEFUL_SETS };
        const orphans = pods.byIndex("orphans", namespaceKey(set)).filter((pod) => ordinalOf(set, pod) >= 0);
        const claimed = await claim({
          ...common,
          resource: PODS,
          selector: set.spec?.selector,
          candidates: [...pods.byIndex("owner", uid), ...orphans],
        });
        const history = await syncHistory({
          ...common,
          candidates: [...revisions.byIndex("owner", uid), ...revisions.byIndex("orphans", namespaceKey(set))],
          collisions: set.status?.collisionCount ?? 0,
          hashLabel: HASH_LABEL,
        });
        const { update } = history;
        const current = history.revisions.find((r) => r.metadata.name === set.status?.currentRevision) ?? update;
        const plan = planStatefulSet({
          set,
          pods: claimed,
          current,
          update,
          collisions: history.collisions,
          now: Date.now(),
        });
        const act = { client, set, key, recorder, expectations, claims };
        let failure: unknown;
        try {
          await retainClaims(act, claimed, plan.condemned);
          await takeSteps(act, plan);
        } catch (error) {
          failure = error;
        }
        if (!sameJson(set.status, plan.status)) {
          await client.update(STATEFUL_SETS, { ...set, status: plan.status }, { subresource: "status" });
        }
        if (failure !== undefined) throw failure;
        const used = new Set([plan.status.currentRevision, update.metadata.name, ...claimed.map(revisionOf)]);
        const live = (r: ControllerRevision) =>
          used.has(r.metadata.name) || used.has(r.metadata.labels?.[REVISION_LABEL]);
        await trimHistory(client, history.revisions, live, set.spec?.revisionHistoryLimit ?? 10);
        return plan.recheckMs === undefined ? undefined : { requeueAfterMs: plan.recheckMs };
      },
    });
  },
};

interface Act {
  client: Client;
  set: StatefulSet;
  key: string;
  recorder: Recorder;
  expectations: Expectations;
  claims: Informer<PersistentVolumeClaim>;
}

async function takeSteps(act: Act, { steps }: Plan): Promise<void> {
  const creates = steps.filter((step) => step.type === "create");
  for (const step of steps) if (step.type === "delete") await remove(act, step);
  act.expectations.expectCreations(act.key, creates.length);
  const { missing, errors } = await createInBatches(creates.length, (index) => create(act, creates[index]!));
  for (let i = 0; i < missing; i++) act.expectations.created(act.key);
  if (errors.length > 0) throw errors[0];
}

async function create(act: Act, step: Step & { type: "create" }): Promise<void> {
  const { client, set, recorder } = act;
  const pod = podOf(set, templateOf(step.revision), step.revision, step.ordinal);
  const told = `create Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`;
  try {
    await createClaims(act, step.ordinal, pod);
    await client.create(PODS, pod);
    recorder.event(set, "Normal", "SuccessfulCreate", `${told} successful`);
  } catch (error) {
    recorder.event(set, "Warning", "FailedCreate", `${told} failed error: ${messageOf(error)}`);
    throw error;
  }
}

async function remove(
  { client, set, key, recorder, expectations }: Act,
  step: Step & { type: "delete" },
): Promise<void> {
  const { name } = step.pod.metadata;
  if (step.why === "finished") {
    recorder.event(
      set,
      "Warning",
      "RecreatingFailedPod",
      `StatefulSet ${set.metadata.namespace}/${set.metadata.name} is recreating failed Pod ${name}`,
    );
  }
  const told = `delete Pod ${name} in StatefulSet ${set.metadata.name}`;
  expectations.expectDeletions(key, [keyOf(step.pod)]);
  try {
    if (await deletePod(client, step.pod)) recorder.event(set, "Normal", "SuccessfulDelete", `${told} successful`);
    else expectations.deleted(key, keyOf(step.pod));
  } catch (error) {
    expectations.deleted(key, keyOf(step.pod));
    recorder.event(set, "Warning", "FailedDelete", `${told} failed error: ${messageOf(error)}`);
    throw error;
  }
}

async function createClaims({ client, set, claims, recorder }: Act, ordinal: number, pod: Pod): Promise<void> {
  for (const template of set.spec?.volumeClaimTemplates ?? []) {
    const wanted = claimOf(set, template, ordinal);
    wanted.metadata.ownerReferences = claimOwners(set, [], undefined, false);
    const name = wanted.metadata.name ?? "";
    const present = claims.get(`${namespaceKey(set)}/${name}`);
    if (present && isTerminating(present)) throw new Error(`pvc ${name} is being deleted`);
    if (present) continue;
    const told = `create Claim ${name} Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`;
    try {
      await client.create(PERSISTENT_VOLUME_CLAIMS, wanted);
      recorder.event(set, "Normal", "SuccessfulCreate", `${told} success`);
    } catch (error) {
      if (isReason(error, "AlreadyExists")) continue;
      recorder.event(set, "Warning", "FailedCreate", `${told} failed error: ${messageOf(error)}`);
      throw error;
    }
  }
}

/** Brings the claims' owners to what the retention policy says. */
async function retainClaims(
  { client, set, claims }: Act,
  pods: readonly Pod[],
  condemned: readonly Pod[],
): Promise<void> {
  for (const pod of pods) {
    for (const template of set.spec?.volumeClaimTemplates ?? []) {
      const present = claims.get(`${namespaceKey(set)}/${claimName(set, template, ordinalOf(set, pod))}`);
      if (!present || isTerminating(set)) continue;
      const owners = present.metadata.ownerReferences ?? [];
      const ownerReferences = claimOwners(set, owners, pod, condemned.includes(pod));
      if (sameJson(owners, ownerReferences)) continue;
      await client.update(PERSISTENT_VOLUME_CLAIMS, {
        ...present,
        metadata: { ...present.metadata, ownerReferences },
      });
    }
  }
}
