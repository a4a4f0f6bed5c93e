/** The pure half of deletion: what a DELETE makes of an object (rest.BeforeDelete and the registry's finalizers). */
import { timeText } from "#platform/base/clock.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { badRequest, conflict } from "#sdk/api/status.ts";
import type { DeleteOptions, ResourceEntry } from "./strategy.ts";

const ORPHAN = "orphan";
const FOREGROUND = "foregroundDeletion";
const POLICIES = ["Foreground", "Background", "Orphan"];

export function checkPreconditions(entry: ResourceEntry, object: DynamicObject, options: DeleteOptions): void {
  const { preconditions } = options;
  const { name = "", uid, resourceVersion } = object.metadata;
  const kind = { group: entry.facts.group, resource: entry.facts.kind };
  if (preconditions?.uid !== undefined && preconditions.uid !== uid) {
    // Kinds whose content goes first have a deletion of their own, with words of its own.
    if (entry.strategy.holdsDeletion)
      throw conflict(
        entry.facts,
        name,
        `Precondition failed: UID in precondition: ${preconditions.uid}, UID in object meta: ${uid}`,
      );
    throw conflict(
      kind,
      name,
      `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
    );
  }
  if (preconditions?.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion) {
    throw conflict(
      kind,
      name,
      `the ResourceVersion in the precondition (${preconditions.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`,
    );
  }
}

export function checkDeleteOptions(options: DeleteOptions): void {
  const { propagationPolicy, orphanDependents } = options;
  if (propagationPolicy !== undefined && orphanDependents !== undefined) {
    throw badRequest("orphanDependents and deletionPropagation cannot be both set");
  }
  if (propagationPolicy !== undefined && !POLICIES.includes(propagationPolicy)) {
    throw badRequest(
      `DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "${propagationPolicy}": supported values: "Background", "Foreground", "Orphan"`,
    );
  }
}

function finalizersAfter(present: readonly string[], options: DeleteOptions, fallback: string | undefined): string[] {
  const policy =
    options.propagationPolicy ??
    (options.orphanDependents === undefined ? undefined : options.orphanDependents ? "Orphan" : "Background") ??
    (present.includes(ORPHAN) || present.includes(FOREGROUND) ? undefined : fallback);
  const others = present.filter((f) => f !== ORPHAN && f !== FOREGROUND);
  if (policy === "Orphan") return [...others, ORPHAN];
  if (policy === "Foreground") return [...others, FOREGROUND];
  // Without a policy, what the object asks for by its finalizers stands.
  return policy === "Background" ? others : [...present];
}

/** The object may leave the store: nothing holds it. */
export function isReleased(entry: ResourceEntry, object: DynamicObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  return (
    deletionTimestamp !== undefined &&
    (deletionGracePeriodSeconds ?? 0) === 0 &&
    (finalizers ?? []).length === 0 &&
    !entry.strategy.holdsDeletion?.(object)
  );
}

export interface Deletion {
  /** Remove it now, or write the mark, or leave it as it is. */
  outcome: "remove" | "mark" | "keep";
  object: DynamicObject;
}

/** `object` is a copy that may be changed. `now` in milliseconds. */
export function planDeletion(
  entry: ResourceEntry,
  object: DynamicObject,
  options: DeleteOptions,
  now: number,
): Deletion {
  const { strategy } = entry;
  const meta = object.metadata;
  const before = JSON.stringify(object);
  const finalizers = finalizersAfter(meta.finalizers ?? [], options, strategy.propagationPolicy);
  if (finalizers.length > 0) meta.finalizers = finalizers;
  else delete meta.finalizers;
  const grace = strategy.gracePeriodSeconds?.(object, options) ?? 0;
  if (meta.deletionTimestamp === undefined) {
    const released = grace === 0 && finalizers.length === 0 && !strategy.holdsDeletion?.(object);
    // Watchers of a kind that ends gracefully see the mark even when the end is immediate.
    if (released && !strategy.gracePeriodSeconds) return { outcome: "remove", object };
    meta.deletionTimestamp = timeText(now + grace * 1000);
    // A namespace ends when it is empty, whenever that is.
    if (!strategy.holdsDeletion) meta.deletionGracePeriodSeconds = grace;
    if (meta.generation) meta.generation += 1;
    if (released) return { outcome: "remove", object };
    strategy.markDeleted?.(object);
    return { outcome: "mark", object };
  }
  shortenGrace(object, options, grace);
  if (isReleased(entry, object)) return { outcome: "remove", object };
  return { outcome: before === JSON.stringify(object) ? "keep" : "mark", object };
}

/** A second delete may only shorten the time that is left. */
function shortenGrace(object: DynamicObject, options: DeleteOptions, grace: number): void {
  const meta = object.metadata;
  const present = meta.deletionGracePeriodSeconds ?? 0;
  if (present === 0 || options.gracePeriodSeconds === undefined || grace >= present) return;
  const began = Date.parse(meta.deletionTimestamp ?? "") - present * 1000;
  meta.deletionTimestamp = timeText(began + grace * 1000);
  meta.deletionGracePeriodSeconds = grace;
}
