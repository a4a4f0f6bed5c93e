/** Whether a claim may grow: pure (upstream: plugin/pkg/admission/storage/persistentvolume/resize). */
import type { PersistentVolumeClaim, StorageClass } from "#sdk/api/generated/types.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";

const BETA_CLASS = "volume.beta.kubernetes.io/storage-class";
const sizeOf = ({ spec }: PersistentVolumeClaim): bigint =>
  parseQuantity(spec?.resources?.requests?.["storage"] ?? "0").nano;
const classOf = ({ metadata, spec }: PersistentVolumeClaim): string =>
  metadata?.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? "";

/** Why not; undefined when it may. `storageClass` is the one that the claim names, where there is one of that name. */
export function refusal(
  now: PersistentVolumeClaim,
  before: PersistentVolumeClaim,
  storageClass: StorageClass | undefined,
): string | undefined {
  if (sizeOf(now) <= sizeOf(before)) return undefined;
  if (before.status?.phase !== "Bound") return "Only bound persistent volume claims can be expanded";
  const isSame = classOf(now) !== "" && classOf(now) === classOf(before);
  if (isSame && storageClass?.metadata.name === classOf(now) && storageClass.allowVolumeExpansion) return undefined;
  return "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
}
