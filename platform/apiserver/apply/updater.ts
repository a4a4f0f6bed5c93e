/**
 * The rules of ownership (structured-merge-diff, merge/update.go). An Update takes what it changed from everybody; an Apply
 * owns exactly what its configuration says, may not change what others own unless forced, and gives up and removes what
 * it said before and says no more, unless another manager owns that too.
 */

import { deepEqual } from "#platform/base/equal.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import {
  difference,
  type FieldSet,
  intersection,
  isEmpty,
  paths,
  recursiveDifference,
  setOf,
  union,
} from "./field-set.ts";
import { type Managed, type Owner, withSet } from "./managed-fields.ts";
import { merge } from "./merge-typed.ts";
import { type Comparison, compare, reconcileWithType, removeItems, toFieldSet, withNamedFields } from "./typed.ts";
import type { ApplyType } from "./types.ts";

export interface Versions {
  /** The version of the objects handed in. */
  apiVersion: string;
  type: ApplyType;
  /** The object, whichever version it is in, and its type in a version of its group; undefined when that is not served. */
  convert?(object: JsonObject, apiVersion: string): { object: JsonObject; type: ApplyType } | undefined;
  /** Paths that the endpoint resets (status on the main resource): neither owned nor compared. */
  resetFields: FieldSet;
}

export interface Conflict {
  owner: Owner;
  path: readonly string[];
}

export class ConflictsError extends Error {
  readonly conflicts: Conflict[];
  constructor(conflicts: Conflict[]) {
    super("apply conflicts");
    this.conflicts = conflicts;
  }
}

/** What endpoints reset, the same lists each time: what is worked out of them is kept by them. */
export const RESETS: Readonly<Record<"spec" | "status" | "nothing", string[][]>> = {
  spec: [["spec"]],
  status: [["status"]],
  nothing: [],
};

const resetSets = new WeakMap<readonly (readonly string[])[], FieldSet>();

/** The same list gives the same set, which nobody changes. */
export function resetFieldsOf(fields: readonly (readonly string[])[]): FieldSet {
  let set = resetSets.get(fields);
  if (!set) {
    set = setOf(...fields.map((path) => path.map((name) => `f:${name}`)));
    resetSets.set(fields, set);
  }
  return set;
}

function inVersion(versions: Versions, object: JsonObject, apiVersion: string) {
  if (apiVersion === versions.apiVersion && (object.apiVersion ?? apiVersion) === apiVersion) {
    return { object, type: versions.type };
  }
  return versions.convert?.(object, apiVersion);
}

function compareFiltered(versions: Versions, type: ApplyType, old: JsonObject, next: JsonObject): Comparison {
  const found = compare(type, old, next);
  if (isEmpty(versions.resetFields)) return found;
  return {
    removed: recursiveDifference(found.removed, versions.resetFields),
    modified: recursiveDifference(found.modified, versions.resetFields),
    added: recursiveDifference(found.added, versions.resetFields),
  };
}

/** Owners of parts of values that have become atomic own those values; owners in unserved versions are forgotten. */
function reconcile(versions: Versions, live: JsonObject, managed: Managed): Managed {
  const out: Managed = new Map();
  for (const [identity, owner] of managed) {
    const converted = inVersion(versions, live, owner.apiVersion);
    if (converted) out.set(identity, withSet(owner, reconcileWithType(converted.type, owner.set)));
  }
  return out;
}

/** Takes changed and removed fields from everybody but `self`; throws ConflictsError where that needs force. */
function takeFromOthers(
  versions: Versions,
  old: JsonObject,
  next: JsonObject,
  managed: Managed,
  self: string,
  force: boolean,
): Comparison {
  const own = compareFiltered(versions, versions.type, old, next);
  const comparisons = new Map<string, Comparison | undefined>([[versions.apiVersion, own]]);
  const conflicts: Conflict[] = [];
  const taken = new Map<string, FieldSet>();
  for (const [identity, owner] of managed) {
    if (identity === self) continue;
    if (!comparisons.has(owner.apiVersion)) {
      const before = inVersion(versions, old, owner.apiVersion);
      const after = inVersion(versions, next, owner.apiVersion);
      const both = before && after;
      comparisons.set(owner.apiVersion, both && compareFiltered(versions, before.type, before.object, after.object));
    }
    const changes = comparisons.get(owner.apiVersion);
    if (!changes) {
      managed.delete(identity);
      continue;
    }
    const changed = intersection(owner.set, union(changes.modified, changes.added));
    if (!force) for (const path of paths(changed)) conflicts.push({ owner, path });
    const gone = intersection(owner.set, changes.removed);
    if (!isEmpty(changed) || !isEmpty(gone)) taken.set(identity, union(changed, gone));
  }
  if (!force && conflicts.length > 0) throw new ConflictsError(conflicts);
  for (const [identity, set] of taken) {
    const owner = managed.get(identity) as Owner;
    const rest = difference(owner.set, set);
    if (isEmpty(rest)) managed.delete(identity);
    else managed.set(identity, withSet(owner, rest));
  }
  return own;
}

