/** Objects in another version than they are stored in, where a tenant's webhook knows the way. */
import type { StoredObject, TenantId } from "#platform/store/port.ts";
import { type FieldSelector, matchesFields } from "#sdk/api/fields.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { apiVersionOf } from "#sdk/api/object.ts";
import { decode } from "./document.ts";
import type { ResourceEntry } from "./strategy.ts";

export type Versioned = Pick<StoredObject, "document" | "revision">;

/** By what is stored and the version: watchers of one change share one question. */
const made = new WeakMap<Versioned, Map<string, Promise<Versioned>>>();

/** True when reading takes a webhook. */
export const isConverted = (entry: ResourceEntry): boolean => entry.strategy.storage?.convert !== undefined;

/** The same objects as documents of the entry's own version; those that are in it already are as they were. */
export async function inVersion<T extends Versioned>(
  entry: ResourceEntry,
  tenant: TenantId,
  stored: readonly T[],
): Promise<readonly Versioned[]> {
  const convert = entry.strategy.storage?.convert;
  if (!convert) return stored;
  const wanted = apiVersionOf(entry.facts);
  const fresh: { of: T; object: DynamicObject; settle: PromiseWithResolvers<Versioned> }[] = [];
  const all = stored.map((of) => {
    const known = made.get(of)?.get(wanted);
    if (known) return known;
    const object = decode(of);
    if (object.apiVersion === wanted) return of;
    const settle = Promise.withResolvers<Versioned>();
    // Whoever asks for it later is told the failure too; nobody may be asking by then.
    settle.promise.catch(() => made.get(of)?.delete(wanted));
    made.set(of, (made.get(of) ?? new Map<string, Promise<Versioned>>()).set(wanted, settle.promise));
    fresh.push({ of, object, settle });
    return settle.promise;
  });
  if (fresh.length > 0) {
    try {
      const objects = fresh.map(({ object }) => object);
      const converted = await convert(tenant, objects, wanted);
      for (const [i, { of, settle }] of fresh.entries())
        settle.resolve({ document: JSON.stringify(converted[i]), revision: of.revision });
    } catch (error) {
      for (const { settle } of fresh) settle.reject(error);
    }
  }
  return await Promise.all(all);
}

/**
 * Of a field selector what only an object in the version that is read can tell, where reading takes a webhook: the fields that the
 * store keeps are those of the version it was written in. Undefined when the store knows it all.
 */
export function selectsInVersion(
  entry: ResourceEntry,
  fields: FieldSelector,
): { others: FieldSelector; matches(object: Versioned): boolean } | undefined {
  if (!isConverted(entry)) return undefined;
  const own = fields.filter(({ field }) => entry.strategy.fieldNames.includes(field));
  if (own.length === 0) return undefined;
  return {
    others: fields.filter((requirement) => !own.includes(requirement)),
    matches: (object) => matchesFields(own, entry.strategy.fields?.(decode(object)) ?? {}),
  };
}
