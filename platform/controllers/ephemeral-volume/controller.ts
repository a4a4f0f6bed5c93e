/** Makes the claims of pods' generic ephemeral volumes (upstream: pkg/controller/volume/ephemeral). */

import { messageOf } from "#platform/base/log.ts";
import type { PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { controllerOf, controllerRef, isFinished, isTerminating, namespaceKey } from "../objects.ts";
import { PERSISTENT_VOLUME_CLAIMS } from "../resources.ts";

const WORKERS = 2;

interface Wanted {
  volume: string;
  claim: PersistentVolumeClaim;
}

/** The claims that a pod's ephemeral volumes are, named POD-VOLUME. */
export function ephemeralClaims(pod: Pod): Wanted[] {
  return (pod.spec?.volumes ?? []).flatMap(({ name, ephemeral }) => {
    const template = ephemeral?.volumeClaimTemplate;
    if (!template) return [];
    const { labels, annotations } = template.metadata ?? {};
    const metadata = {
      name: `${pod.metadata.name}-${name}`,
      namespace: pod.metadata.namespace,
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ownerReferences: [controllerRef({ ...pod, apiVersion: "v1", kind: "Pod" })],
    };
    return [
      { volume: name, claim: { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata, spec: template.spec } },
    ];
  });
}

export const ephemeralVolumeController: Controller = {
  name: "ephemeral-volume",
  async start(context) {
    const queue = createWorkQueue();
    const [pods, claims] = [context.informers.pods(), context.informers.claims()];
    const recorder = context.recorder("ephemeral_volume");
    const add = (pod: Pod) => {
      if (!isTerminating(pod) && pod.spec?.volumes?.some((v) => v.ephemeral)) queue.add(keyOf(pod));
    };
    pods.on({ added: add });
    claims.on({
      deleted: (claim) => {
        const owner = controllerOf(claim);
        if (owner?.kind === "Pod") queue.add(`${namespaceKey(claim)}/${owner.name}`);
      },
    });
    if (!(await synced(context.signal, pods, claims))) return;
    await runController({
      name: "ephemeral-volume",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const pod = pods.get(key);
        if (!pod || isTerminating(pod) || isFinished(pod)) return;
        for (const { volume, claim } of ephemeralClaims(pod)) {
          const { name } = claim.metadata;
          try {
            const present = claims.get(`${namespaceKey(pod)}/${name}`);
            if (!present) await clientFor(context, pod).create(PERSISTENT_VOLUME_CLAIMS, claim);
            else if (controllerOf(present)?.uid !== pod.metadata.uid)
              throw new Error(
                `PVC ${present.metadata.namespace}/${name} was not created for pod ${pod.metadata.namespace}/${pod.metadata.name} (pod is not owner)`,
              );
          } catch (error) {
            recorder.event(pod, "Warning", "FailedBinding", `ephemeral volume ${volume}: ${messageOf(error)}`);
            throw error;
          }
        }
      },
    });
  },
};
