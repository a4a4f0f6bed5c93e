/**
 * Strategic merge patch (apimachinery, util/strategicpatch): merge patch that knows which lists are merged and by which
 * key, with the directives $patch, $retainKeys, $deleteFromPrimitiveList/FIELD and $setElementOrder/FIELD.
 */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import { isObject, own, put } from "./json.ts";
import { mergeLists, orderElements, PatchFormatError } from "./strategic-lists.ts";
import type { ApplyType } from "./types.ts";

const DIRECTIVE = "$patch";
const RETAIN_KEYS = "$retainKeys";
const DELETE_PREFIX = "$deleteFromPrimitiveList/";
const ORDER_PREFIX = "$setElementOrder/";

/** How one field is patched. */
export interface PatchRule {
  strategy: "merge" | "replace";
  mergeKey: string;
  /** The struct's, or the list's items', type; undefined where nothing is declared. */
  type: ApplyType | undefined;
}

export type MergeMap = (type: ApplyType | undefined, original: JsonObject, patch: JsonObject) => JsonObject;

/**
 * The patched object; neither input is changed. Throws StatusError 400 for a patch in the wrong format,
 * 500 (as upstream) for one that does not fit the object.
 */
export function strategicMergePatch(type: ApplyType, original: JsonObject, patch: JsonObject): JsonObject {
  try {
    return mergeMap(type, structuredClone(original), structuredClone(patch));
  } catch (error) {
    if (!(error instanceof PatchFormatError)) throw error;
    if (error.bad) throw badRequest(error.message);
    throw new StatusError(500, "", error.message);
  }
}

/** A map with free keys is replaced value by value; inside a struct each field has its own rule. */
function ruleOf(type: ApplyType | undefined, field: string, value: Json): PatchRule {
  const declared = type?.fields.get(field);
  const list = Array.isArray(value);
  if (!declared) return { strategy: list ? "replace" : "merge", mergeKey: "", type: type?.element };
  const strategies = declared.patchStrategies.filter((name) => name !== "retainKeys");
  const merged = list ? strategies.includes("merge") : !strategies.includes("replace");
  return {
    strategy: merged ? "merge" : "replace",
    mergeKey: declared.patchMergeKey,
    type: list ? declared.type.element : declared.type,
  };
}

const mergeMap: MergeMap = (type, original, patch) => {
  const directive = own(patch, DIRECTIVE);
  if (directive !== undefined) return directed(directive, patch);
  retainKeys(original, patch);
  mergeOrderedLists(type, original, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(DELETE_PREFIX)) deleteFromList(original, key.slice(DELETE_PREFIX.length), value);
    else if (value === null || value === undefined) delete original[key];
    else mergeField(type, original, key, value);
  }
  return original;
};

function directed(directive: Json, patch: JsonObject): JsonObject {
  if (directive === "delete") return {};
  if (directive !== "replace") throw new PatchFormatError(`unknown patch type: ${String(directive)} in map`);
  const { [DIRECTIVE]: _, ...rest } = patch;
  return rest;
}

function mergeField(type: ApplyType | undefined, original: JsonObject, key: string, value: Json): void {
  const present = own(original, key);
  const bothMaps = isObject(present) && isObject(value);
  const bothLists = Array.isArray(present) && Array.isArray(value);
  if (bothMaps || bothLists) {
    const rule = ruleOf(type, key, value);
    if (rule.strategy === "replace") put(original, key, value);
    else if (bothLists) put(original, key, mergeLists(rule, present, value, mergeMap));
    else if (isObject(present) && isObject(value)) put(original, key, mergeMap(rule.type, present, value));
    return;
  }
  const plain = withoutDirectives(withoutNulls(value));
  if (plain === undefined) delete original[key];
  else put(original, key, plain);
}

function deleteFromList(original: JsonObject, key: string, value: Json | undefined): void {
  const present = own(original, key);
  if (value === null) {
    delete original[key];
    return;
  }
  if (!Array.isArray(present) || !Array.isArray(value)) return;
  const gone = new Set(value.map((item) => JSON.stringify(item)));
  original[key] = present.filter((item) => !gone.has(JSON.stringify(item)));
}

