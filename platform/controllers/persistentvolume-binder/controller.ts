/** Binds claims to volumes and keeps the phases of both (upstream: pkg/controller/volume/persistentvolume). */

import { classOf } from "#platform/rules/volume-match.ts";
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, clientFor, synced } from "../context.ts";
import { isFinished, namespaceKey } from "../objects.ts";
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from "../resources.ts";
import { claimsOf } from "../storage-protection/protection.ts";
import { planClaim, planVolume, SELECTED_NODE } from "./reconcile.ts";

const AGAIN_MS = 15_000;
const isSettled = (claim: PersistentVolumeClaim): boolean => claim.status?.phase === "Bound";

/** Where the claim will be used: as the scheduler said, or where the first pod that uses it has been bound. */
function nodeFor({ informers }: ControllerContext, claim: PersistentVolumeClaim): Node | undefined {
  const name =
    claim.metadata.annotations?.[SELECTED_NODE] ??
    informers
      .pods()
      .byIndex("namespace", namespaceKey(claim))
      .find((p) => p.spec?.nodeName && !isFinished(p) && claimsOf(p).includes(claim.metadata.name ?? ""))?.spec
      ?.nodeName;
  // Nodes are root's, whoever's the claim is.
  return name ? informers.nodes().get(`root//${name}`) : undefined;
}

async function reconcileClaim(
  context: ControllerContext,
  key: string,
  tell: Tell,
): Promise<undefined | { requeueAfterMs: number }> {
  const { informers } = context;
  const claim = informers.claims().get(key);
  if (!claim) return;
  const tenant = tenantOf(claim);
  const className = classOf(claim);
  const plan = planClaim({
    claim,
    volumes: informers
      .volumes()
      .list()
      .filter((volume) => tenantOf(volume) === tenant),
    class:
      informers.storageClasses().get(`${tenant}//${className}`) ?? informers.storageClasses().get(`root//${className}`),
    node: nodeFor(context, claim),
  });
  const client = clientFor(context, claim);
  // The volume first: its resourceVersion decides between two claims that want it.
  if (plan.volume) await client.update(PERSISTENT_VOLUMES, plan.volume);
  const written = plan.claim ? await client.update<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, plan.claim) : claim;
  if (plan.status)
    await client.update(PERSISTENT_VOLUME_CLAIMS, { ...written, status: plan.status }, { subresource: "status" });
  if (plan.event) tell(claim, plan.event);
  // A claim may get what nobody tells it of: a class, a volume of another phase.
  return isSettled(claim) || plan.volume || plan.claim ? undefined : { requeueAfterMs: AGAIN_MS };
}

async function reconcileVolume(context: ControllerContext, key: string, tell: Tell): Promise<void> {
  const volume = context.informers.volumes().get(key);
  if (!volume) return;
  const ref = volume.spec?.claimRef;
  const claimKey = `${tenantOf(volume)}/${ref?.namespace}/${ref?.name}`;
  const client = clientFor(context, volume);
  let claim = ref ? context.informers.claims().get(claimKey) : undefined;
  if (ref?.uid && claim?.metadata.uid !== ref.uid) {
    // The claim may not be in the cache yet; only the API knows that it is gone, and releasing is for good.
    const { items } = await client.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, { namespace: ref.namespace });
    claim = items.find((c) => c.metadata.name === ref.name);
  }
  const plan = planVolume(volume, claim);
  if (plan.volume) await client.update(PERSISTENT_VOLUMES, plan.volume);
  if (plan.status) {
    await client.update(PERSISTENT_VOLUMES, { ...volume, status: plan.status }, { subresource: "status" });
    if (plan.event) tell(volume, plan.event);
  }
}

type Tell = (object: KubeObject, event: { type: "Normal" | "Warning"; reason: string; message: string }) => void;

export const persistentVolumeBinder: Controller = {
  name: "persistentvolume-binder",
  async start(context) {
    const { informers, log, signal } = context;
    const [claimQueue, volumeQueue] = [createWorkQueue(), createWorkQueue()];
    const [claims, volumes, pods] = [informers.claims(), informers.volumes(), informers.pods()];
    const recorder = context.recorder("persistentvolume-controller");
    const tell: Tell = (object, { type, reason, message }) => recorder.event(object, type, reason, message);
    const lookAtUnbound = (tenant: string) => {
      for (const claim of claims.list())
        if (tenantOf(claim) === tenant && !isSettled(claim)) claimQueue.add(keyOf(claim));
    };
    const ofVolume = (volume: PersistentVolume) => {
      volumeQueue.add(keyOf(volume));
      const ref = volume.spec?.claimRef;
      if (ref) claimQueue.add(`${tenantOf(volume)}/${ref.namespace}/${ref.name}`);
      else lookAtUnbound(tenantOf(volume));
    };
    const ofClaim = (claim: PersistentVolumeClaim) => {
      claimQueue.add(keyOf(claim));
      for (const volume of volumes.list()) {
        const ref = volume.spec?.claimRef;
        const named = ref?.name === claim.metadata.name && ref?.namespace === claim.metadata.namespace;
        if (named && tenantOf(volume) === tenantOf(claim)) volumeQueue.add(keyOf(volume));
      }
    };
    const ofPod = (pod: Pod) => {
      if (pod.spec?.nodeName) for (const name of claimsOf(pod)) claimQueue.add(`${namespaceKey(pod)}/${name}`);
    };
    volumes.on({ added: ofVolume, updated: ofVolume, deleted: ofVolume });
    claims.on({ added: ofClaim, updated: ofClaim, deleted: ofClaim });
    pods.on({
      added: ofPod,
      updated: (pod, old) => {
        if (pod.spec?.nodeName !== old.spec?.nodeName) ofPod(pod);
      },
    });
    if (!(await synced(signal, claims, volumes, pods, informers.nodes(), informers.storageClasses()))) return;
    // One worker each: two claims that are matched at once would want the same volume.
    const shared = { workers: 1, log, signal };
    await Promise.all([
      runController({
        ...shared,
        name: "persistentvolume-binder-claims",
        queue: claimQueue,
        reconcile: async (key) => await reconcileClaim(context, key, tell),
      }),
      runController({
        ...shared,
        name: "persistentvolume-binder-volumes",
        queue: volumeQueue,
        reconcile: async (key) => await reconcileVolume(context, key, tell),
      }),
    ]);
  },
};