const isSame = (c: Comparison): boolean => isEmpty(c.removed) && isEmpty(c.modified) && isEmpty(c.added);

/** Ownership after an update by `self` (an identity that is not in `managed`); what it took is under that identity. */
export function update(
  versions: Versions,
  old: JsonObject,
  next: JsonObject,
  owners: Managed,
  self: { identity: string; owner: Omit<Owner, "set"> },
): Managed {
  const managed = reconcile(versions, old, owners);
  const changes = takeFromOthers(versions, old, next, managed, self.identity, true);
  if (isSame(changes)) return managed;
  const set = recursiveDifference(union(changes.modified, changes.added), versions.resetFields);
  if (!isEmpty(set)) managed.set(self.identity, { ...self.owner, set });
  return managed;
}

/** The object after an apply (undefined: nothing changed) and the owners. Throws ConflictsError. */
export function apply(
  versions: Versions,
  live: JsonObject,
  config: JsonObject,
  owners: Managed,
  self: { identity: string; owner: Omit<Owner, "set"> },
  force: boolean,
): { object: JsonObject | undefined; managed: Managed } {
  const managed = reconcile(versions, live, owners);
  const before = managed.get(self.identity);
  const said = toFieldSet(versions.type, config);
  const set = recursiveDifference(said, versions.resetFields);
  const merged = (merge(versions.type, live, config) ?? {}) as JsonObject;
  managed.set(self.identity, { ...self.owner, time: before?.time, set });
  const next = before ? prune(versions, merged, managed, before) : merged;
  takeFromOthers(versions, live, next, managed, self.identity, force);
  if (isEmpty(set)) managed.delete(self.identity);
  return { object: deepEqual(live, next) ? undefined : next, managed };
}

type Typed = { object: JsonObject; type: ApplyType };

const fieldsOf = ({ type, object }: Typed): FieldSet => withNamedFields(type, toFieldSet(type, object));
const minus = ({ type, object }: Typed, set: FieldSet): JsonObject =>
  (removeItems(type, object, set) ?? {}) as JsonObject;

/** Removes what the manager said last time and says no more, but nothing that anybody still owns. */
function prune(versions: Versions, merged: JsonObject, managed: Managed, last: Owner): JsonObject {
  const before = isEmpty(last.set) ? undefined : inVersion(versions, merged, last.apiVersion);
  if (!before) return merged;
  const lastSet = withNamedFields(before.type, last.set);
  const owned = addBackOwned(versions, before, minus(before, lastSet), managed, last.apiVersion);
  const kept = inVersion(versions, owned, last.apiVersion);
  if (!kept) return merged;
  const gone = intersection(difference(fieldsOf(before), fieldsOf(kept)), lastSet);
  return inVersion(versions, minus(before, gone), versions.apiVersion)?.object ?? merged;
}

/** `without`, and of `merged` what some owner owns; judged in each owner's version, the pruned one first. */
function addBackOwned(
  versions: Versions,
  merged: Typed,
  without: JsonObject,
  managed: Managed,
  first: string,
): JsonObject {
  const byVersion = new Map<string, FieldSet>([[first, setOf()]]);
  for (const { apiVersion, set } of managed.values()) {
    byVersion.set(apiVersion, union(byVersion.get(apiVersion) ?? setOf(), set));
  }
  let all = merged.object;
  let rest = without;
  for (const [apiVersion, set] of byVersion) {
    const whole = inVersion(versions, all, apiVersion);
    const part = inVersion(versions, rest, apiVersion);
    if (!whole || !part) continue;
    const keep = union(fieldsOf(part), withNamedFields(whole.type, set));
    all = whole.object;
    rest = minus(whole, difference(fieldsOf(whole), keep));
  }
  return rest;
}
