/** Holds claims, volumes and volume attributes classes that are deleted while they are used, until they are not. */
import type { PersistentVolume, PersistentVolumeClaim, Pod, VolumeAttributesClass } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Informer, keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue, type WorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, clientFor, synced } from "../context.ts";
import { namespaceKey } from "../objects.ts";
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES } from "../resources.ts";
import {
  CLAIM_FINALIZER,
  CLASS_FINALIZER,
  claimsOf,
  classesOfClaim,
  classesOfVolume,
  finalizersFor,
  usesClaim,
  VOLUME_FINALIZER,
  volumeIsUsed,
} from "./protection.ts";

const WORKERS = 2;

interface Protection<T extends KubeObject> {
  name: string;
  resource: GroupVersionResource;
  finalizer: string;
  informer(context: ControllerContext): Informer<T>;
  /** What else has to be known, and what of it makes an object worth another look. */
  watch(context: ControllerContext, queue: WorkQueue): { synced(): boolean }[];
  isUsed(context: ControllerContext, object: T): Promise<boolean> | boolean;
}

function protection<T extends KubeObject>(p: Protection<T>): Controller {
  return {
    name: p.name,
    async start(context) {
      const queue = createWorkQueue();
      const objects = p.informer(context);
      const add = (object: T) => queue.add(keyOf(object));
      objects.on({ added: add, updated: add });
      const others = p.watch(context, queue);
      if (!(await synced(context.signal, objects, ...others))) return;
      await runController({
        name: p.name,
        queue,
        workers: WORKERS,
        log: context.log,
        signal: context.signal,
        async reconcile(key) {
          const object = objects.get(key);
          if (!object) return;
          const used = object.metadata.deletionTimestamp !== undefined && (await p.isUsed(context, object));
          const finalizers = finalizersFor(object, p.finalizer, used);
          if (!finalizers) return;
          const { metadata } = object;
          try {
            await clientFor(context, object).update(p.resource, { ...object, metadata: { ...metadata, finalizers } });
          } catch (error) {
            if (!isReason(error, "NotFound")) throw error;
          }
        },
      });
    },
  };
}

export const claimProtection = protection<PersistentVolumeClaim>({
  name: "persistentvolumeclaim-protection",
  resource: PERSISTENT_VOLUME_CLAIMS,
  finalizer: CLAIM_FINALIZER,
  informer: ({ informers }) => informers.claims(),
  watch({ informers }, queue) {
    const pods = informers.pods();
    const look = (pod: Pod) => {
      for (const claim of claimsOf(pod)) queue.add(`${namespaceKey(pod)}/${claim}`);
    };
    pods.on({ added: look, updated: look, deleted: look });
    return [pods];
  },
  async isUsed(context, claim) {
    const uses = (pod: Pod) => usesClaim(pod, claim);
    if (context.informers.pods().byIndex("namespace", namespaceKey(claim)).some(uses)) return true;
    // A pod may not be in the cache yet: only the API knows that there is none.
    const { namespace } = claim.metadata;
    return (await clientFor(context, claim).list<Pod>(PODS, { namespace })).items.some(uses);
  },
});

export const volumeProtection = protection<PersistentVolume>({
  name: "persistentvolume-protection",
  resource: PERSISTENT_VOLUMES,
  finalizer: VOLUME_FINALIZER,
  informer: ({ informers }) => informers.volumes(),
  watch: () => [],
  isUsed: (_, volume) => volumeIsUsed(volume),
});

export const volumeAttributesClassProtection = protection<VolumeAttributesClass>({
  name: "volumeattributesclass-protection",
  resource: VOLUME_ATTRIBUTES_CLASSES,
  finalizer: CLASS_FINALIZER,
  informer: ({ informers }) => informers.volumeAttributesClasses(),
  watch({ informers }, queue) {
    const [claims, volumes] = [informers.claims(), informers.volumes()];
    const look = (object: KubeObject, names: string[]) => {
      for (const name of names) queue.add(`${tenantOf(object)}//${name}`);
    };
    const ofClaim = (claim: PersistentVolumeClaim) => look(claim, classesOfClaim(claim));
    const ofVolume = (volume: PersistentVolume) => look(volume, classesOfVolume(volume));
    claims.on({ updated: (_, old) => ofClaim(old), deleted: ofClaim });
    volumes.on({ updated: (_, old) => ofVolume(old), deleted: ofVolume });
    return [claims, volumes];
  },
  async isUsed(context, { metadata, ...object }) {
    const name = metadata.name ?? "";
    const client = clientFor(context, { metadata, ...object });
    const volumes = (await client.list<PersistentVolume>(PERSISTENT_VOLUMES)).items;
    if (volumes.some((volume) => classesOfVolume(volume).includes(name))) return true;
    const claims = (await client.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)).items;
    return claims.some((claim) => classesOfClaim(claim).includes(name));
  },
});
