/** What the registry needs of type facts and field ownership; filled in platform/apiserver/types.ts. */
import type { DynamicObject, GroupVersionKind } from "#sdk/api/object.ts";

export interface ManageOptions {
  manager: string;
  subresource: string;
  /** Milliseconds since the epoch. */
  now: number;
}

export interface TypeRules {
  /** Sets the schema's own defaults in place. */
  applyDefaults(gvk: GroupVersionKind, object: DynamicObject): void;
  /** Writes the zero values that upstream always writes, in place. */
  fillZeros(gvk: GroupVersionKind, object: DynamicObject): void;
  /** `next` with metadata.managedFields brought up to date for an Update by `manager`. */
  manage(
    gvk: GroupVersionKind,
    old: DynamicObject | undefined,
    next: DynamicObject,
    options: ManageOptions,
  ): DynamicObject;
}
