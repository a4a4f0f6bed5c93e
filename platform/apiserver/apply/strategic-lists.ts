/** The list half of strategic merge patch: merging by key, and the order that results. */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { isObject, own } from "./json.ts";
import type { MergeMap, PatchRule } from "./strategic-merge-patch.ts";

/** `bad`: the patch's own format is wrong (400); otherwise it does not fit the object. */
export class PatchFormatError extends Error {
  readonly bad: boolean;
  constructor(message: string, bad = false) {
    super(message);
    this.bad = bad;
  }
}

const noMergeKey = (item: Json, key: string): PatchFormatError =>
  new PatchFormatError(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);

function keyOf(item: Json, mergeKey: string): string {
  if (mergeKey === "") return JSON.stringify(item);
  const value = isObject(item) ? own(item, mergeKey) : undefined;
  if (value === undefined) throw noMergeKey(item, mergeKey);
  return JSON.stringify(value);
}

/** Merged by key (maps) or as a set (scalars); in the patch's order, the rest in its old order around it. */
export function mergeLists(rule: PatchRule, original: Json[], patch: Json[], mergeMap: MergeMap): Json[] {
  if (original.length === 0 && patch.length === 0) return original;
  const maps = [...original, ...patch].some(isObject);
  if (!maps) {
    const merged = [...new Map([...original, ...patch].map((item) => [JSON.stringify(item), item])).values()];
    return orderElements(merged, patch, original, "");
  }
  if (rule.mergeKey === "") throw new PatchFormatError("cannot merge lists without merge key");
  const { base, changes } = applyDirectives(original, patch, rule.mergeKey);
  const merged = mergeItems(rule, base, changes, mergeMap);
  return orderElements(merged, changes, base, rule.mergeKey);
}

/** $patch: delete takes an item out, $patch: replace makes the patch the whole list. */
function applyDirectives(original: Json[], patch: Json[], mergeKey: string): { base: Json[]; changes: Json[] } {
  let base = original;
  let replace = false;
  const changes: Json[] = [];
  for (const item of patch) {
    const directive = isObject(item) ? own(item, "$patch") : undefined;
    if (directive === undefined) changes.push(item);
    else if (directive === "delete") {
      const gone = keyOf(item, mergeKey);
      base = base.filter((other) => !isObject(other) || JSON.stringify(own(other, mergeKey) ?? null) !== gone);
    } else if (directive === "replace") replace = true;
    else if (directive === "merge") throw new PatchFormatError("merging lists cannot yet be specified in the patch");
    else throw new PatchFormatError(`unknown patch type: ${String(directive)} in map: ${JSON.stringify(item)}`);
  }
  return replace ? { base: changes, changes: [] } : { base: [...base], changes };
}

function mergeItems(rule: PatchRule, base: Json[], changes: Json[], mergeMap: MergeMap): Json[] {
  const out = [...base];
  const places = new Map<string, number>();
  for (const [place, item] of out.entries()) {
    if (!isObject(item)) throw new PatchFormatError(`value for key ${place} is not a map`);
    const value = own(item, rule.mergeKey);
    if (value !== undefined && !places.has(JSON.stringify(value))) places.set(JSON.stringify(value), place);
  }
  for (const change of changes) {
    const key = keyOf(change, rule.mergeKey);
    const place = places.get(key);
    if (place === undefined) {
      places.set(key, out.push(change) - 1);
    } else {
      out[place] = mergeMap(rule.type, out[place] as JsonObject, change as JsonObject);
    }
  }
  return out;
}

/**
 * `merged` in order: items that `order` names come in its order, the others in that of `live`; an unnamed item goes before
 * the next named one that it preceded in `live`.
 */
export function orderElements(merged: Json[], order: Json[], live: Json[], mergeKey: string): Json[] {
  const named = new Map(order.map((item, place) => [keyOf(item, mergeKey), place]));
  const before = new Map(live.map((item, place) => [keyOf(item, mergeKey), place]));
  const placeIn = (places: Map<string, number>) => (item: Json) =>
    places.get(keyOf(item, mergeKey)) ?? Number.MAX_SAFE_INTEGER;
  const sorted = (items: Json[], place: (item: Json) => number) => items.toSorted((a, b) => place(a) - place(b));
  const right = sorted(
    merged.filter((item) => named.has(keyOf(item, mergeKey))),
    placeIn(named),
  );
  const left = sorted(
    merged.filter((item) => !named.has(keyOf(item, mergeKey))),
    placeIn(before),
  );
  const out: Json[] = [];
  let l = 0;
  for (const item of right) {
    const place = before.get(keyOf(item, mergeKey));
    while (place !== undefined && l < left.length && placeIn(before)(left[l] as Json) < place)
      out.push(left[l++] as Json);
    out.push(item);
  }
  return [...out, ...left.slice(l)];
}
