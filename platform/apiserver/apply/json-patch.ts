/** JSON patch, RFC 6902, with the limits and errors of kube-apiserver (endpoints/handlers/patch.go). */

import { deepEqual } from "#platform/base/equal.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { badRequest, StatusError, tooLarge } from "#sdk/api/status.ts";
import { hasOwn, isObject, own, put } from "./json.ts";

export const OPERATIONS_MAX = 10_000;

export type JsonPatchOperation =
  | { op: "add" | "replace" | "test"; path: string; value: Json }
  | { op: "remove"; path: string }
  | { op: "move" | "copy"; path: string; from: string };

/** Reads the request's body. Throws StatusError 400 for what is no patch, 413 for too many operations. */
export function parseJsonPatch(body: unknown): JsonPatchOperation[] {
  if (!Array.isArray(body)) {
    throw badRequest(
      "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
    );
  }
  if (body.length > OPERATIONS_MAX) {
    throw tooLarge(`The allowed maximum operations in a JSON patch is ${OPERATIONS_MAX}, got ${body.length}`);
  }
  for (const entry of body) {
    if (!isObject(entry)) {
      throw badRequest("error decoding patch: json: cannot unmarshal into Go value of type handlers.jsonPatchOp");
    }
  }
  return body as JsonPatchOperation[];
}

/** The answer to every patch that cannot be applied: upstream does not say why. */
const rejected = (): StatusError =>
  new StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {});

/** The patched document; the given one is left as it is. Throws StatusError 422 when an operation does not apply. */
export function jsonPatch(document: JsonObject, operations: readonly JsonPatchOperation[]): JsonObject {
  let root: Json = structuredClone(document) as Json;
  for (const operation of operations) root = applyOne(root, operation);
  if (!isObject(root)) throw rejected();
  return root;
}

function applyOne(root: Json, operation: JsonPatchOperation): Json {
  const path = pointer(operation.path);
  switch (operation.op) {
    case "add":
      return write(root, path, cloned(operation.value), "add");
    case "replace":
      return write(root, path, cloned(operation.value), "replace");
    case "remove":
      return remove(root, path);
    case "test":
      if (!deepEqual(find(root, path) ?? null, operation.value ?? null)) throw rejected();
      return root;
    case "move": {
      const from = pointer(operation.from);
      const value = mustFind(root, from);
      return write(remove(root, from), path, value, "add");
    }
    case "copy":
      return write(root, path, cloned(mustFind(root, pointer(operation.from))), "add");
    default:
      throw rejected();
  }
}

const cloned = (value: Json | undefined): Json => (value === undefined ? null : structuredClone(value));

/** RFC 6901. */
function pointer(text: unknown): string[] {
  if (typeof text !== "string" || (text !== "" && !text.startsWith("/"))) throw rejected();
  if (text === "") return [];
  return text
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** A place in an array; negative ones count from the end, as upstream's library reads them. */
function place(part: string, length: number): number {
  if (!/^-?(0|[1-9]\d*)$/.test(part)) throw rejected();
  const at = Number(part);
  return at < 0 ? at + length : at;
}

function find(root: Json, path: readonly string[]): Json | undefined {
  let at: Json | undefined = root;
  for (const part of path) {
    if (Array.isArray(at)) at = at[place(part, at.length)];
    else if (isObject(at)) at = own(at, part);
    else return undefined;
  }
  return at;
}

function mustFind(root: Json, path: readonly string[]): Json {
  const value = find(root, path);
  if (value === undefined) throw rejected();
  return value;
}

function parentOf(root: Json, path: readonly string[]): { parent: Json[] | JsonObject; last: string } {
  const parent = find(root, path.slice(0, -1));
  if (!Array.isArray(parent) && !isObject(parent)) throw rejected();
  return { parent, last: path.at(-1) as string };
}

function write(root: Json, path: readonly string[], value: Json, how: "add" | "replace"): Json {
  if (path.length === 0) return value;
  const { parent, last } = parentOf(root, path);
  if (!Array.isArray(parent)) {
    // Upstream's library (evanphx/json-patch v4) replaces what is not there too, and clients rely on it: the CSI snapshotter does.
    put(parent, last, value);
    return root;
  }
  if (how === "add" && last === "-") {
    parent.push(value);
    return root;
  }
  const at = place(last, how === "add" ? parent.length + 1 : parent.length);
  if (at < 0 || at > parent.length || (how === "replace" && at === parent.length)) throw rejected();
  parent.splice(at, how === "add" ? 0 : 1, value);
  return root;
}

function remove(root: Json, path: readonly string[]): Json {
  if (path.length === 0) throw rejected();
  const { parent, last } = parentOf(root, path);
  if (Array.isArray(parent)) {
    const at = place(last, parent.length);
    if (at < 0 || at >= parent.length) throw rejected();
    parent.splice(at, 1);
  } else {
    if (!hasOwn(parent, last)) throw rejected();
    delete parent[last];
  }
  return root;
}
