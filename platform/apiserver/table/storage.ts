/** Tables of volumes, claims and the storage group. */
import type {
  CSIDriver,
  CSINode,
  PersistentVolume,
  PersistentVolumeClaim,
  StorageClass,
  VolumeAttachment,
  VolumeAttributesClass,
} from "#sdk/api/generated/types.ts";
import type { ObjectMeta } from "#sdk/api/object.ts";
import { accessModes, since, UNSET } from "./format.ts";
import { AGE, boolean, integer, NAME, nameOf, printer, text, wide } from "./printer.ts";

const storageClassOf = (metadata: ObjectMeta, name: string | undefined): string =>
  metadata.annotations?.["volume.beta.kubernetes.io/storage-class"] ?? name ?? "";

export const persistentVolumes = printer<PersistentVolume>({
  columns: [
    NAME,
    ...text("Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass"),
    ...text("VolumeAttributesClass", "Reason"),
    AGE,
    ...wide("VolumeMode"),
  ],
  cells: (o, now) => [
    nameOf(o),
    o.spec?.capacity?.["storage"] ?? "0",
    accessModes(o.spec?.accessModes),
    o.spec?.persistentVolumeReclaimPolicy ?? "",
    o.metadata.deletionTimestamp ? "Terminating" : (o.status?.phase ?? ""),
    o.spec?.claimRef ? `${o.spec.claimRef.namespace ?? ""}/${o.spec.claimRef.name ?? ""}` : "",
    storageClassOf(o.metadata, o.spec?.storageClassName),
    o.spec?.volumeAttributesClassName ?? UNSET,
    o.status?.reason ?? "",
    since(o.metadata.creationTimestamp, now),
    o.spec?.volumeMode ?? UNSET,
  ],
});

export const persistentVolumeClaims = printer<PersistentVolumeClaim>({
  columns: [
    NAME,
    ...text("Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass"),
    AGE,
    ...wide("VolumeMode"),
  ],
  cells(o, now) {
    const bound = Boolean(o.spec?.volumeName);
    return [
      nameOf(o),
      o.metadata.deletionTimestamp ? "Terminating" : (o.status?.phase ?? ""),
      o.spec?.volumeName ?? "",
      bound ? (o.status?.capacity?.["storage"] ?? "0") : "",
      bound ? accessModes(o.status?.accessModes) : "",
      storageClassOf(o.metadata, o.spec?.storageClassName),
      o.spec?.volumeAttributesClassName ?? UNSET,
      since(o.metadata.creationTimestamp, now),
      o.spec?.volumeMode ?? UNSET,
    ];
  },
});

const DEFAULT_CLASS = [
  "storageclass.kubernetes.io/is-default-class",
  "storageclass.beta.kubernetes.io/is-default-class",
];

export const storageClasses = printer<StorageClass>({
  columns: [
    NAME,
    ...text("Provisioner", "ReclaimPolicy", "VolumeBindingMode"),
    ...boolean("AllowVolumeExpansion"),
    AGE,
  ],
  cells(o, now) {
    const isDefault = DEFAULT_CLASS.some((annotation) => o.metadata.annotations?.[annotation] === "true");
    return [
      `${nameOf(o)}${isDefault ? " (default)" : ""}`,
      o.provisioner ?? "",
      o.reclaimPolicy ?? "Delete",
      o.volumeBindingMode ?? "Immediate",
      o.allowVolumeExpansion ?? false,
      since(o.metadata.creationTimestamp, now),
    ];
  },
});

export const volumeAttachments = printer<VolumeAttachment>({
  columns: [NAME, { ...NAME, name: "Attacher" }, ...text("PV", "Node"), ...boolean("Attached"), AGE],
  cells: (o, now) => [
    nameOf(o),
    o.spec?.attacher ?? "",
    o.spec?.source?.persistentVolumeName ?? "",
    o.spec?.nodeName ?? "",
    o.status?.attached ?? false,
    since(o.metadata.creationTimestamp, now),
  ],
});

export const volumeAttributesClasses = printer<VolumeAttributesClass>({
  columns: [NAME, ...text("DriverName"), AGE],
  cells: (o, now) => [nameOf(o), o.driverName ?? "", since(o.metadata.creationTimestamp, now)],
});

export const csiNodes = printer<CSINode>({
  columns: [NAME, ...integer("Drivers"), AGE],
  cells: (o, now) => [nameOf(o), o.spec?.drivers?.length ?? 0, since(o.metadata.creationTimestamp, now)],
});

export const csiDrivers = printer<CSIDriver>({
  columns: [
    NAME,
    ...boolean("AttachRequired", "PodInfoOnMount", "StorageCapacity"),
    ...text("TokenRequests"),
    ...boolean("RequiresRepublish"),
    ...text("Modes"),
    AGE,
  ],
  cells: (o, now) => [
    nameOf(o),
    o.spec?.attachRequired ?? true,
    o.spec?.podInfoOnMount ?? false,
    o.spec?.storageCapacity ?? false,
    (o.spec?.tokenRequests ?? []).map((request) => request.audience).join(",") || UNSET,
    o.spec?.requiresRepublish ?? false,
    (o.spec?.volumeLifecycleModes ?? []).join(",") || UNSET,
    since(o.metadata.creationTimestamp, now),
  ],
});