/** $retainKeys: keys of the original that it does not name go; what the patch sets must be named. */
function retainKeys(original: JsonObject, patch: JsonObject): void {
  const list = own(patch, RETAIN_KEYS);
  if (list === undefined) return;
  delete patch[RETAIN_KEYS];
  if (!Array.isArray(list)) throw new PatchFormatError("invalid patch format of retainKeys", true);
  const kept = new Set(list);
  for (const [key, value] of Object.entries(patch)) {
    const directive = key.startsWith(DELETE_PREFIX) || key.startsWith(ORDER_PREFIX);
    if (value !== null && !directive && !kept.has(key)) {
      throw new PatchFormatError("invalid patch format of retainKeys", true);
    }
  }
  for (const key of Object.keys(original)) if (!kept.has(key)) delete original[key];
}

/** Lists that come with $setElementOrder are merged and ordered here, and taken out of the patch. */
function mergeOrderedLists(type: ApplyType | undefined, original: JsonObject, patch: JsonObject): void {
  for (const directive of Object.keys(patch).filter((key) => key.startsWith(ORDER_PREFIX))) {
    const order = own(patch, directive);
    const key = directive.slice(ORDER_PREFIX.length);
    delete patch[directive];
    if (!Array.isArray(order)) throw new PatchFormatError("invalid patch format of setElementOrder list", true);
    const present = own(original, key);
    const change = own(patch, key);
    if (present === undefined && change === undefined) continue;
    const rule = ruleOf(type, key, []);
    const merged = mergedForOrder(rule, present, change, order);
    original[key] = orderElements(merged, order, Array.isArray(present) ? present : [], rule.mergeKey);
    delete patch[key];
  }
}

function mergedForOrder(rule: PatchRule, present: Json | undefined, change: Json | undefined, order: Json[]): Json[] {
  for (const value of [present, change]) {
    if (value !== undefined && !Array.isArray(value)) throw new PatchFormatError("expected a list in an ordered patch");
  }
  const list = change as Json[] | undefined;
  if (list) checkOrder(list, order, rule.mergeKey);
  if (!list) return present as Json[];
  if (present === undefined) return withoutDirectives(list) as Json[];
  return rule.strategy === "merge" ? mergeLists(rule, present as Json[], list, mergeMap) : list;
}

const identity = (item: Json, mergeKey: string): string =>
  JSON.stringify(mergeKey === "" ? item : isObject(item) ? (own(item, mergeKey) ?? null) : null);

/** The patch's items must come in the order that $setElementOrder gives. */
function checkOrder(list: Json[], order: Json[], mergeKey: string): void {
  if (order.length === 0) return;
  const places = order.map((item) => identity(item, mergeKey));
  let from = 0;
  for (const item of list) {
    if (isObject(item) && own(item, DIRECTIVE) !== undefined) continue;
    const at = places.indexOf(identity(item, mergeKey), from);
    if (at < 0) {
      throw new PatchFormatError(
        `The order in patch list:\n${JSON.stringify(list)}\n doesn't match $setElementOrder list:\n${JSON.stringify(order)}\n`,
      );
    }
    from = at + 1;
  }
}

function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) return value.map((item) => withoutNulls(item));
  if (!isObject(value)) return value;
  const out: JsonObject = {};
  for (const [key, child] of Object.entries(value)) {
    if (child !== null && child !== undefined) put(out, key, withoutNulls(child));
  }
  return out;
}

/** The value without directives; undefined when it is one itself. */
function withoutDirectives(value: Json): Json | undefined {
  if (Array.isArray(value)) return value.map(withoutDirectives).filter((item) => item !== undefined);
  if (!isObject(value)) return value;
  if (own(value, DIRECTIVE) !== undefined) return undefined;
  const out: JsonObject = {};
  for (const [key, child] of Object.entries(value)) {
    const plain = child === undefined ? undefined : withoutDirectives(child);
    if (plain !== undefined) put(out, key, plain);
  }
  return out;
}
