/** Which class a claim gets that names none: pure (upstream: plugin/pkg/admission/storage/storageclass/setdefault). */
import type { PersistentVolumeClaim, StorageClass } from "#sdk/api/generated/types.ts";

const BETA_CLASS = "volume.beta.kubernetes.io/storage-class";
const IS_DEFAULT = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

const isDefault = ({ metadata }: StorageClass): boolean =>
  IS_DEFAULT.some((annotation) => metadata.annotations?.[annotation] === "true");

const compare = (a = "", b = ""): number => (a < b ? -1 : a > b ? 1 : 0);

/** The newest; of equally old ones the first by name. */
const newestFirst = ({ metadata: a }: StorageClass, { metadata: b }: StorageClass): number =>
  compare(b.creationTimestamp, a.creationTimestamp) || compare(a.name, b.name);

/** Undefined: the claim says what it wants (an empty name too is an answer), or no class is the default. */
export function classFor(
  { metadata, spec }: PersistentVolumeClaim,
  classes: readonly StorageClass[],
): string | undefined {
  if (!spec || spec.storageClassName !== undefined || metadata.annotations?.[BETA_CLASS] !== undefined)
    return undefined;
  return classes.filter(isDefault).sort(newestFirst)[0]?.metadata.name;
}
