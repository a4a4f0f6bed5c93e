/** Between objects and the store's documents (see platform/store/port.ts for the form). */
import { encodeWithRevision, type NewDocument, type StoredObject } from "#platform/store/port.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { TENANT_ANNOTATION } from "#sdk/api/object.ts";
import type { Strategy } from "./strategy.ts";

/** The object with its resourceVersion; a fresh copy the caller may change. */
export function decode(stored: Pick<StoredObject, "document" | "revision">): DynamicObject {
  const object = JSON.parse(stored.document) as DynamicObject;
  if (stored.revision > 0) object.metadata.resourceVersion = String(stored.revision);
  return object;
}

const read = new WeakMap<StoredObject, object>();

/** What is stored, to be looked at and never changed: read once of each version, since the same few objects are asked on every write. */
export function documentOf<T extends object>(stored: StoredObject): Readonly<T> {
  let object = read.get(stored);
  if (!object) {
    object = JSON.parse(stored.document) as object;
    read.set(stored, object);
  }
  return object as T;
}

/** In the storage form already; kind, apiVersion and metadata come first and resourceVersion and the tenant are left out. */
export function encode(object: DynamicObject, strategy: Strategy): NewDocument {
  const { kind, apiVersion, metadata, ...rest } = object;
  const { resourceVersion: _, annotations, ...meta } = metadata;
  const kept = annotations && withoutTenant(annotations);
  const document = JSON.stringify({
    kind,
    apiVersion,
    metadata: { ...meta, ...(kept ? { annotations: kept } : {}) },
    ...rest,
  });
  return {
    uid: metadata.uid ?? "",
    document,
    labels: metadata.labels ?? {},
    fields: {
      "metadata.name": metadata.name ?? "",
      "metadata.namespace": metadata.namespace ?? "",
      ...strategy.fields?.(object),
    },
    terminating: metadata.deletionTimestamp !== undefined,
  };
}

/** The tenant is told by readers of the wildcard and can never be written. */
function withoutTenant(annotations: Record<string, string>): Record<string, string> | undefined {
  if (!Object.hasOwn(annotations, TENANT_ANNOTATION)) return annotations;
  const { [TENANT_ANNOTATION]: _, ...rest } = annotations;
  return Object.keys(rest).length > 0 ? rest : undefined;
}

/** What a write answers with: a document in storage form; revision 0 for a dry run's create. */
export interface Written {
  document: string;
  revision: number;
  created: boolean;
}

/** JSON text of an object as it is served in its storage version. */
export const textOf = (o: Pick<StoredObject, "document" | "revision">): string =>
  o.revision > 0 ? encodeWithRevision(o) : o.document;
