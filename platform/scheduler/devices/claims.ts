/** The ResourceClaims of a pod, and what is wrong with them in upstream's words (dynamic-resource-allocation/resourceclaim). */
import { groupConsumer, isGroupsClaim, isMadeForGroupOf, isReservedForGroupOf } from "#platform/rules/group-claims.ts";
import type {
  AllocationResult,
  Pod,
  PodGroup,
  PodResourceClaim,
  ResourceClaim,
  ResourceClaimConsumerReference,
} from "#sdk/api/generated/types.ts";

export const usesClaims = (pod: Pod): boolean => (pod.spec?.resourceClaims?.length ?? 0) > 0;

const statusOf = (pod: Pod, { name }: PodResourceClaim) =>
  pod.status?.resourceClaimStatuses?.find((status) => status.name === name);

/** Those that are made by a template are there, or known to be needless. */
export const claimsAreMade = (pod: Pod): boolean =>
  (pod.spec?.resourceClaims ?? []).every(
    (claim) => claim.resourceClaimTemplateName === undefined || statusOf(pod, claim) !== undefined,
  );

export interface PodClaims {
  claims: ResourceClaim[];
  /** Why the pod can run nowhere. */
  problem?: string;
}

/** `find`: the claim of this name in the pod's namespace. */
export function claimsOf(pod: Pod, find: (name: string) => ResourceClaim | undefined): PodClaims {
  const claims: ResourceClaim[] = [];
  const { namespace, name: podName, uid } = pod.metadata;
  const of = `${namespace}/${podName}`;
  for (const podClaim of pod.spec?.resourceClaims ?? []) {
    const made = podClaim.resourceClaimName === undefined;
    if (made && !statusOf(pod, podClaim)) return { claims, problem: `pod "${of}": ResourceClaim not created yet` };
    const name = podClaim.resourceClaimName ?? statusOf(pod, podClaim)?.resourceClaimName;
    // Its controller found that it needs none.
    if (name === undefined) continue;
    const claim = find(name);
    if (!claim) return { claims, problem: `resourceclaim.resource.k8s.io "${name}" not found` };
    if (claim.metadata.deletionTimestamp) return { claims, problem: `resourceclaim "${name}" is being deleted` };
    const isOwn = claim.metadata.ownerReferences?.some((owner) => owner.controller && owner.uid === uid);
    if (made && !isOwn && !isMadeForGroupOf(claim, pod)) {
      const whose = `ResourceClaim ${namespace}/${name} was not created for Pod ${of} (Pod is not owner)`;
      return { claims, problem: whose };
    }
    claims.push(claim);
  }
  return { claims };
}

export const isReservedFor = (claim: ResourceClaim, pod: Pod): boolean =>
  (claim.status?.reservedFor?.some(({ uid }) => uid === pod.metadata.uid) ?? false) || isReservedForGroupOf(claim, pod);

/** For whom a pod's claim is reserved: its group, where that shares it with its pods. */
export function consumerOf(
  pod: Pod,
  claim: ResourceClaim,
  group: PodGroup | undefined,
): ResourceClaimConsumerReference {
  const named = (pod.spec?.resourceClaims ?? []).find(
    (one) => (one.resourceClaimName ?? statusOf(pod, one)?.resourceClaimName) === claim.metadata.name,
  );
  if (group && named && isGroupsClaim(named, group)) return groupConsumer(group);
  return { resource: "pods", name: pod.metadata.name ?? "", uid: pod.metadata.uid ?? "" };
}

type Result = NonNullable<NonNullable<AllocationResult["devices"]>["results"]>[number];

const conditionsOf = ({ status }: ResourceClaim, { driver, pool, device }: Result) =>
  status?.devices?.find((of) => of.driver === driver && of.pool === pool && of.device === device)?.conditions ?? [];

/** Whether its devices may be used: some have to be prepared first, which their driver tells by conditions (KEP-5007). */
export function readiness(claim: ResourceClaim): "ready" | "pending" | { failed: string } {
  let pending = !claim.status?.allocation;
  for (const result of claim.status?.allocation?.devices?.results ?? []) {
    const conditions = conditionsOf(claim, result);
    const find = (type: string) => conditions.find((c) => c.type === type && c.status === "True");
    const failure = (result.bindingFailureConditions ?? []).flatMap((type) => find(type) ?? [])[0];
    if (failure) {
      const { reason, message } = failure;
      const why = `claim=${claim.metadata.name}, reason=${reason}, message=${JSON.stringify(message ?? "")}`;
      return { failed: `device binding failed: ${why}` };
    }
    pending ||= (result.bindingConditions ?? []).some((type) => !find(type));
  }
  return pending ? "pending" : "ready";
}

/** Its devices have to be prepared before a pod is bound. */
export const hasConditions = ({ status }: ResourceClaim): boolean =>
  status?.allocation?.devices?.results?.some(({ bindingConditions }) => bindingConditions?.length) ?? false;

/** As upstream's BindingTimeout: how long a driver may take to prepare a device. */
export const READY_MS_MAX = 600_000;

/** Its driver had its time. */
export function isLate(claim: ResourceClaim, now: number): boolean {
  const { allocationTimestamp } = claim.status?.allocation ?? {};
  return (
    allocationTimestamp !== undefined &&
    hasConditions(claim) &&
    Date.parse(allocationTimestamp) + READY_MS_MAX < now &&
    readiness(claim) === "pending"
  );
}

/** Of the alternatives in requests the first are the best (DynamicResources' score). */
export function rank(claim: ResourceClaim, allocation: AllocationResult | undefined): number {
  const taken = new Set((allocation?.devices?.results ?? []).map(({ request }) => request));
  let sum = 0;
  for (const { name, firstAvailable = [] } of claim.spec.devices?.requests ?? [])
    for (const [i, other] of firstAvailable.entries())
      if (taken.has(`${name}/${other.name}`)) sum += ALTERNATIVES_MAX - i;
  return sum;
}

/** resource.k8s.io's FirstAvailableDeviceRequestMaxSize. */
const ALTERNATIVES_MAX = 8;
