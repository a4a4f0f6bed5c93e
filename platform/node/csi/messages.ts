/** The parts of CSI's answers that the agent reads, and of its objects that requests are made of. */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { PersistentVolume } from "#sdk/api/generated/types.ts";

export const nodeInfoShape = z.object({
  nodeId: z.string(),
  maxVolumesPerNode: z.coerce.number().optional(),
  accessibleTopology: z.object({ segments: z.record(z.string(), z.string()).optional() }).optional(),
});
export type NodeInfo = z.infer<typeof nodeInfoShape>;

export const capabilitiesShape = z.object({
  capabilities: z.array(z.object({ rpc: z.object({ type: z.string() }).optional() })).optional(),
});
export const pluginInfoShape = z.object({ name: z.string() });

/** kubernetes/pkg/volume/csi: PersistentVolume access modes as a driver of this age knows them. */
const ACCESS_MODES: Readonly<Record<string, string>> = {
  ReadWriteOnce: "SINGLE_NODE_WRITER",
  ReadOnlyMany: "MULTI_NODE_READER_ONLY",
  ReadWriteMany: "MULTI_NODE_MULTI_WRITER",
  ReadWriteOncePod: "SINGLE_NODE_SINGLE_WRITER",
};
const NARROW: Readonly<Record<string, string>> = { ReadWriteOncePod: "SINGLE_NODE_WRITER" };

/** `singleWriter`: the driver has the capability SINGLE_NODE_MULTI_WRITER, which tells pods of one node apart. */
export function accessMode(modes: readonly string[], singleWriter: boolean): string {
  const order = ["ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany"];
  const mode = order.find((one) => modes.includes(one)) ?? "ReadWriteOnce";
  if (mode === "ReadWriteOnce" && singleWriter) return "SINGLE_NODE_MULTI_WRITER";
  return (singleWriter ? undefined : NARROW[mode]) ?? ACCESS_MODES[mode] ?? "SINGLE_NODE_WRITER";
}

export interface CapabilityInput {
  block: boolean;
  fsType: string | undefined;
  mountFlags: string[];
  /** The driver applies fsGroup itself. */
  group?: number;
  mode: string;
}

export const volumeCapability = ({ block, fsType, mountFlags, group, mode }: CapabilityInput): object => ({
  ...(block
    ? { block: {} }
    : {
        mount: {
          fsType: fsType ?? "",
          mountFlags,
          ...(group === undefined ? {} : { volumeMountGroup: String(group) }),
        },
      }),
  accessMode: { mode },
});

/** The name of the VolumeAttachment by which a volume is attached to a node (csi_attacher.go). */
export const attachmentName = (handle: string, driver: string, node: string): string =>
  `csi-${createHash("sha256").update(`${handle}${driver}${node}`).digest("hex")}`;

/** The handle of a volume that a driver makes for one pod (csi_util.go: csi- and a digest). */
export const inlineHandle = (uid: string, volume: string): string =>
  `csi-${createHash("sha256").update(`${uid}${volume}`).digest("hex")}`;

export type CsiSource = NonNullable<NonNullable<PersistentVolume["spec"]>["csi"]>;
