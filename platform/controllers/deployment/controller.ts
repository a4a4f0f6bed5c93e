/** Rolls Deployments out through ReplicaSets (upstream: pkg/controller/deployment). */
import type { Deployment, Pod, ReplicaSet } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { claim } from "../claim.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { metricsSource } from "../horizontal-pod-autoscaler/metrics.ts";
import { controllerOf, namespaceKey } from "../objects.ts";
import { DEPLOYMENTS, REPLICA_SETS } from "../resources.ts";
import { reconcileDeployment } from "./rollout.ts";

const WORKERS = 5;

export const deploymentController: Controller = {
  name: "deployment",
  async start(context) {
    const queue = createWorkQueue();
    const recorder = context.recorder("deployment-controller");
    const deployments = context.informers.deployments();
    const sets = context.informers.replicaSets();
    const pods = context.informers.pods();

    const ownerOf = (rs: ReplicaSet): Deployment | undefined => {
      const owner = controllerOf(rs);
      if (owner?.kind !== "Deployment") return undefined;
      const d = deployments.get(`${namespaceKey(rs)}/${owner.name}`);
      return d?.metadata.uid === owner.uid ? d : undefined;
    };
    const enqueueOwner = (rs: ReplicaSet) => {
      const owner = ownerOf(rs);
      if (owner) queue.add(keyOf(owner));
      else if (!controllerOf(rs)) {
        for (const d of deployments.byIndex("namespace", namespaceKey(rs))) {
          if (selectsLabels(d.spec?.selector, rs.metadata.labels)) queue.add(keyOf(d));
        }
      }
    };
    /** Recreate goes on when the last old pod is gone. */
    const enqueueRecreate = (pod: Pod) => {
      const owner = controllerOf(pod);
      const rs = owner?.kind === "ReplicaSet" ? sets.get(`${namespaceKey(pod)}/${owner.name}`) : undefined;
      const d = rs && ownerOf(rs);
      if (d?.spec?.strategy?.type === "Recreate") queue.add(keyOf(d));
    };
    const add = (d: Deployment) => queue.add(keyOf(d));
    deployments.on({ added: add, updated: add });
    sets.on({
      added: enqueueOwner,
      updated(rs, old) {
        if (controllerOf(old)?.uid !== controllerOf(rs)?.uid) enqueueOwner(old);
        enqueueOwner(rs);
      },
      deleted: enqueueOwner,
    });
    pods.on({ deleted: enqueueRecreate });
    if (!(await synced(context.signal, deployments, sets, pods))) return;

    await runController({
      name: "deployment",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const deployment = deployments.get(key);
        if (!deployment) return;
        const client = clientFor(context, deployment);
        const uid = deployment.metadata.uid ?? "";
        const owned = await claim({
          client,
          owner: deployment,
          ownerResource: DEPLOYMENTS,
          resource: REPLICA_SETS,
          selector: deployment.spec?.selector,
          candidates: [...sets.byIndex("owner", uid), ...sets.byIndex("orphans", namespaceKey(deployment))],
        });
        const ownedPods = owned.flatMap((rs) => pods.byIndex("owner", rs.metadata.uid ?? ""));
        return reconcileDeployment({
          client,
          metrics: metricsSource(client),
          recorder,
          deployment,
          sets: owned,
          pods: ownedPods,
        });
      },
    });
  },
};
