/**
 * What objects count for quotas: the server charges by it, the quota loop recounts by it (upstream: pkg/quota/v1/evaluator). A resource is named
 * as the store does: "pods", "deployments.apps".
 */
import type {
  PersistentVolumeClaim,
  Pod,
  ResourceClaim,
  ResourceQuota,
  ScopedResourceSelectorRequirement,
  Service,
} from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import { type Amounts, amountsOf, count } from "./amounts.ts";
import { CLAIMS, countedByClaims, type DeviceFacts, deviceUsage } from "./devices.ts";
import { changesScope, podCounts, podInScope, podUsage, unspecified } from "./pods.ts";

/** Counted under their own names too, from before there was count/. */
const PLAIN = new Set(["configmaps", "resourcequotas", "replicationcontrollers", "secrets"]);
const CLASS_MARK = ".storageclass.storage.k8s.io/";
const CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class";

function serviceUsage({ spec }: Service): Amounts {
  const type = spec?.type;
  const ports = spec?.ports ?? [];
  const balanced = type === "LoadBalancer";
  const given = balanced && spec?.allocateLoadBalancerNodePorts === false;
  const nodePorts = given ? ports.filter((p) => p.nodePort).length : ports.length;
  return {
    "count/services": count(1),
    services: count(1),
    "services.loadbalancers": count(balanced ? 1 : 0),
    "services.nodeports": count(balanced || type === "NodePort" ? nodePorts : 0),
  };
}

function claimUsage({ metadata, spec, status }: PersistentVolumeClaim): Amounts {
  const one = count(1);
  const usage: Record<string, Amounts[string]> = { "count/persistentvolumeclaims": one, persistentvolumeclaims: one };
  const name = metadata.annotations?.[CLASS_ANNOTATION] ?? spec?.storageClassName;
  if (name) usage[`${name}${CLASS_MARK}persistentvolumeclaims`] = one;
  const requested = spec?.resources?.requests?.["storage"];
  if (requested === undefined) return usage;
  // A claim that grows is charged for what it holds or asks for, whichever is more.
  const allocated = status?.allocatedResources?.["storage"];
  const [asked, held] = [parseQuantity(requested), allocated === undefined ? undefined : parseQuantity(allocated)];
  const storage = held && held.nano > asked.nano ? held : asked;
  usage["requests.storage"] = storage;
  if (name) usage[`${name}${CLASS_MARK}requests.storage`] = storage;
  return usage;
}

/** `now` in milliseconds: a pod whose grace is over counts no more. `facts`: where a claim counts for quotas of resources, too. */
export function quotaUsage(resource: string, object: DynamicObject, now: number, facts?: DeviceFacts): Amounts {
  if (resource === "pods") return podUsage(object as unknown as Pod, now);
  if (resource === "services") return serviceUsage(object as unknown as Service);
  if (resource === "persistentvolumeclaims") return claimUsage(object as unknown as PersistentVolumeClaim);
  if (resource === CLAIMS) return deviceUsage(object as unknown as ResourceClaim, now, facts);
  return { [`count/${resource}`]: count(1), ...(PLAIN.has(resource) ? { [resource]: count(1) } : {}) };
}

/** Objects of this resource are counted under this name of a quota. */
export function countedBy(resource: string, name: string): boolean {
  if (resource === "pods") return podCounts(name);
  if (name === `count/${resource}`) return true;
  if (resource === "services") return ["services", "services.loadbalancers", "services.nodeports"].includes(name);
  if (resource === "persistentvolumeclaims")
    return ["persistentvolumeclaims", "requests.storage"].includes(name) || name.includes(CLASS_MARK);
  if (resource === CLAIMS) return countedByClaims(name);
  return PLAIN.has(resource) && name === resource;
}

/** The resources whose objects are counted under a name; none for a name that counts nothing known. */
export function resourcesCounted(name: string): string[] {
  if (name.startsWith("count/")) return [name.slice("count/".length)];
  return ["pods", "services", "persistentvolumeclaims", CLAIMS, ...PLAIN].filter((resource) =>
    countedBy(resource, name),
  );
}

export function scopesOf({ spec }: ResourceQuota): ScopedResourceSelectorRequirement[] {
  const plain = (spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: "Exists" }));
  return [...plain, ...(spec?.scopeSelector?.matchExpressions ?? [])];
}

const classOf = (claim: PersistentVolumeClaim) => claim.spec?.volumeAttributesClassName;

function inScope(resource: string, object: DynamicObject, selector: ScopedResourceSelectorRequirement): boolean {
  if (resource === "pods") return podInScope(object as unknown as Pod, selector);
  if (resource !== "persistentvolumeclaims" || selector.scopeName !== "VolumeAttributesClass") return false;
  const name = classOf(object as unknown as PersistentVolumeClaim);
  if (selector.operator === "Exists") return Boolean(name);
  if (selector.operator === "DoesNotExist") return !name;
  const named = name !== undefined && (selector.values ?? []).includes(name);
  return selector.operator === "In" ? named : !named;
}

/** The object is in all scopes of the quota. */
export const inScopes = (quota: ResourceQuota, resource: string, object: DynamicObject): boolean =>
  scopesOf(quota).every((selector) => inScope(resource, object, selector));

export type QuotaOperation = "create" | "update";

/** Whether a write can change what is counted. */
export function chargesOn(
  resource: string,
  operation: QuotaOperation,
  subresource: string,
  next: DynamicObject,
  old: DynamicObject | undefined,
): boolean {
  if (resource === "pods") {
    if (subresource === "resize") return operation === "update";
    if (subresource !== "") return false;
    return operation === "create" || (old !== undefined && changesScope(next as unknown as Pod, old as unknown as Pod));
  }
  if (subresource !== "") return false;
  return operation === "create" || resource === "services" || resource === "persistentvolumeclaims";
}

/** What an object must say so that a quota over these names can count it; undefined when it says it. */
export const missingFor = (resource: string, object: DynamicObject, names: readonly string[]): string | undefined =>
  resource === "pods" ? unspecified(object as unknown as Pod, names) : undefined;

export const hardOf = (quota: ResourceQuota): Amounts => amountsOf(quota.spec?.hard);
