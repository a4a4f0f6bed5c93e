/** metadata.managedFields: who owns which fields, and its wire form (apimachinery, util/managedfields). */
import type { JsonObject, ManagedFieldsEntry } from "#sdk/api/object.ts";
import { decodeFields, difference, encodeFields, type FieldSet, isEmpty, setOf, union } from "./field-set.ts";

export type Operation = "Apply" | "Update";

export interface Owner {
  manager: string;
  operation: Operation;
  /** The version in which `set` is written. */
  apiVersion: string;
  subresource: string;
  /** RFC 3339, whole seconds; unset for a manager that never changed anything. */
  time?: string;
  set: FieldSet;
  /** `set` in its wire form, where it was read and has not changed since. */
  encoded?: JsonObject;
}

export const withSet = (owner: Owner, set: FieldSet): Owner =>
  set === owner.set ? owner : { ...owner, set, encoded: undefined };

/** By identity: an applier is one whatever version it speaks, an updater is one for each version. */
export type Managed = Map<string, Owner>;

/** Updaters beyond this many are merged into one, the oldest first. */
export const UPDATERS_MAX = 10;
const OLD_UPDATERS = "ancient-changes";

export function identityOf(o: Pick<Owner, "manager" | "operation" | "apiVersion" | "subresource">): string {
  return JSON.stringify([o.manager, o.operation, o.operation === "Apply" ? "" : o.apiVersion, o.subresource]);
}

/** Throws Error on entries that upstream would not read either. */
export function decodeManaged(entries: readonly ManagedFieldsEntry[] | undefined): Managed {
  const managed: Managed = new Map();
  for (const [i, entry] of (entries ?? []).entries()) {
    const { operation, apiVersion, fieldsType } = entry;
    if (operation !== "Apply" && operation !== "Update") throw new Error("operation must be `Apply` or `Update`");
    if (!apiVersion) throw new Error("apiVersion must not be empty");
    if (!fieldsType) throw new Error(`missing fieldsType in managed fields entry ${i}`);
    if (fieldsType !== "FieldsV1") throw new Error(`invalid fieldsType "${fieldsType}" in managed fields entry ${i}`);
    const owner: Owner = {
      manager: entry.manager ?? "",
      operation,
      apiVersion,
      subresource: entry.subresource ?? "",
      time: entry.time,
      set: decodeFields(entry.fieldsV1 ?? {}),
      encoded: entry.fieldsV1,
    };
    managed.set(identityOf(owner), owner);
  }
  return managed;
}

const seconds = (time: string | undefined): number => (time ? Math.floor(Date.parse(time) / 1000) : 0);
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function compareOwners(a: Owner, b: Owner): number {
  return (
    byText(a.operation, b.operation) ||
    seconds(a.time) - seconds(b.time) ||
    byText(a.manager, b.manager) ||
    byText(a.apiVersion, b.apiVersion) ||
    byText(a.subresource, b.subresource)
  );
}

export function encodeManaged(managed: Managed): ManagedFieldsEntry[] | undefined {
  if (managed.size === 0) return undefined;
  return [...managed.values()].sort(compareOwners).map((owner) => ({
    ...(owner.manager ? { manager: owner.manager } : {}),
    operation: owner.operation,
    apiVersion: owner.apiVersion,
    ...(owner.time ? { time: owner.time } : {}),
    fieldsType: "FieldsV1",
    fieldsV1: owner.encoded ?? encodeFields(owner.set),
    ...(owner.subresource ? { subresource: owner.subresource } : {}),
  }));
}

/** What nobody owns: identity and what the server fills in. */
const NEVER_OWNED: FieldSet = setOf(
  ["f:apiVersion"],
  ["f:kind"],
  ["f:metadata"],
  ...[
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
  ].map((name) => ["f:metadata", `f:${name}`]),
);

export function stripServerFields(managed: Managed, identity: string): void {
  const owner = managed.get(identity);
  if (!owner) return;
  const set = difference(owner.set, NEVER_OWNED);
  if (isEmpty(set)) managed.delete(identity);
  else managed.set(identity, withSet(owner, set));
}

/** Keeps the list short: the oldest updaters of a version become one entry. */
export function capUpdaters(managed: Managed): void {
  const updaters = [...managed].filter(([, owner]) => owner.operation === "Update");
  let excess = updaters.length - UPDATERS_MAX;
  if (excess <= 0) return;
  updaters.sort(([a, p], [b, q]) => seconds(p.time) - seconds(q.time) || byText(a, b));
  const firstOfVersion = new Map<string, string>();
  for (const [identity, owner] of updaters) {
    if (excess <= 0) return;
    const first = firstOfVersion.get(owner.apiVersion);
    if (first === undefined) {
      firstOfVersion.set(owner.apiVersion, identity);
      continue;
    }
    mergeIntoBucket(managed, first, identity, owner);
    excess--;
  }
}

function mergeIntoBucket(managed: Managed, first: string, identity: string, owner: Owner): void {
  const bucket: Owner = { ...owner, manager: OLD_UPDATERS, subresource: "" };
  const bucketId = identityOf(bucket);
  const present = managed.get(bucketId) ?? managed.get(first);
  managed.delete(first);
  managed.delete(identity);
  managed.set(bucketId, withSet(bucket, present ? union(present.set, owner.set) : owner.set));
}

/** An explicit empty list, or one empty entry, asks the server to forget the owners. */
export function isReset(entries: readonly ManagedFieldsEntry[] | undefined): boolean {
  if (!entries) return false;
  return entries.length === 0 || (entries.length === 1 && Object.keys(entries[0] as object).length === 0);
}
