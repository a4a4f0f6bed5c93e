/** Merging an applied configuration into a live value, by type (structured-merge-diff, typed/merge.go). */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { isObject, own, put } from "./json.ts";
import { childType, itemElement, type Value } from "./typed.ts";
import { type ApplyType, UNTYPED } from "./types.ts";

/**
 * The live value with what the configuration says. Items keep the configuration's order among themselves and the live
 * order otherwise. A null or empty map or list in the configuration leaves a filled live one as it is.
 */
export function merge(type: ApplyType, live: Value, config: Value): Value {
  if (config === undefined || live === undefined) return config ?? live;
  const granular = type.kind === "any" || !(type.kind === "scalar" || type.atomic);
  if (granular && type.kind !== "list" && isObject(live) && (config === null || isObject(config))) {
    return Object.keys(live).length === 0 ? config : mergeMaps(type, live, config ?? {});
  }
  if (granular && type.kind === "list" && Array.isArray(live) && (config === null || Array.isArray(config))) {
    return live.length === 0 ? config : mergeLists(type, live, config ?? []);
  }
  return config;
}

function mergeMaps(type: ApplyType, live: JsonObject, config: JsonObject): JsonObject {
  const out: JsonObject = {};
  for (const key of Object.keys(live)) {
    const merged = merge(childType(type, key), live[key], own(config, key));
    if (merged !== undefined) put(out, key, merged);
  }
  for (const key of Object.keys(config)) {
    const value = config[key];
    if (value !== undefined && own(live, key) === undefined) put(out, key, value);
  }
  return out;
}

interface Indexed {
  elements: string[];
  /** undefined where an element is there twice: such items are not merged. */
  items: Map<string, Json | undefined>;
}

function index(type: ApplyType, list: Json[]): Indexed {
  const items = new Map<string, Json | undefined>();
  const elements = list.map((item) => {
    const element = itemElement(type, item);
    items.set(element, items.has(element) ? undefined : item);
    return element;
  });
  return { elements, items };
}

function mergeLists(type: ApplyType, live: Json[], config: Json[]): Json[] {
  const left = index(type, live);
  const right = index(type, config);
  const itemType = type.element ?? UNTYPED;
  const shared = right.elements.filter((element) => left.items.has(element));
  const done = new Set<string>();
  const out: Json[] = [];
  const emit = (element: string) => {
    done.add(element);
    const merged = merge(itemType, left.items.get(element), right.items.get(element));
    if (merged !== undefined) out.push(merged);
    if (shared[0] === element) shared.shift();
  };
  let l = 0;
  let r = 0;
  while (l < live.length || r < config.length) {
    const mine = left.elements[l];
    const theirs = right.elements[r];
    if (mine !== undefined && theirs !== undefined) {
      if (mine === theirs) {
        emit(theirs);
        l++;
        r++;
        continue;
      }
      // A shared item, but another one comes first in the configuration's order.
      if (right.items.has(mine) && shared.length > 0 && shared[0] !== mine) {
        l++;
        continue;
      }
    }
    if (mine !== undefined) {
      if (!right.items.has(mine)) {
        out.push(live[l] as Json);
        l++;
        continue;
      }
      if (done.has(mine)) l++;
    }
    if (theirs !== undefined) {
      emit(theirs);
      r++;
    }
  }
  return out;
}
