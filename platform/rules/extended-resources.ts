/**
 * Resources that devices stand for (KEP-5004): a pod asks for an amount of one as it does for cpu, and where no node's plugin has it, devices of
 * the class that names it are allocated.
 */
import type { DeviceClass, Pod } from "#sdk/api/generated/types.ts";

/** Of the claim that the scheduler makes for such a pod; "true". */
export const EXTENDED_CLAIM = "resource.kubernetes.io/extended-resource-claim";
/** Each class is a resource of this prefix and its name, whatever else it says. */
export const CLASS_PREFIX = "deviceclass.resource.kubernetes.io/";
const QUOTA_PREFIX = "requests.";
const NAME_MAX = 317;

/** pkg/apis/core/v1/helper: what a vendor's resource may be called. */
export const isExtendedResource = (name: string): boolean =>
  name.length <= NAME_MAX &&
  !name.startsWith(QUOTA_PREFIX) &&
  !name.includes("kubernetes.io/") &&
  /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$/.test(name);

/** Devices of a class may stand for it. */
export const mayBeDevices = (name: string): boolean => name.startsWith(CLASS_PREFIX) || isExtendedResource(name);

const bornAt = ({ metadata }: DeviceClass): number => Date.parse(metadata.creationTimestamp ?? "") || 0;

/** By resource: the class whose devices stand for it. Of several that name one, the youngest does, then the first by name. */
export function classesByResource(classes: Iterable<DeviceClass>): Map<string, DeviceClass> {
  const found = new Map<string, DeviceClass>();
  for (const one of classes) {
    const { name = "" } = one.metadata;
    found.set(`${CLASS_PREFIX}${name}`, one);
    const resource = one.spec.extendedResourceName;
    if (!resource) continue;
    const other = found.get(resource);
    const order = other ? bornAt(one) - bornAt(other) : 1;
    if (order > 0 || (order === 0 && name < (other?.metadata.name ?? ""))) found.set(resource, one);
  }
  return found;
}

/** The claim's devices were allocated for what this pod asks of such resources. */
export const isClaimOfResources = (
  claim: { metadata: Pick<Pod["metadata"], "annotations" | "ownerReferences"> },
  podUid: string | undefined,
): boolean =>
  claim.metadata.annotations?.[EXTENDED_CLAIM] === "true" &&
  (claim.metadata.ownerReferences?.some(
    ({ kind, uid, controller }) => controller === true && kind === "Pod" && uid === podUid,
  ) ??
    false);
