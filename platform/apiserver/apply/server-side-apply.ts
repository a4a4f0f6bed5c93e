/**
 * Server-side apply and the tracking of field owners on every other write (apimachinery, util/managedfields; KEP-555).
 * Pure: the registry hands in the live object and gets the new one; nothing is read or written here.
 */
import { timeText } from "#platform/base/clock.ts";
import { deepEqual } from "#platform/base/equal.ts";
import type { DynamicObject, JsonObject, ManagedFieldsEntry } from "#sdk/api/object.ts";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import { createdFields } from "./created.ts";
import { type FieldSet, has, isEmpty, pathText, setOf, union } from "./field-set.ts";
import { allowedByLastApplied, refreshLastApplied } from "./last-applied.ts";
import {
  capUpdaters,
  decodeManaged,
  encodeManaged,
  identityOf,
  isReset,
  type Managed,
  type Owner,
  stripServerFields,
  withSet,
} from "./managed-fields.ts";
import type { ApplyType } from "./types.ts";
import { apply, type Conflict, ConflictsError, resetFieldsOf, update, type Versions } from "./updater.ts";
import { findMistakes } from "./validate-typed.ts";

export interface OwnershipOptions {
  /** `fieldManager`, or managerName() of the user agent. */
  manager: string;
  time: Date;
  /** The version and kind the request speaks. */
  apiVersion: string;
  kind: string;
  type: ApplyType;
  /** "status", "scale" …; "" or unset for the main resource. */
  subresource?: string;
  /** Paths that the endpoint resets, e.g. [["status"]] for the main resource and [["spec"]] for status. */
  resetFields?: readonly (readonly string[])[];
  /** The object in another version of its group; unset where there is only one. */
  convert?: Versions["convert"];
}

export interface ApplyOptions extends OwnershipOptions {
  force: boolean;
}

const BEFORE_FIRST_APPLY = "before-first-apply";
const MANAGER_LENGTH_MAX = 128;

/** The manager of a request without `fieldManager`: the user agent up to its first "/". */
export function managerName(fieldManager: string | undefined, userAgent: string | undefined): string {
  if (fieldManager) return fieldManager;
  const name = (userAgent ?? "").split("/", 1)[0] ?? "";
  return name.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, "").slice(0, MANAGER_LENGTH_MAX);
}

const NO_FIELDS = setOf();

const versionsOf = (o: OwnershipOptions): Versions => ({
  apiVersion: o.apiVersion,
  type: o.type,
  convert: o.convert,
  resetFields: o.resetFields ? resetFieldsOf(o.resetFields) : NO_FIELDS,
});

function ownerOf(o: OwnershipOptions, operation: Owner["operation"], manager = o.manager): Omit<Owner, "set"> {
  return { manager: manager || "unknown", operation, apiVersion: o.apiVersion, subresource: o.subresource ?? "" };
}

function withoutManaged(object: DynamicObject): JsonObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata } as unknown as JsonObject;
}

function withManaged(object: JsonObject, managed: Managed): DynamicObject {
  const entries = encodeManaged(managed);
  const metadata = { ...(object["metadata"] as JsonObject), ...(entries ? { managedFields: entries } : {}) };
  return { ...object, metadata } as unknown as DynamicObject;
}

/** Owners after one update, as one manager sees it. */
function updated(o: OwnershipOptions, old: JsonObject, next: JsonObject, owners: Managed, manager: string): Managed {
  const self = { identity: "current-operation", owner: ownerOf(o, "Update", manager) };
  const managed = update(versionsOf(o), old, next, owners, self);
  stripServerFields(managed, self.identity);
  const mine = managed.get(self.identity);
  if (mine) {
    managed.delete(self.identity);
    const identity = identityOf(mine);
    const before = managed.get(identity);
    const owner = withSet(mine, before ? union(before.set, mine.set) : mine.set);
    managed.set(identity, { ...owner, time: timeText(o.time.getTime()) });
  }
  capUpdaters(managed);
  return managed;
}

