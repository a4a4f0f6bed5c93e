/** What an admission hook's `mutate` answers. What is the same for every object is best made once, outside of the hook. */
import type { Mutation } from "./types.ts";

export interface JsonPatchOperation {
  op: "add" | "remove" | "replace" | "move" | "copy" | "test";
  /** JSON pointer: "/metadata/labels/app.kubernetes.io~1name". */
  path: string;
  from?: string;
  value?: unknown;
}

export const UNCHANGED: Mutation = { patch: "", warnings: [] };

/** RFC 7396: what is named is set, null takes away, lists are replaced; what is above it is made where it is missing. */
export const mergePatch = (change: Readonly<Record<string, unknown>>, warnings: string[] = []): Mutation => ({
  patch: JSON.stringify(change),
  warnings,
});

/** RFC 6902: for places in lists. */
export const jsonPatch = (operations: readonly JsonPatchOperation[], warnings: string[] = []): Mutation => ({
  patch: operations.length === 0 ? "" : JSON.stringify(operations),
  warnings,
});
