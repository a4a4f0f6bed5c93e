/** Small questions about objects that several loops ask (upstream: pkg/controller/controller_utils.go, pkg/api/v1/pod). */
import type { Pod, PodCondition } from "#sdk/api/generated/types.ts";
import type { KubeObject, OwnerReference } from "#sdk/api/object.ts";
import { tenantOf } from "#sdk/client/port.ts";

export const controllerOf = (object: KubeObject): OwnerReference | undefined =>
  object.metadata.ownerReferences?.find((owner) => owner.controller === true);

/** "tenant/namespace" */
export const namespaceKey = (object: KubeObject): string => `${tenantOf(object)}/${object.metadata.namespace ?? ""}`;

/** The owner reference that makes `owner` the controller of what carries it. */
export const controllerRef = (owner: KubeObject): OwnerReference => ({
  apiVersion: owner.apiVersion ?? "",
  kind: owner.kind ?? "",
  name: owner.metadata.name ?? "",
  uid: owner.metadata.uid ?? "",
  controller: true,
  blockOwnerDeletion: true,
});

export const isFinished = (pod: Pod): boolean => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
export const isTerminating = (object: KubeObject): boolean => object.metadata.deletionTimestamp !== undefined;
/** When a pod that drains may be deleted: RFC 3339. */
export const DRAINING_UNTIL = "rollout.capstan.dev/draining-until";
/** It takes no new requests, but has not been told to stop. */
export const isDraining = (pod: Pod): boolean => pod.metadata.annotations?.[DRAINING_UNTIL] !== undefined;
export const isLeaving = (pod: Pod): boolean => isTerminating(pod) || isDraining(pod);
export const isActive = (pod: Pod): boolean => !isFinished(pod) && !isLeaving(pod);

export const conditionOf = <C extends { type: string }>(
  conditions: readonly C[] | undefined,
  type: string,
): C | undefined => conditions?.find((c) => c.type === type);

export const readyCondition = (pod: Pod): PodCondition | undefined => conditionOf(pod.status?.conditions, "Ready");
export const isReady = (pod: Pod): boolean => readyCondition(pod)?.status === "True";

/** Ready for at least minReadySeconds; otherwise the milliseconds until it could be, when it is ready. */
export function availability(pod: Pod, minReadySeconds: number, now: number): { available: boolean; inMs?: number } {
  if (!isReady(pod)) return { available: false };
  if (minReadySeconds === 0) return { available: true };
  const since = Date.parse(readyCondition(pod)?.lastTransitionTime ?? "");
  if (Number.isNaN(since)) return { available: false };
  const inMs = since + minReadySeconds * 1000 - now;
  return inMs <= 0 ? { available: true } : { available: false, inMs };
}

/** Structural equality of JSON values, whatever the order of keys; a key that is undefined is absent. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => sameJson(item, b[i]));
  }
  const [left, right] = [definedEntries(a), definedEntries(b)];
  const other = new Map(right);
  return left.length === right.length && left.every(([k, v]) => other.has(k) && sameJson(v, other.get(k)));
}

const definedEntries = (object: object): [string, unknown][] =>
  Object.entries(object).filter(([, value]) => value !== undefined);

/** Replaces the condition of its type; the transition time stays while the status does. */
export function withCondition<C extends { type: string; status: string; reason?: string; lastTransitionTime?: string }>(
  conditions: readonly C[] | undefined,
  condition: C,
): C[] {
  const present = conditions ?? [];
  const old = conditionOf(present, condition.type);
  if (old && old.status === condition.status && old.reason === condition.reason) return [...present];
  const kept =
    old?.status === condition.status ? { ...condition, lastTransitionTime: old.lastTransitionTime } : condition;
  return [...present.filter((c) => c.type !== condition.type), kept];
}

export const withoutCondition = <C extends { type: string }>(conditions: readonly C[] | undefined, type: string): C[] =>
  (conditions ?? []).filter((c) => c.type !== type);

/** Go writes counts with omitempty: a zero is absent on the wire, and comparing with what the server sends needs the same. */
export const withoutZeros = <T extends Record<string, number | undefined>>(counts: T): Partial<T> =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count)) as Partial<T>;
