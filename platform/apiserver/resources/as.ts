/** The registry hands over objects of any kind; a strategy knows which kind it serves. Decoding has checked the types. */
import type { DynamicObject } from "#sdk/api/object.ts";

export const as = <T>(object: DynamicObject): T => object as unknown as T;

export const isEmpty = (value: object | undefined | null): boolean =>
  value === undefined || value === null || Object.keys(value).length === 0;

/** Equal as JSON, whatever the order of keys; absent, null and empty are different things. */
export { sorted } from "../registry/meta.ts";
