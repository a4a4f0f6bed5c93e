/** What a claim for devices counts for quotas (upstream: pkg/quota/v1/evaluator/core/resource_claims.go). */
import type { DeviceClass, DeviceRequest, Pod, ResourceClaim } from "#sdk/api/generated/types.ts";
import { CLASS_PREFIX, isClaimOfResources, mayBeDevices } from "../extended-resources.ts";
import { type Amounts, addAmounts, count, growth, withoutZeroAmounts } from "./amounts.ts";
import { podUsage } from "./pods.ts";

export const CLAIMS = "resourceclaims.resource.k8s.io";
const DEVICES_MARK = ".deviceclass.resource.k8s.io/devices";
const REQUESTS = "requests.";
/** A claim for all devices may come to hold as many as a claim can hold. */
const DEVICES_MAX = 32;

/** What else has to be known where a quota counts resources that devices stand for. */
export interface DeviceFacts {
  /** Those of the tenant and of root. */
  classes: readonly DeviceClass[];
  /** Those of the namespace. */
  claims: readonly ResourceClaim[];
  /** By name, in the namespace. */
  pods: ReadonlyMap<string, Pod>;
}

/** A quota's name for a resource that devices may stand for: pods and claims count under it. */
export const countsResources = (name: string): boolean =>
  name.startsWith(REQUESTS) && mayBeDevices(name.slice(REQUESTS.length));

export const countedByClaims = (name: string): boolean => name.endsWith(DEVICES_MARK) || countsResources(name);

/** The most devices of each class that a request may get: of its alternatives one is taken. */
function devicesOf({ exactly, firstAvailable }: DeviceRequest): Map<string, number> {
  const most = new Map<string, number>();
  for (const one of firstAvailable?.length ? firstAvailable : exactly ? [exactly] : []) {
    const devices = { ExactCount: one.count ?? 1, All: DEVICES_MAX }[one.allocationMode ?? "ExactCount"] ?? 0;
    most.set(one.deviceClassName, Math.max(most.get(one.deviceClassName) ?? 0, devices));
  }
  return most;
}

export function deviceUsage(claim: ResourceClaim, now: number, facts?: DeviceFacts): Amounts {
  const used = new Map<string, number>();
  for (const request of claim.spec?.devices?.requests ?? [])
    for (const [name, devices] of devicesOf(request)) used.set(name, (used.get(name) ?? 0) + devices);
  const amounts = [...used].map(([name, devices]) => [`${name}${DEVICES_MARK}`, count(devices)] as const);
  const own = { [`count/${CLAIMS}`]: count(1), ...Object.fromEntries(amounts) };
  return facts ? addAmounts(own, asResources(claim, used, now, facts)) : own;
}

/** Under the names of the resources that the classes' devices stand for, as far as the claim's pod is not charged for them already. */
function asResources(
  claim: ResourceClaim,
  used: ReadonlyMap<string, number>,
  now: number,
  facts: DeviceFacts,
): Amounts {
  let sums: Amounts = {};
  for (const { metadata, spec } of facts.classes) {
    const { name = "" } = metadata;
    const devices = used.get(name);
    if (!devices || !spec.extendedResourceName) continue;
    for (const resource of [spec.extendedResourceName, `${CLASS_PREFIX}${name}`])
      sums = addAmounts(sums, { [`${REQUESTS}${resource}`]: count(devices) });
  }
  const pod = chargedPod(claim, facts);
  return pod ? withoutZeroAmounts(growth(sums, podUsage(pod, now))) : sums;
}

/** The pod for whose resources the claim was made; of several claims that say so of a pod, the one that its status names, or the first. */
function chargedPod(claim: ResourceClaim, { claims, pods }: DeviceFacts): Pod | undefined {
  const owner = claim.metadata.ownerReferences?.find(({ controller }) => controller);
  const pod = owner && pods.get(owner.name);
  if (!pod || !isClaimOfResources(claim, pod.metadata.uid)) return undefined;
  const named = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  if (named !== undefined) return named === claim.metadata.name ? pod : undefined;
  const age = ({ metadata }: ResourceClaim) => `${metadata.creationTimestamp ?? ""} ${metadata.name}`;
  const others = claims.filter((other) => isClaimOfResources(other, pod.metadata.uid));
  return others.some((other) => age(other) < age(claim)) ? undefined : pod;
}
