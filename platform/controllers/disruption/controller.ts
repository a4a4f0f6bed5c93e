/** Keeps PodDisruptionBudgets' status, which the eviction API obeys (upstream: pkg/controller/disruption). */
import { resourceByGVK } from "#sdk/api/facts.ts";
import type { Pod, PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { type KubeObject, parseApiVersion } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { controllerOf, isFinished, namespaceKey, sameJson } from "../objects.ts";
import { POD_DISRUPTION_BUDGETS } from "../resources.ts";
import { planBudget } from "./reconcile.ts";

const WORKERS = 4;

export const disruptionController: Controller = {
  name: "disruption",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 60_000 });
    const recorder = context.recorder("controllermanager");
    const budgets = context.informers.disruptionBudgets();
    const pods = context.informers.pods();
    const { replicaSets, replicationControllers, statefulSets, deployments } = context.informers;
    const owners = [replicaSets(), replicationControllers(), statefulSets(), deployments()];
    const add = (budget: PodDisruptionBudget) => queue.add(keyOf(budget));
    const enqueue = (pod: Pod) => {
      for (const budget of budgets.byIndex("namespace", namespaceKey(pod))) {
        if (selectsLabels(budget.spec?.selector, pod.metadata.labels)) add(budget);
      }
    };
    const enqueueNear = (owner: KubeObject) => {
      for (const budget of budgets.byIndex("namespace", namespaceKey(owner))) add(budget);
    };
    budgets.on({ added: add, updated: add });
    pods.on({
      added: enqueue,
      updated(pod, old) {
        enqueue(old);
        enqueue(pod);
      },
      deleted: enqueue,
    });
    for (const owner of owners) owner.on({ added: enqueueNear, updated: scaleChanged, deleted: enqueueNear });
    function scaleChanged(owner: KubeObject & { spec?: { replicas?: number } }, old: typeof owner) {
      if (owner.spec?.replicas !== old.spec?.replicas) enqueueNear(owner);
    }
    if (!(await synced(context.signal, budgets, pods, ...owners))) return;

    /** uid → replicas of the pods' controllers; a ReplicaSet of a Deployment counts as the Deployment. */
    const scalesOf = async (client: Client, found: readonly Pod[]) => {
      const scales = new Map<string, number | undefined>();
      const uids = new Map<Pod, string>();
      const sets = replicaSets();
      const rollouts = deployments();
      for (const pod of found) {
        const owner = controllerOf(pod);
        if (!owner) continue;
        const near = `${namespaceKey(pod)}/`;
        const set = owner.kind === "ReplicaSet" ? sets.get(near + owner.name) : undefined;
        const rollout = set && controllerOf(set);
        const deployment = rollout?.kind === "Deployment" ? rollouts.get(near + rollout.name) : undefined;
        const uid = deployment?.metadata.uid ?? owner.uid;
        uids.set(pod, uid);
        if (scales.has(uid)) continue;
        const known: (KubeObject & { spec?: { replicas?: number } }) | undefined =
          deployment ?? set ?? (await scaleOf(client, pod, owner));
        scales.set(uid, known && (known.spec?.replicas ?? 1));
      }
      return { scales, uids };
    };

    await runController({
      name: "disruption",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const budget = budgets.get(key);
        if (!budget) return;
        const client = clientFor(context, budget);
        const found = pods
          .byIndex("namespace", namespaceKey(budget))
          .filter((pod) => selectsLabels(budget.spec?.selector, pod.metadata.labels) && !isFinished(pod));
        const { scales, uids } = await scalesOf(client, found);
        const outcome = planBudget(budget, found, scales, (pod) => uids.get(pod), Date.now());
        if (found.length === 0) recorder.event(budget, "Normal", "NoPods", "No matching pods found");
        if (outcome.failure !== undefined) {
          const message = `Failed to calculate the number of expected pods: ${outcome.failure}`;
          recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", message);
        }
        if (!sameJson(budget.status, outcome.status)) {
          const next = { ...budget, status: outcome.status };
          await client.update(POD_DISRUPTION_BUDGETS, next, { subresource: "status" });
        }
        return outcome.recheckMs === undefined ? undefined : { requeueAfterMs: outcome.recheckMs };
      },
    });
  },
};

/** By the kind's scale subresource: custom resources have one too. Undefined where there is none. */
async function scaleOf(
  client: Client,
  pod: Pod,
  owner: { apiVersion: string; kind: string; name: string; uid: string },
): Promise<(KubeObject & { spec?: { replicas?: number } }) | undefined> {
  const facts = resourceByGVK({ ...parseApiVersion(owner.apiVersion), kind: owner.kind });
  if (!facts) return undefined;
  const { group, version, resource } = facts;
  try {
    const found = await client.get<KubeObject & { spec?: { replicas?: number } }>(
      { group, version, resource },
      { namespace: pod.metadata.namespace, name: owner.name },
    );
    return found.metadata.uid === owner.uid && found.spec && "replicas" in found.spec ? found : undefined;
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
}
