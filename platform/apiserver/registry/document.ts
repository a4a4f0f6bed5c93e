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

const METADATA = '"metadata":{';
const ANNOTATIONS = '"annotations":{';

/**
 * A document's text with one more annotation, which it does not have yet. Every change crosses so to every loop: reading and writing the
 * whole text for it would cost more than all else that is done for a reader.
 */
export function withAnnotation(text: string, key: string, value: string): string {
  const entry = `${JSON.stringify(key)}:${JSON.stringify(value)}`;
  const start = text.indexOf(METADATA) + METADATA.length;
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22 /* " */:
        {
          if (depth === 0 && text.startsWith(ANNOTATIONS, at)) {
            const first = at + ANNOTATIONS.length;
            return `${text.slice(0, first)}${entry}${text[first] === "}" ? "" : ","}${text.slice(first)}`;
          }
          at = endOfText(text, at);
          break;
        }
      case 0x7b /* { */:
      case 0x5b /* [ */:
        depth++;
        break;
      case 0x5d /* ] */:
        depth--;
        break;
      case 0x7d /* } */:
        if (depth === 0)
          return `${text.slice(0, at)}${at === start ? "" : ","}${ANNOTATIONS}${entry}}${text.slice(at)}`;
        depth--;
        break;
    }
  }
  throw new Error("a document without metadata");
}

/** Of the JSON text that begins at a quote: where its last quote is. */
function endOfText(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c /* \\ */) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}