/** The owners that the request starts from: its own where it sends some (it may edit them), else the live ones. */
function ownersFor(old: DynamicObject | undefined, next: DynamicObject, subresource: string): Managed {
  const live = (): Managed => {
    try {
      return decodeManaged(old?.metadata.managedFields);
    } catch {
      return new Map();
    }
  };
  if (subresource !== "") return live();
  if (isReset(next.metadata.managedFields)) return new Map();
  try {
    const sent = decodeManaged(next.metadata.managedFields);
    return sent.size > 0 ? sent : live();
  } catch {
    return live();
  }
}

const nothingOf = ({ apiVersion, kind }: OwnershipOptions): JsonObject => ({ apiVersion, kind, metadata: {} });

/** One owner of all, as `trackUpdate` says. */
function createdBy(o: OwnershipOptions, after: JsonObject): ManagedFieldsEntry[] | undefined {
  const work = () => {
    const [entry] = encodeManaged(updated(o, nothingOf(o), after, new Map(), o.manager)) ?? [];
    return entry?.fieldsV1;
  };
  try {
    const fieldsV1 = createdFields(o.type, after, o.resetFields, work);
    if (!fieldsV1) return undefined;
    const { manager, operation, apiVersion } = ownerOf(o, "Update");
    return [{ manager, operation, apiVersion, time: timeText(o.time.getTime()), fieldsType: "FieldsV1", fieldsV1 }];
  } catch {
    return undefined;
  }
}

/** Upstream's errors here are logged and the owners dropped: a write never fails for its bookkeeping. */
export function trackUpdate(
  old: DynamicObject | undefined,
  next: DynamicObject,
  o: OwnershipOptions,
): ManagedFieldsEntry[] | undefined {
  const live = old?.metadata.managedFields;
  const sent = next.metadata.managedFields;
  const keepsOwners = old !== undefined && (o.subresource || !sent || sent === live || deepEqual(sent, live));
  if (old && keepsOwners && !live?.length) return undefined;
  const before = old ? withoutManaged(old) : nothingOf(o);
  const after = withoutManaged(next);
  if (!old && !sent && !o.subresource) return createdBy(o, after);
  // The common no-op: nothing to decode, nothing to compare by type.
  if (keepsOwners && deepEqual(before, after)) return live;
  const owners = ownersFor(old, next, o.subresource ?? "");
  if (owners.size === 0 && old) return undefined;
  try {
    return encodeManaged(updated(o, before, after, owners, o.manager));
  } catch {
    return undefined;
  }
}

/**
 * The object after applying `config` to `live` (undefined: the object is created). Throws StatusError: 409 with the causes
 * where other managers own what the configuration changes, 400 for a configuration of another kind or with managedFields,
 * 500 (as upstream) for one that does not fit its type.
 */
export function applyPatch(live: DynamicObject | undefined, config: DynamicObject, o: ApplyOptions): DynamicObject {
  checkKind(config, o);
  const base = live ? withoutManaged(live) : nothingOf(o);
  let owners = readOwners(live);
  const broken = live && findMistakes(o.type, base, true);
  if (owners.size === 0 && broken)
    throw new StatusError(
      500,
      "",
      `failed to create manager for existing fields: failed to convert new object (${nameText(live)}) to smd typed: ${broken}`,
    );
  checkFit(config, o);
  if (broken) throw new StatusError(500, "", `failed to create typed live object (${nameText(live)}): ${broken}`);
  if (owners.size === 0 && live) {
    owners = updated(o, nothingOf(o), base, owners, BEFORE_FIRST_APPLY);
  }
  const result = applyAs(base, config as unknown as JsonObject, owners, o);
  const object = result.object ?? base;
  return withManaged(o.manager === "kubectl" ? refreshLastApplied(object, config) : object, result.managed);
}

