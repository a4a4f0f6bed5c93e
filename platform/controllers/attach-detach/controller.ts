/**
 * Keeps the VolumeAttachments by which a CSI driver's controller attaches volumes to nodes, and shows nodes what is attached (upstream:
 * pkg/controller/volume/attachdetach). Attachments are in the tenant of their volumes; nodes are root's.
 */
import type {
  CSIDriver,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  VolumeAttachment,
} from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, clientFor, synced } from "../context.ts";
import { namespaceKey, sameJson } from "../objects.ts";
import { NODES, VOLUME_ATTACHMENTS } from "../resources.ts";
import { attachedTo, claimsOf, holdsVolumes, stepFor, uniqueName } from "./reconcile.ts";

const WORKERS = 4;
/** Another node may let go in the meantime. */
const WAITING_MS = 15_000;

export const attachDetachController: Controller = {
  name: "attach-detach",
  async start(context) {
    const { informers } = context;
    const [volumes, claims, pods] = [informers.volumes(), informers.claims(), informers.pods()];
    const [nodes, attachments, drivers] = [informers.nodes(), informers.volumeAttachments(), informers.csiDrivers()];
    const [queue, nodeQueue] = [createWorkQueue(), createWorkQueue()];
    const recorder = context.recorder("attachdetach-controller");
    /** "tenant/volume node" → when its last pod was seen to have let go. */
    const free = new Map<string, number>();
    const volumeOf = (claim: PersistentVolumeClaim | undefined): PersistentVolume | undefined =>
      claim?.spec?.volumeName ? volumes.get(`${tenantOf(claim)}//${claim.spec.volumeName}`) : undefined;
    const lookAtClaim = (claim: PersistentVolumeClaim) => {
      const volume = volumeOf(claim);
      if (volume?.spec?.csi) queue.add(keyOf(volume));
    };
    const lookAtPod = (pod: Pod) => {
      if (!pod.spec?.nodeName) return;
      for (const name of claimsOf(pod)) {
        const claim = claims.get(`${namespaceKey(pod)}/${name}`);
        if (claim) lookAtClaim(claim);
      }
    };
    const lookAtVolume = (volume: PersistentVolume) => (volume.spec?.csi ? queue.add(keyOf(volume)) : undefined);
    const lookAtAttachment = (attachment: VolumeAttachment) => {
      const name = attachment.spec.source.persistentVolumeName;
      if (name) queue.add(`${tenantOf(attachment)}//${name}`);
      nodeQueue.add(`root//${attachment.spec.nodeName}`);
    };
    pods.on({ added: lookAtPod, updated: lookAtPod, deleted: lookAtPod });
    claims.on({ added: lookAtClaim, updated: lookAtClaim });
    volumes.on({ added: lookAtVolume, updated: lookAtVolume, deleted: lookAtVolume });
    attachments.on({
      added: lookAtAttachment,
      updated(attachment, old) {
        lookAtAttachment(attachment);
        tell(attachment, old);
      },
      deleted: lookAtAttachment,
    });
    nodes.on({
      updated(node, old) {
        if (sameJson([node.status?.volumesInUse, node.spec?.taints], [old.status?.volumesInUse, old.spec?.taints]))
          return;
        for (const attachment of attachments.byIndex("node", node.metadata.name ?? "")) lookAtAttachment(attachment);
      },
      deleted(node) {
        for (const attachment of attachments.byIndex("node", node.metadata.name ?? "")) lookAtAttachment(attachment);
      },
    });
    if (!(await synced(context.signal, volumes, claims, pods, nodes, attachments, drivers))) return;

    const usersOf = (volume: PersistentVolume): Pod[] => {
      const ref = volume.spec?.claimRef;
      const claim = ref && claims.get(`${tenantOf(volume)}/${ref.namespace}/${ref.name}`);
      if (!claim || claim.spec?.volumeName !== volume.metadata.name) return [];
      const near = pods.byIndex("namespace", namespaceKey(claim));
      return near.filter((pod) => claimsOf(pod).includes(claim.metadata.name ?? ""));
    };
    /** What a driver's controller has done is told to the pods that wait for it. */
    function tell(attachment: VolumeAttachment, old: VolumeAttachment): void {
      const volume = volumes.get(`${tenantOf(attachment)}//${attachment.spec.source.persistentVolumeName}`);
      const { attached, attachError } = attachment.status ?? {};
      const isNew = attached === true && old.status?.attached !== true;
      const isError = attachError !== undefined && attachError.message !== old.status?.attachError?.message;
      if (!volume || (!isNew && !isError)) return;
      for (const pod of usersOf(volume)) {
        if (pod.spec?.nodeName !== attachment.spec.nodeName) continue;
        const about = `for volume "${volume.metadata.name}" `;
        if (isNew) recorder.event(pod, "Normal", "SuccessfulAttachVolume", `AttachVolume.Attach succeeded ${about}`);
        else
          recorder.event(
            pod,
            "Warning",
            "FailedAttachVolume",
            `AttachVolume.Attach failed ${about}: ${attachError?.message}`,
          );
      }
    }
    const since = (volume: string, users: readonly Pod[]) => (node: string) => {
      const key = `${volume} ${node}`;
      const isUsed = users.some((pod) => holdsVolumes(pod) && pod.spec?.nodeName === node);
      if (isUsed) free.delete(key);
      else if (!free.has(key)) free.set(key, Date.now());
      return free.get(key) ?? Date.now();
    };

    const common = { workers: WORKERS, log: context.log, signal: context.signal };
    await Promise.all([
      runController({
        ...common,
        name: "attach-detach",
        queue,
        async reconcile(key) {
          const volume = volumes.get(key);
          const { tenant, name } = splitKey(key);
          const present = attachments.byIndex("volume", `${tenant}/${name}`);
          if (!volume?.spec?.csi) return;
          const driver = drivers.get(`root//${volume.spec.csi.driver}`);
          const users = needsAttach(driver) ? usersOf(volume) : [];
          const step = stepFor({
            volume,
            pods: users,
            attachments: present,
            node: (node) => nodes.get(`root//${node}`),
            freeSince: since(key, users),
            now: Date.now(),
          });
          for (const { pod, message } of step.events) recorder.event(pod, "Warning", "FailedAttachVolume", message);
          for (const attachment of step.detach) {
            await detach(context, attachment);
            free.delete(`${key} ${attachment.spec.nodeName}`);
          }
          for (const attachment of step.attach) {
            try {
              await clientFor(context, volume).create(VOLUME_ATTACHMENTS, attachment);
            } catch (error) {
              if (!isReason(error, "AlreadyExists")) throw error;
            }
          }
          const waits = [step.recheckMs, step.events.length > 0 ? WAITING_MS : undefined].filter(
            (ms) => ms !== undefined,
          );
          return waits.length > 0 ? { requeueAfterMs: Math.min(...waits) } : undefined;
        },
      }),
      runController({
        ...common,
        name: "attach-detach-nodes",
        queue: nodeQueue,
        async reconcile(key) {
          const node = nodes.get(key);
          if (!node) return;
          const names = attachments.byIndex("node", node.metadata.name ?? "").flatMap((attachment) => {
            const { persistentVolumeName } = attachment.spec.source;
            const csi = volumes.get(`${tenantOf(attachment)}//${persistentVolumeName}`)?.spec?.csi;
            return csi && attachment.status?.attached ? [uniqueName(csi)] : [];
          });
          await show(context, node, names);
        },
      }),
    ]);
  },
};

/** As the server sets it where nobody says. A driver that is not known yet may need it. */
const needsAttach = (driver: CSIDriver | undefined): boolean => driver?.spec.attachRequired !== false;

async function detach(context: ControllerContext, attachment: VolumeAttachment): Promise<void> {
  const { name = "", uid } = attachment.metadata;
  try {
    await clientFor(context, attachment).delete(VOLUME_ATTACHMENTS, { name }, { preconditions: { uid } });
  } catch (error) {
    if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) throw error;
  }
}

async function show(context: ControllerContext, node: Node, names: readonly string[]): Promise<void> {
  const volumesAttached = attachedTo(names);
  if (sameJson(node.status?.volumesAttached ?? [], volumesAttached)) return;
  const body = { status: { volumesAttached: volumesAttached.length > 0 ? volumesAttached : null } };
  const { name = "" } = node.metadata;
  try {
    await clientFor(context, node).patch(NODES, { name }, { type: "merge", body }, { subresource: "status" });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}
