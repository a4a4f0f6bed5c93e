/** JSON merge patch, RFC 7396. */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { isObject, own, put } from "./json.ts";

/** The patched value; shares structure with its inputs and changes neither. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const base = isObject(target) ? target : {};
  const out: JsonObject = { ...base };
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    if (value === null) delete out[key];
    else if (value !== undefined) put(out, key, mergePatch(own(base, key), value));
  }
  return out;
}
