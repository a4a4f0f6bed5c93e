/** Which volumes should be attached to which nodes: pure (upstream: pkg/controller/volume/attachdetach, pkg/volume/csi/csi_attacher.go). */
import { createHash } from "node:crypto";
import type { Node, PersistentVolume, Pod, VolumeAttachment } from "#sdk/api/generated/types.ts";
import { isFinished, isTerminating } from "../objects.ts";

/** A node that does not say that a volume is free is believed to be gone after so long (upstream's maxWaitForUnmountDuration). */
export const UNMOUNT_WAIT_MS = 6 * 60_000;
const OUT_OF_SERVICE = "node.kubernetes.io/out-of-service";

type CsiSource = NonNullable<NonNullable<PersistentVolume["spec"]>["csi"]>;

export const attachmentName = ({ volumeHandle, driver }: CsiSource, node: string): string =>
  `csi-${createHash("sha256").update(`${volumeHandle}${driver}${node}`).digest("hex")}`;

/** As it stands in a node's volumesInUse and volumesAttached. */
export const uniqueName = ({ volumeHandle, driver }: CsiSource): string =>
  `kubernetes.io/csi/${driver}^${volumeHandle}`;

export function attachmentFor(volume: PersistentVolume, csi: CsiSource, nodeName: string): VolumeAttachment {
  return {
    apiVersion: "storage.k8s.io/v1",
    kind: "VolumeAttachment",
    metadata: { name: attachmentName(csi, nodeName) },
    spec: { attacher: csi.driver, nodeName, source: { persistentVolumeName: volume.metadata.name } },
  };
}

/** The claims a pod's volumes are, by the claims' names. */
export const claimsOf = (pod: Pod): string[] =>
  (pod.spec?.volumes ?? []).flatMap((volume) => {
    if (volume.ephemeral) return [`${pod.metadata.name}-${volume.name}`];
    const name = volume.persistentVolumeClaim?.claimName;
    return name ? [name] : [];
  });

/** It holds its volumes until it is over, or gone. */
export const holdsVolumes = (pod: Pod): boolean => pod.spec?.nodeName !== undefined && !isFinished(pod);

export interface VolumeInput {
  volume: PersistentVolume;
  /** Bound pods that use it. */
  pods: readonly Pod[];
  attachments: readonly VolumeAttachment[];
  node(name: string): Node | undefined;
  /** When the last pod of a node was first seen to have let go, by the node's name. */
  freeSince(node: string): number;
  now: number;
}

export interface VolumeStep {
  attach: VolumeAttachment[];
  detach: VolumeAttachment[];
  /** What pods are told. */
  events: { pod: Pod; message: string }[];
  recheckMs?: number;
}

/** What a volume needs next. A volume that only one node may have is attached to another when it is free. */
export function stepFor(input: VolumeInput): VolumeStep {
  const { volume, pods, attachments } = input;
  const step: VolumeStep = { attach: [], detach: [], events: [] };
  const csi = volume.spec?.csi;
  if (!csi) return step;
  const wanted = Map.groupBy(pods.filter(holdsVolumes), (pod) => pod.spec?.nodeName ?? "");
  const waits: number[] = [];
  for (const attachment of attachments) {
    const name = attachment.spec.nodeName;
    if (wanted.has(name) || isTerminating(attachment)) continue;
    const waitMs = mayDetachInMs(input, csi, name);
    if (waitMs > 0) waits.push(waitMs);
    else step.detach.push(attachment);
  }
  const isShared = (volume.spec?.accessModes ?? []).some((mode) => mode === "ReadWriteMany" || mode === "ReadOnlyMany");
  for (const [node, users] of wanted) {
    if (attachments.some((a) => a.spec.nodeName === node && !isTerminating(a))) continue;
    const elsewhere = attachments.filter((a) => a.spec.nodeName !== node);
    // The first node to be attached has it; another one waits.
    const taken = !isShared && (elsewhere.length > 0 || step.attach.length > 0);
    if (taken) {
      const others = [...wanted].filter(([other]) => other !== node).flatMap(([, theirs]) => theirs);
      for (const pod of users) step.events.push({ pod, message: multiAttach(volume, pod, others) });
    } else if (!attachments.some((a) => a.spec.nodeName === node)) step.attach.push(attachmentFor(volume, csi, node));
  }
  if (waits.length > 0) step.recheckMs = Math.min(...waits);
  return step;
}

/** 0 or less: the node does not use it (any more), or will never say. */
function mayDetachInMs({ node: find, freeSince, now }: VolumeInput, csi: CsiSource, name: string): number {
  const node = find(name);
  if (!node || node.spec?.taints?.some((taint) => taint.key === OUT_OF_SERVICE)) return 0;
  if (!node.status?.volumesInUse?.includes(uniqueName(csi))) return 0;
  return freeSince(name) + UNMOUNT_WAIT_MS - now;
}

function multiAttach(volume: PersistentVolume, pod: Pod, others: readonly Pod[]): string {
  const near = others.filter((other) => other.metadata.namespace === pod.metadata.namespace);
  const far = others.length - near.length;
  const names = near.map((other) => other.metadata.name).join(", ");
  const why =
    others.length === 0
      ? "Volume is already exclusively attached to one node and can't be attached to another"
      : near.length === 0
        ? `Volume is already used by ${far} pod(s) in different namespaces`
        : `Volume is already used by pod(s) ${names}${far > 0 ? ` and ${far} pod(s) in different namespaces` : ""}`;
  return `Multi-Attach error for volume "${volume.metadata.name}" ${why}`;
}

/** What a node's status says of the volumes that are attached to it, in a fixed order. */
export const attachedTo = (names: readonly string[]) => [...names].sort().map((name) => ({ name, devicePath: "" }));
