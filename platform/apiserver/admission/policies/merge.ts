/** An applyConfiguration laid over an object by the rules of server-side apply, without owners. */
import { typeOf, types } from "#sdk/api/facts.ts";
import type { DynamicObject, GroupVersionKind, Json, JsonObject } from "#sdk/api/object.ts";
import { merge } from "../../apply/merge-typed.ts";
import { DEDUCED, typeCompiler } from "../../apply/types.ts";

const compile = typeCompiler(types());

/** Custom resources are merged by the structure their objects show: maps by key, lists whole. */
export function mergeConfiguration(
  kind: GroupVersionKind,
  object: DynamicObject,
  configuration: JsonObject,
): DynamicObject {
  const schema = typeOf(kind);
  const merged = merge(schema ? compile(schema) : DEDUCED, object as unknown as Json, configuration);
  return merged as unknown as DynamicObject;
}
