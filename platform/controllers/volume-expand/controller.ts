/** Expands volumes whose claims ask for more, or says who will (upstream: pkg/controller/volume/expand). */
import type { PersistentVolume, PersistentVolumeClaim } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { sameJson } from "../objects.ts";
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from "../resources.ts";
import { expansionOf, grownStatus, grownVolume } from "./reconcile.ts";

const WORKERS = 2;

export const volumeExpandController: Controller = {
  name: "volume-expand",
  async start(context) {
    const queue = createWorkQueue();
    const [claims, volumes] = [context.informers.claims(), context.informers.volumes()];
    const recorder = context.recorder("volume_expand");
    const add = (claim: PersistentVolumeClaim) => queue.add(keyOf(claim));
    claims.on({
      added: add,
      updated(claim, old) {
        if (!sameJson([claim.spec, claim.status], [old.spec, old.status])) add(claim);
      },
    });
    const addOf = (volume: PersistentVolume) => {
      const claim = volume.spec?.claimRef;
      if (claim) queue.add(`${tenantOf(volume)}/${claim.namespace}/${claim.name}`);
    };
    volumes.on({ added: addOf, updated: addOf });
    if (!(await synced(context.signal, claims, volumes))) return;
    await runController({
      name: "volume-expand",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const claim = claims.get(key);
        if (!claim) return;
        const volume = volumes.get(`${tenantOf(claim)}//${claim.spec?.volumeName ?? ""}`);
        const expansion = expansionOf(claim, volume);
        if (expansion.by === "driver") {
          const message = "waiting for an external controller to expand this PVC";
          recorder.event(claim, "Normal", "ExternalExpanding", message);
        }
        if (expansion.by !== "loop" || !volume) return;
        const client = clientFor(context, claim);
        const grown = grownVolume(volume, expansion.size);
        try {
          // The volume first: a claim never shows more than there is.
          if (grown) await client.update(PERSISTENT_VOLUMES, grown);
          const next = { ...claim, status: grownStatus(claim, expansion.size) };
          await client.update(PERSISTENT_VOLUME_CLAIMS, next, { subresource: "status" });
        } catch (error) {
          if (isReason(error, "NotFound")) return;
          throw error;
        }
        const { namespace, name } = claim.metadata;
        const message = `ExpandVolume succeeded for volume ${namespace}/${name}`;
        recorder.event(claim, "Normal", "VolumeResizeSuccessful", message);
      },
    });
  },
};
