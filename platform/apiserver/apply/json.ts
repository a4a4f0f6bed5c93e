/** Small helpers on JSON values that several patch kinds share. */
import type { Json, JsonObject } from "#sdk/api/object.ts";

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const hasOwn = (object: object, key: string): boolean => Object.hasOwn(object, key);

/** Plain assignment, safe for a key named `__proto__` (a valid ConfigMap key). */
export function put(object: JsonObject, key: string, value: Json): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    object[key] = value;
  }
}

/** The own value of a key; undefined when absent. */
export const own = (object: JsonObject, key: string): Json | undefined =>
  hasOwn(object, key) ? object[key] : undefined;
