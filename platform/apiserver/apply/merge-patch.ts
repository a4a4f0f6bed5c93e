/** JSON merge patch, RFC 7396. */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { isObject, own, put } from "./json.ts";

/** The patched value; shares structure with its inputs and changes neither. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (Array.isArray(patch)) return isObject(target) ? patch : patch.map(withoutNulls);
  if (!isObject(patch)) return patch;
  const base = isObject(target) ? target : {};
  const out: JsonObject = {};
  // In the order of the keys, as Go writes a map: the first field that cannot be decoded is the one that is told.
  for (const key of [...new Set([...Object.keys(base), ...Object.keys(patch)])].sort()) {
    const [old, value] = [own(base, key), own(patch, key)];
    const merged = value === undefined ? old : value === null ? undefined : mergePatch(old, value);
    if (merged !== undefined) put(out, key, merged);
  }
  return out;
}

/**
 * Null fields of objects inside a new list go too (evanphx/json-patch, which upstream patches with), beyond what the RFC says; null entries
 * stay. Where an object was before, it leaves the list as it is.
 */
function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const out: JsonObject = {};
  for (const key of Object.keys(value).sort()) {
    const field = value[key];
    if (field !== null && field !== undefined) put(out, key, withoutNulls(field));
  }
  return out;
}
