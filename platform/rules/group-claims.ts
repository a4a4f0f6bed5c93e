/** Claims that the pods of a PodGroup share (DRAWorkloadResourceClaims): made for the group, and reserved for it instead of each of its pods. */
import type {
  Pod,
  PodGroup,
  PodResourceClaim,
  ResourceClaim,
  ResourceClaimConsumerReference,
} from "#sdk/api/generated/types.ts";

const GROUP = "scheduling.k8s.io";
const RESOURCE = "podgroups";

export const groupNameOf = (pod: Pod): string | undefined => pod.spec?.schedulingGroup?.podGroupName;

/** The group shares it with its pods: both say the same of it. */
export const isGroupsClaim = (
  { name, resourceClaimName, resourceClaimTemplateName }: PodResourceClaim,
  group: PodGroup | undefined,
): boolean =>
  group?.spec?.resourceClaims?.some(
    (one) =>
      one.name === name &&
      one.resourceClaimName === resourceClaimName &&
      one.resourceClaimTemplateName === resourceClaimTemplateName,
  ) ?? false;

export const groupConsumer = ({ metadata }: PodGroup): ResourceClaimConsumerReference => ({
  apiGroup: GROUP,
  resource: RESOURCE,
  name: metadata.name ?? "",
  uid: metadata.uid ?? "",
});

export const isGroup = ({ apiGroup, resource }: ResourceClaimConsumerReference): boolean =>
  apiGroup === GROUP && resource === RESOURCE;

/** Pods know their group by its name alone. */
export const isMadeForGroupOf = (claim: ResourceClaim, pod: Pod): boolean =>
  claim.metadata.ownerReferences?.some(
    ({ controller, kind, apiVersion, name }) =>
      controller === true && kind === "PodGroup" && apiVersion.startsWith(`${GROUP}/`) && name === groupNameOf(pod),
  ) ?? false;

export const isReservedForGroupOf = ({ status }: ResourceClaim, pod: Pod): boolean =>
  status?.reservedFor?.some((user) => isGroup(user) && user.name === groupNameOf(pod)) ?? false;
