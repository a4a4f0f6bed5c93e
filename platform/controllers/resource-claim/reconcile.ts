/** Claims of devices that pods ask for: pure (upstream: pkg/controller/resourceclaim; KEP-4381). */
import { isGroup, isReservedForGroupOf } from "#platform/rules/group-claims.ts";
import type {
  Pod,
  PodGroup,
  PodResourceClaim,
  ResourceClaim,
  ResourceClaimConsumerReference,
  ResourceClaimTemplate,
} from "#sdk/api/generated/types.ts";
import { isFinished, isTerminating } from "../objects.ts";

export const POD_CLAIM_ANNOTATION = "resource.kubernetes.io/pod-claim-name";
export const FINALIZER = "resource.kubernetes.io/delete-protection";
/** A name has 63 characters; a hyphen and five are the server's. */
const BASE_MAX = 57;
/** Consumers of one claim. */
const RESERVED_MAX = 256;

/** It will never run (again). */
export const isDone = (pod: Pod): boolean => isFinished(pod) || (isTerminating(pod) && !pod.spec?.nodeName);

/** Of one of a pod's claims: undefined while it is not made, null where none is needed. */
export function claimName(pod: Pod, podClaim: PodResourceClaim): string | null | undefined {
  if (podClaim.resourceClaimName !== undefined) return podClaim.resourceClaimName;
  const status = pod.status?.resourceClaimStatuses?.find((s) => s.name === podClaim.name);
  return status && (status.resourceClaimName ?? null);
}

export const usesClaims = ({ spec, status }: Pod): boolean =>
  (spec?.resourceClaims?.length ?? 0) > 0 || status?.extendedResourceClaimStatus !== undefined;

/** Of all that are made, with the one that stands for its resources. */
export function claimNames(pod: Pod): string[] {
  const forResources = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  const own = (pod.spec?.resourceClaims ?? []).flatMap((claim) => claimName(pod, claim) ?? []);
  return forResources ? [...own, forResources] : own;
}

/** The claim that the pods of a group share, by its name there. */
export const isMadeForGroup = (claim: ResourceClaim, group: PodGroup, name: string): boolean =>
  claim.metadata.annotations?.[POD_CLAIM_ANNOTATION] === name &&
  (claim.metadata.ownerReferences?.some((o) => o.controller && o.kind === "PodGroup" && o.uid === group.metadata.uid) ??
    false);

export const isOwnedBy = (claim: ResourceClaim, pod: Pod): boolean =>
  claim.metadata.ownerReferences?.some((o) => o.controller && o.kind === "Pod" && o.uid === pod.metadata.uid) ?? false;

export const isMadeFor = (claim: ResourceClaim, pod: Pod, podClaim: PodResourceClaim): boolean =>
  isOwnedBy(claim, pod) && claim.metadata.annotations?.[POD_CLAIM_ANNOTATION] === podClaim.name;

export function claimFrom(
  template: ResourceClaimTemplate,
  { metadata: { name = "", namespace, uid = "" } }: Pod | PodGroup,
  podClaim: Pick<PodResourceClaim, "name">,
  kind: "Pod" | "PodGroup" = "Pod",
): ResourceClaim {
  const { metadata, spec } = template.spec;
  const apiVersion = kind === "Pod" ? "v1" : "scheduling.k8s.io/v1alpha2";
  const owner = { apiVersion, kind, name, uid, controller: true };
  return {
    apiVersion: "resource.k8s.io/v1",
    kind: "ResourceClaim",
    metadata: {
      generateName: baseName(name, podClaim.name),
      namespace,
      ownerReferences: [owner],
      annotations: { ...metadata?.annotations, [POD_CLAIM_ANNOTATION]: podClaim.name },
      ...(metadata?.labels ? { labels: metadata.labels } : {}),
    },
    spec,
  };
}

function baseName(pod: string, claim: string): string {
  const whole = `${pod}-${claim}-`;
  if (whole.length <= BASE_MAX) return whole;
  const share = (text: string) => text.slice(0, Math.floor((text.length * BASE_MAX) / whole.length));
  return `${share(pod)}-${share(claim)}`;
}

export const isReservedFor = (claim: ResourceClaim, pod: Pod): boolean =>
  (claim.status?.reservedFor?.some((consumer) => consumer.uid === pod.metadata.uid) ?? false) ||
  isReservedForGroupOf(claim, pod);

/** A pod that somebody bound without the scheduler: its claims are reserved when they have devices. */
export const shouldReserve = (claim: ResourceClaim, pod: Pod): boolean =>
  claim.status?.allocation !== undefined &&
  !isReservedFor(claim, pod) &&
  (claim.status.reservedFor?.length ?? 0) < RESERVED_MAX;

export const isPod = ({ apiGroup, resource }: ResourceClaimConsumerReference): boolean =>
  !apiGroup && resource === "pods";

export interface ClaimStep {
  status?: ResourceClaim["status"];
  finalizers?: string[];
  remove?: boolean;
}

/** What a claim no longer needs. `live`: consumers that are pods that may still run, or groups that are there; `owner`: the pod it was made for, as far as it is known. */
export function stepFor(
  claim: ResourceClaim,
  live: ReadonlySet<string>,
  owner: { uid: string; pod: Pod | undefined } | undefined,
): ClaimStep {
  const reserved = claim.status?.reservedFor ?? [];
  const remaining = reserved.filter((c) => !(isGroup(c) || isPod(c)) || live.has(c.uid));
  const step: ClaimStep = {};
  const isIdle = remaining.length === 0;
  const isHeld = claim.metadata.finalizers?.includes(FINALIZER) ?? false;
  const freed = isIdle && isHeld && (reserved.length > 0 || isTerminating(claim));
  if (remaining.length < reserved.length || (freed && claim.status?.allocation)) {
    const { allocation, reservedFor: _, ...rest } = claim.status ?? {};
    step.status = {
      ...rest,
      ...(allocation && !freed ? { allocation } : {}),
      ...(isIdle ? {} : { reservedFor: remaining }),
    };
  }
  if (freed) step.finalizers = claim.metadata.finalizers?.filter((f) => f !== FINALIZER) ?? [];
  const pod = owner?.pod;
  if (isIdle && pod && (pod.metadata.uid !== owner.uid || isDone(pod)) && !isTerminating(claim)) step.remove = true;
  return step;
}
