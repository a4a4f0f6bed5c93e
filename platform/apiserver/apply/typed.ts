/**
 * Walks over typed values: what structured-merge-diff's typed package does. `undefined` is "absent", `null` is an explicit
 * null. Values are never changed; results share structure with their inputs.
 */

import { deepEqual } from "#platform/base/equal.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { emptySet, type FieldSet, fieldElement, insert, keyElement, type Scalar, valueElement } from "./field-set.ts";
import { hasOwn, isObject, own, put } from "./json.ts";
import { type ApplyType, DEDUCED, UNTYPED } from "./types.ts";

export type Value = Json | undefined;

/** How a value of this type is handled, after looking at the value where the type leaves it open. */
type Shape = "leaf" | "map" | "list";

export function shapeOf(type: ApplyType, value: Value): Shape {
  if (type.kind === "any") return isObject(value) ? "map" : "leaf";
  if (type.kind === "scalar" || type.atomic) return "leaf";
  if (value === undefined || value === null) return type.kind;
  if (type.kind === "map") return isObject(value) ? "map" : "leaf";
  return Array.isArray(value) ? "list" : "leaf";
}

const isNothing = (value: Value): boolean =>
  value === undefined ||
  value === null ||
  (Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0);

/** The type of one key of a map or struct. */
export function childType(type: ApplyType, key: string): ApplyType {
  if (type.kind === "any") return DEDUCED;
  return type.fields.get(key)?.type ?? type.element ?? (type.preservesUnknown ? DEDUCED : UNTYPED);
}

/** The path element of a list item; throws Error when the item has no identity. */
export function itemElement(type: ApplyType, item: Json): string {
  if (type.keys.length === 0) {
    const wrong = Array.isArray(item)
      ? "not supported: associative list with lists as elements"
      : item === null
        ? "associative list without keys has an element that's an explicit null"
        : typeof item === "object" && "associative list without keys has an element that's a map type";
    if (wrong) throw new Error(wrong);
    return valueElement(item as Scalar);
  }
  if (item === null) throw new Error("associative list with keys may not have a null element");
  if (!isObject(item)) throw new Error("associative list with keys may not have non-map elements");
  const entries: [string, Json][] = [];
  for (const name of type.keys) {
    const value = own(item, name) ?? type.element?.fields.get(name)?.default;
    if (value !== undefined) entries.push([name, value]);
  }
  if (entries.length === 0) {
    throw new Error(
      `associative list with keys has an element that omits all key fields ${JSON.stringify(type.keys)} (and doesn't have default values for any key fields)`,
    );
  }
  return keyElement(entries);
}

// Comparison

export interface Comparison {
  removed: FieldSet;
  modified: FieldSet;
  added: FieldSet;
}

/**
 * What changes from `left` to `right`, by leaf. Absent value fields of structs count as their zero ({}, ""), as they do in
 * Go, where a struct always has them.
 */
export function compare(type: ApplyType, left: Value, right: Value): Comparison {
  const place = new Place(undefined, "");
  compareAt(type, left, right, place);
  return { removed: place.node("removed"), modified: place.node("modified"), added: place.node("added") };
}

/** Where a comparison is: its nodes in the three sets, made when a member at or below it is found. */
class Place {
  readonly #up: Place | undefined;
  readonly #element: string;
  #removed: FieldSet | undefined;
  #modified: FieldSet | undefined;
  #added: FieldSet | undefined;

  constructor(up: Place | undefined, element: string) {
    this.#up = up;
    this.#element = element;
  }

  node(of: keyof Comparison): FieldSet {
    const known = of === "added" ? this.#added : of === "removed" ? this.#removed : this.#modified;
    if (known) return known;
    const made = emptySet();
    if (of === "added") this.#added = made;
    else if (of === "removed") this.#removed = made;
    else this.#modified = made;
    this.#up?.node(of).children.set(this.#element, made);
    return made;
  }