function readOwners(live: DynamicObject | undefined): Managed {
  try {
    return decodeManaged(live?.metadata.managedFields);
  } catch (error) {
    throw new StatusError(500, "", `failed to decode managed fields: ${(error as Error).message}`);
  }
}

const gvkText = (apiVersion: string, kind: string): string =>
  `${apiVersion.includes("/") ? apiVersion : `/${apiVersion}`}, Kind=${kind}`;

const nameText = ({ apiVersion = "", kind = "", metadata }: DynamicObject): string =>
  `${metadata?.namespace ?? ""}/${metadata?.name ?? ""}; ${gvkText(apiVersion, kind)}`;

function checkKind(config: DynamicObject, o: ApplyOptions): void {
  const gvk = gvkText(config.apiVersion ?? "", config.kind ?? "");
  if (config.apiVersion !== o.apiVersion || config.kind !== o.kind) throw badRequest(`invalid object type: ${gvk}`);
  if (config.metadata?.managedFields) throw badRequest("metadata.managedFields must be nil");
}

function checkFit(config: DynamicObject, o: ApplyOptions): void {
  const mistakes = findMistakes(o.type, config as unknown as JsonObject);
  if (mistakes === undefined) return;
  throw new StatusError(500, "", `failed to create typed patch object (${nameText(config)}): ${mistakes}`);
}

/** Applies; what kubectl applied from the client's side before does not conflict with kubectl. */
function applyAs(live: JsonObject, config: JsonObject, owners: Managed, o: ApplyOptions) {
  const owner = ownerOf(o, "Apply");
  const self = { identity: identityOf(owner), owner };
  const run = (force: boolean) => {
    const result = apply(versionsOf(o), live, config, owners, self, force);
    stripServerFields(result.managed, self.identity);
    const mine = result.managed.get(self.identity);
    if (result.object && mine) result.managed.set(self.identity, { ...mine, time: timeText(o.time.getTime()) });
    return result;
  };
  try {
    return run(o.force);
  } catch (error) {
    if (!(error instanceof ConflictsError)) throw error;
    const allowed: FieldSet = o.manager === "kubectl" ? allowedByLastApplied(live, o) : setOf();
    const rest = error.conflicts.filter(({ path }) => !has(allowed, path));
    if (rest.length > 0 || isEmpty(allowed)) throw conflictError(rest);
    return run(true);
  }
}

function ownerText(owner: Owner): string {
  const name = JSON.stringify(owner.manager);
  const named = owner.subresource ? `${name} with subresource ${JSON.stringify(owner.subresource)}` : name;
  return owner.operation === "Update" ? `${named} using ${owner.apiVersion}` : named;
}

/** Upstream's NewApplyConflict: one line for one conflict, else a list by manager. */
export function conflictError(conflicts: readonly Conflict[]): StatusError {
  const sorted = [...conflicts].sort((a, b) => {
    const [x, y] = [identityOf(a.owner), identityOf(b.owner)];
    return x < y ? -1 : x > y ? 1 : 0;
  });
  const causes = sorted.map(({ owner, path }) => ({
    reason: "FieldManagerConflict",
    message: `conflict with ${ownerText(owner)}`,
    field: pathText(path),
  }));
  return new StatusError(409, "Conflict", conflictMessage(sorted), { causes });
}

function conflictMessage(sorted: readonly Conflict[]): string {
  const first = sorted[0];
  if (first && sorted.length === 1) {
    return `Apply failed with 1 conflict: conflict with ${ownerText(first.owner)}: ${pathText(first.path)}`;
  }
  const lines: string[] = [];
  let previous = "";
  for (const { owner, path } of sorted) {
    const identity = identityOf(owner);
    if (identity !== previous) lines.push(`conflicts with ${ownerText(owner)}:`);
    previous = identity;
    lines.push(`- ${pathText(path)}`);
  }
  return `Apply failed with ${sorted.length} conflicts: ${lines.join("\n")}`;
}
