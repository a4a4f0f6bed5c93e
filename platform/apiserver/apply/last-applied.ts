/**
 * The annotation in which client-side `kubectl apply` keeps its last configuration: what it names and the object still has
 * belongs to kubectl already, so taking it over by server-side apply is no conflict (KEP-2155).
 */
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { difference, type FieldSet, setOf } from "./field-set.ts";
import { isObject } from "./json.ts";
import { compare, toFieldSet } from "./typed.ts";
import type { ApplyType } from "./types.ts";
import { findMistakes } from "./validate-typed.ts";

export const LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration";
/** Upstream's limit on all annotations together; a longer configuration is not kept. */
const ANNOTATIONS_BYTES_MAX = 256 * 1024;

function annotationsOf(object: JsonObject): JsonObject {
  const metadata = object["metadata"];
  const annotations = isObject(metadata) ? metadata["annotations"] : undefined;
  return isObject(annotations) ? annotations : {};
}

/** The fields that the annotation names and the live object still has as named; empty without a usable annotation. */
export function allowedByLastApplied(live: JsonObject, o: { apiVersion: string; type: ApplyType }): FieldSet {
  const text = annotationsOf(live)[LAST_APPLIED_ANNOTATION];
  if (typeof text !== "string" || text === "") return setOf();
  let last: unknown;
  try {
    last = JSON.parse(text);
  } catch {
    return setOf();
  }
  if (!isObject(last) || last["apiVersion"] !== o.apiVersion || findMistakes(o.type, last) !== undefined)
    return setOf();
  const changes = compare(o.type, last, live);
  const named = toFieldSet(o.type, last);
  return difference(difference(difference(named, changes.modified), changes.added), changes.removed);
}

/** Where the object has the annotation, it now says what was applied; too large a configuration drops it. */
export function refreshLastApplied(object: JsonObject, config: DynamicObject): JsonObject {
  const annotations = annotationsOf(object);
  if (!annotations[LAST_APPLIED_ANNOTATION]) return object;
  const { [LAST_APPLIED_ANNOTATION]: _, ...ownAnnotations } = config.metadata.annotations ?? {};
  const metadata = config.metadata.annotations ? { ...config.metadata, annotations: ownAnnotations } : config.metadata;
  const text = `${JSON.stringify({ ...config, metadata })}\n`;
  const next: JsonObject = { ...annotations, [LAST_APPLIED_ANNOTATION]: text };
  const bytes = Object.entries(next).reduce(
    (sum, [key, value]) => sum + key.length + Buffer.byteLength(String(value)),
    0,
  );
  if (bytes > ANNOTATIONS_BYTES_MAX) delete next[LAST_APPLIED_ANNOTATION];
  return { ...object, metadata: { ...(object["metadata"] as JsonObject), annotations: next } };
}