  /** The root is never a member. */
  mark(of: keyof Comparison): void {
    if (this.#up) this.node(of).member = true;
  }
}

function leaf(type: ApplyType, left: Value, right: Value, at: Place): void {
  if (left === undefined) at.mark("added");
  else if (right === undefined) at.mark("removed");
  else if (!deepEqual(withZeros(type, left), withZeros(type, right))) at.mark("modified");
}

/** A struct that is owned as a whole, with the value fields that it does not spell out. */
export function withZeros(type: ApplyType, value: Json): Json {
  if (type.kind !== "map" || !isObject(value)) return value;
  const out: JsonObject = { ...value };
  for (const [name, { zero }] of type.fields) if (zero !== undefined) out[name] ??= zero;
  return out;
}

function compareAt(type: ApplyType, left: Value, right: Value, place: Place): void {
  if (left === right) return;
  const shape = shapeOf(type, right ?? left);
  if (shape === "leaf" || (isNothing(left) && isNothing(right) && !hasZeros(type, left, right))) {
    leaf(type, left, right, place);
    return;
  }
  if (shape === "map") {
    if (left !== null && right !== null && !sameShape(left, right)) {
      leaf(type, left, right, place);
      return;
    }
    compareMaps(type, left as JsonObject | null | undefined, right as JsonObject | null | undefined, place);
  } else compareLists(type, left as Json[] | null | undefined, right as Json[] | null | undefined, place);
  if (left === undefined) place.mark("added");
  else if (right === undefined) place.mark("removed");
}

const sameShape = (left: Value, right: Value): boolean =>
  left === undefined || right === undefined || Array.isArray(left) === Array.isArray(right);

/** An absent or empty struct that has value fields is not a leaf: its value fields are. */
function hasZeros(type: ApplyType, left: Value, right: Value): boolean {
  if (type.kind !== "map" || (isObject(left) && isObject(right))) return false;
  for (const field of type.fields.values()) if (field.zero !== undefined) return true;
  return false;
}

function compareMaps(
  type: ApplyType,
  left: JsonObject | null | undefined,
  right: JsonObject | null | undefined,
  place: Place,
): void {
  const at = (key: string, a: Value, b: Value) => {
    compareAt(childType(type, key), a, b, new Place(place, fieldElement(key)));
  };
  const valueIn = (map: JsonObject | null | undefined, key: string): Value =>
    map ? (own(map, key) ?? zeroOf(type, key, map)) : undefined;
  for (const key in left ?? {}) {
    const value = own(left as JsonObject, key);
    if (value !== undefined) at(key, value, valueIn(right, key));
  }
  for (const key in right ?? {}) {
    const value = own(right as JsonObject, key);
    if (value !== undefined && !(left && own(left, key) !== undefined)) at(key, valueIn(left, key), value);
  }
  if (!left !== !right) compareZeros(type, left, right, at);
}

/** Value fields that neither side spells out, where the struct itself appears or goes. */
function compareZeros(
  type: ApplyType,
  left: JsonObject | null | undefined,
  right: JsonObject | null | undefined,
  at: (key: string, a: Value, b: Value) => void,
): void {
  const present = left ?? right;
  for (const [name, field] of type.fields) {
    if (field.zero === undefined || (present && own(present, name) !== undefined)) continue;
    at(name, left ? field.zero : undefined, right ? field.zero : undefined);
  }
}

function zeroOf(type: ApplyType, key: string, map: JsonObject): Value {
  return hasOwn(map, key) && map[key] === null ? null : type.fields.get(key)?.zero;
}

function byElement(type: ApplyType, list: Json[] | null | undefined): Map<string, Json[]> {
  const items = new Map<string, Json[]>();
  for (const item of list ?? []) {
    const element = itemElement(type, item);
    const same = items.get(element);
    if (same) same.push(item);
    else items.set(element, [item]);
  }
  return items;
}

function compareLists(
  type: ApplyType,
  left: Json[] | null | undefined,
  right: Json[] | null | undefined,
  place: Place,
): void {
  if (left && right && deepEqual(left, right)) return;
  const lefts = byElement(type, left);
  const rights = byElement(type, right);
  const itemType = type.element ?? UNTYPED;
  for (const element of new Set([...lefts.keys(), ...rights.keys()])) {
    const ls = lefts.get(element) ?? [];
    const rs = rights.get(element) ?? [];
    const item = new Place(place, element);
    if (ls.length <= 1 && rs.length <= 1) compareAt(itemType, ls[0], rs[0], item);
    else compareDuplicates(itemType, ls, rs, item);
  }
}

/** Items that share their identity are owned as one leaf. */
function compareDuplicates(type: ApplyType, ls: Json[], rs: Json[], place: Place): void {
  if (ls.length >= 2 && rs.length >= 2) {
    if (!deepEqual(ls, rs)) place.mark("modified");
  } else if (ls.length >= 2) {
    if (rs.length > 0) compareAt(type, undefined, rs[0], place);
    place.mark("removed");
  } else {
    if (ls.length > 0) compareAt(type, ls[0], undefined, place);
    place.mark("added");
  }
}

// Field sets

/** The fields that a configuration speaks about. */
export function toFieldSet(type: ApplyType, value: Value): FieldSet {
  const set = emptySet();
  collect(type, value, [], set);
  return set;
}

function collect(type: ApplyType, value: Value, path: string[], set: FieldSet): void {
  const shape = shapeOf(type, value);
  if (shape === "leaf") insert(set, path);
  else if (value === null || value === undefined) return;
  else if (shape === "map") collectMap(type, value as JsonObject, path, set);
  else collectList(type, value as Json[], path, set);
}

function collectMap(type: ApplyType, value: JsonObject, path: string[], set: FieldSet): void {
  for (const key of Object.keys(value)) {
    const child = value[key];
    if (child === undefined) continue;
    path.push(fieldElement(key));
    collect(childType(type, key), child, path, set);
    const empty = child === null || (isObject(child) && Object.keys(child).length === 0);
    if (empty || !type.fields.has(key)) insert(set, path);
    path.pop();
  }
}

function collectList(type: ApplyType, list: Json[], path: string[], set: FieldSet): void {
  for (const [element, items] of byElement(type, list)) {
    path.push(element);
    if (items.length === 1) collect(type.element ?? UNTYPED, items[0], path, set);
    insert(set, path);
    path.pop();
  }
}

// Removal

/** The value without the members of `set`; undefined when nothing is left of it. */
export function removeItems(type: ApplyType, value: Json, set: FieldSet): Value {
  const shape = shapeOf(type, value);
  if (shape === "leaf") return type.kind === "scalar" ? value : undefined;
  if (isNothing(value)) return undefined;
  if (shape === "list") return removeFromList(type, value as Json[], set);
  const out: JsonObject = {};
  for (const [key, child] of Object.entries(value as JsonObject)) {
    const node = set.children.get(fieldElement(key));
    if (child === undefined || node?.member) continue;
    const rest = node ? removeItems(childType(type, key), child, node) : child;
    if (rest !== undefined) put(out, key, rest);
  }
  return Object.keys(out).length > 0 ? out : undefined;
}

function removeFromList(type: ApplyType, list: Json[], set: FieldSet): Value {
  const out: Json[] = [];
  for (const item of list) {
    const node = set.children.get(itemElement(type, item));
    if (node?.member) continue;
    const rest = node ? removeItems(type.element ?? UNTYPED, item, node) : item;
    out.push(rest ?? null);
  }
  return out.length > 0 ? out : undefined;
}

// Sets against types

/** Adds the structs on the way to each member: a declared field that contains a member is a member. */
export function withNamedFields(type: ApplyType | undefined, set: FieldSet): FieldSet {
  const out: FieldSet = { member: set.member, children: new Map() };
  for (const [element, child] of set.children) {
    const name = element.startsWith("f:") ? element.slice(2) : undefined;
    const declared = name !== undefined && type?.kind === "map" && type.fields.has(name);
    const below = name !== undefined && type ? childType(type, name) : type?.element;
    const node = withNamedFields(below, child);
    if (declared && child.children.size > 0) node.member = true;
    out.children.set(element, node);
  }
  return out;
}

/** Ownership written down when a type was still granular: whoever owned parts of a now atomic value owns the value. */
export function reconcileWithType(type: ApplyType, set: FieldSet): FieldSet {
  if (set.children.size === 0 || type.kind === "any" || type.kind === "scalar") return set;
  if (type.atomic) return { member: true, children: new Map() };
  let out: FieldSet | undefined;
  for (const [element, child] of set.children) {
    const below = element.startsWith("f:") ? childType(type, element.slice(2)) : (type.element ?? UNTYPED);
    const node = reconcileWithType(below, child);
    if (node === child) continue;
    out ??= { member: set.member, children: new Map(set.children) };
    out.children.set(element, node);
  }
  return out ?? set;
}
