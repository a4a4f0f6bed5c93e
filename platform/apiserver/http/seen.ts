/** What a change is to somebody who sees only what matches. */
import type { Change, Matcher, Scope, Store, StoredObject, TenantId } from "#platform/store/port.ts";
import { inVersion, type selectsInVersion, type Versioned } from "../registry/conversion.ts";
import type { ResourceEntry } from "../registry/strategy.ts";

export type Seen = "ADDED" | "MODIFIED" | "DELETED" | undefined;

const typeOf = (is: boolean, was: boolean): Seen => (is ? (was ? "MODIFIED" : "ADDED") : was ? "DELETED" : undefined);

/** Undefined when it is nothing to them. */
export function seenAs(change: Change, matcher: Matcher | undefined): Seen {
  const is = change.type !== "deleted" && (matcher?.(change.object) ?? true);
  const before = change.previous ?? (change.type === "added" ? undefined : change.object);
  return typeOf(is, before !== undefined && (matcher?.(before) ?? true));
}

type InVersion = NonNullable<ReturnType<typeof selectsInVersion>>;
const placeOf = ({ key }: StoredObject): string => `${key.namespace}/${key.name}`;

/**
 * Who selects by fields of a version that a webhook makes: what an object was before is not kept in that version, so it is remembered
 * which objects were shown. `after`: the revision whose objects the watcher has; undefined when he has none.
 */
export async function remembering(
  store: Store,
  scope: Scope,
  entry: ResourceEntry,
  after: number | undefined,
  others: Matcher | undefined,
  { matches }: InVersion,
): Promise<(change: Change, ready: (of: StoredObject) => Versioned) => Seen> {
  const shown = new Set<string>();
  if (after !== undefined) {
    const { objects } = await store.list({
      scope,
      freshness: { type: "exact", revision: after },
      ...(others ? { matcher: others } : {}),
    });
    const ready = await inVersion(entry, scope.tenant as TenantId, objects);
    for (const [i, object] of objects.entries()) if (matches(ready[i] ?? object)) shown.add(placeOf(object));
  }
  return (change, ready) => {
    const { object, type } = change;
    const was = shown.delete(placeOf(object));
    const is = type !== "deleted" && (others?.(object) ?? true) && matches(ready(object));
    if (is) shown.add(placeOf(object));
    return typeOf(is, was);
  };
}
