/**
 * Sets of field paths, as structured-merge-diff's fieldpath package has them, and their wire form FieldsV1.
 *
 * A set is a tree. An edge is a path element in its wire form: `f:name` a field, `k:{"name":"c"}` a list item by its keys
 * (sorted by name), `v:"x"` an item of a set, `i:0` an item by place. A node says whether the path to it is a member.
 * Nodes without members below them are never kept.
 */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { isObject } from "./json.ts";

export interface FieldSet {
  member: boolean;
  children: Map<string, FieldSet>;
}

export const emptySet = (): FieldSet => ({ member: false, children: new Map() });
export const isEmpty = (set: FieldSet): boolean => set.children.size === 0;

export function insert(set: FieldSet, path: readonly string[]): void {
  if (path.length === 0) return;
  let node = set;
  for (const element of path) {
    let child = node.children.get(element);
    if (!child) {
      child = emptySet();
      node.children.set(element, child);
    }
    node = child;
  }
  node.member = true;
}

export function setOf(...paths: readonly (readonly string[])[]): FieldSet {
  const set = emptySet();
  for (const path of paths) insert(set, path);
  return set;
}

export function has(set: FieldSet, path: readonly string[]): boolean {
  let node: FieldSet | undefined = set;
  for (const element of path) node = node?.children.get(element);
  return node?.member === true;
}

type Rule = (a: boolean, b: boolean) => boolean;

function combine(a: FieldSet | undefined, b: FieldSet | undefined, rule: Rule): FieldSet {
  // Below here only one side has members: the result is that side's tree, or nothing.
  if (a && !b && rule(true, false)) return a;
  if (b && !a && rule(false, true)) return b;
  const out: FieldSet = { member: rule(a?.member === true, b?.member === true), children: new Map() };
  const add = (element: string, node: FieldSet) => {
    if (node.member || node.children.size > 0) out.children.set(element, node);
  };
  for (const [element, child] of a?.children ?? []) add(element, combine(child, b?.children.get(element), rule));
  for (const [element, child] of b?.children ?? []) {
    if (!a?.children.has(element)) add(element, combine(undefined, child, rule));
  }
  return out;
}

export const union = (a: FieldSet, b: FieldSet): FieldSet =>
  isEmpty(a) ? b : isEmpty(b) ? a : combine(a, b, (x, y) => x || y);
export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const out: FieldSet = { member: a.member && b.member, children: new Map() };
  const [few, many] = a.children.size <= b.children.size ? [a, b] : [b, a];
  for (const [element, child] of few.children) {
    const other = many.children.get(element);
    const node = other && intersection(child, other);
    if (node && (node.member || node.children.size > 0)) out.children.set(element, node);
  }
  return out;
}
/** Takes away exactly b's members; what lies below them stays. */
export const difference = (a: FieldSet, b: FieldSet): FieldSet => (isEmpty(b) ? a : combine(a, b, (x, y) => x && !y));

/** Takes away b's members and everything below them. */
export function recursiveDifference(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(b)) return a;
  const out: FieldSet = { member: a.member, children: new Map() };
  for (const [element, child] of a.children) {
    const other = b.children.get(element);
    if (other?.member) continue;
    const rest = other ? recursiveDifference(child, other) : child;
    if (rest.member || rest.children.size > 0) out.children.set(element, rest);
  }
  return out;
}

/** Every member: at each level the level's own members first, then those below, both sorted (upstream's Set.Iterate). */
export function* paths(set: FieldSet, prefix: readonly string[] = []): Generator<readonly string[]> {
  const elements = [...set.children.keys()].sort(compareElements);
  for (const element of elements) if (set.children.get(element)?.member) yield [...prefix, element];
  for (const element of elements) yield* paths(set.children.get(element) as FieldSet, [...prefix, element]);
}

// Path elements

export type Scalar = string | number | boolean | null;
export const fieldElement = (name: string): string => `f:${name}`;
export const valueElement = (value: Scalar): string => `v:${JSON.stringify(value)}`;
/** `entries` sorted by name. */
export const keyElement = (entries: readonly (readonly [string, Json])[]): string =>
  `k:${JSON.stringify(Object.fromEntries(entries))}`;

const parseElement = (element: string): Json => JSON.parse(element.slice(2)) as Json;
const KIND_ORDER = "fkvi";
const rankOf = (value: Json): number =>
  typeof value === "number" ? 0 : typeof value === "string" ? 1 : typeof value === "boolean" ? 2 : 3;

function compareScalars(a: Json, b: Json): number {
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0 || a === b) return rank;
  return (a as string | number) < (b as string | number) ? -1 : 1;
}

function compareKeys(a: JsonObject, b: JsonObject): number {
  const left = Object.entries(a);
  const right = Object.entries(b);
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [name, value] = left[i] as [string, Json];
    const [otherName, otherValue] = right[i] as [string, Json];
    if (name !== otherName) return name < otherName ? -1 : 1;
    const order = compareScalars(value, otherValue);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

/** Fields, then keys, then values, then places. */
export function compareElements(a: string, b: string): number {
  const kind = a[0] as string;
  const rank = KIND_ORDER.indexOf(kind) - KIND_ORDER.indexOf(b[0] as string);
  if (rank !== 0) return rank;
  if (kind === "f") return a < b ? -1 : a > b ? 1 : 0;
  if (kind === "k") return compareKeys(parseElement(a) as JsonObject, parseElement(b) as JsonObject);
  return compareScalars(parseElement(a), parseElement(b));
}

/** As conflicts name a path: `.spec.containers[name="c"].image`, `.metadata.finalizers[="x"]`. */
export function pathText(path: readonly string[]): string {
  return path.map(elementText).join("");
}

function elementText(element: string): string {
  if (element.startsWith("f:")) return `.${element.slice(2)}`;
  if (element.startsWith("v:")) return `[=${element.slice(2)}]`;
  if (element.startsWith("i:")) return `[${element.slice(2)}]`;
  const keys = Object.entries(parseElement(element) as JsonObject);
  return `[${keys.map(([name, value]) => `${name}=${keyText(value as Json)}`).join(",")}]`;
}

/** A key's value as upstream's paths show it (value.ToString): what is no scalar has marks around a list only. */
function keyText(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(keyText).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  return Object.keys(value)
    .map((key) => `${key}=${keyText(value[key] ?? null)}`)
    .join("");
}

// FieldsV1

export function encodeFields(set: FieldSet): JsonObject {
  const out: JsonObject = {};
  encodeInto(out, set);
  return out;
}

function encodeInto(out: JsonObject, { children }: FieldSet): void {
  for (const element of sortedElements(children)) {
    const child = children.get(element) as FieldSet;
    const below: JsonObject = {};
    if (child.member && child.children.size > 0) below["."] = {};
    encodeInto(below, child);
    out[element] = below;
  }
}

/** Names alone, which most are, are in the order of their texts. */
function sortedElements(children: FieldSet["children"]): string[] {
  const elements = [...children.keys()];
  if (elements.length < 2) return elements;
  return elements.every((element) => element.startsWith("f:")) ? elements.sort() : elements.sort(compareElements);
}

/** Throws on what is no FieldsV1; elements of unknown kinds are dropped, as upstream does. */
export function decodeFields(fields: JsonObject): FieldSet {
  return decodeNode(fields, false);
}

function decodeNode(fields: JsonObject, member: boolean): FieldSet {
  const node: FieldSet = { member, children: new Map() };
  for (const [key, value] of Object.entries(fields)) {
    if (key === ".") continue;
    if (key.length < 2 || key[1] !== ":") throw new Error(`missing colon: ${key}`);
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`not an object: ${key}`);
    if (!KIND_ORDER.includes(key[0] as string)) continue;
    const children = Object.keys(value);
    const child = decodeNode(value, children.length === 0 || "." in value);
    if (child.member || child.children.size > 0) node.children.set(canonical(key), child);
  }
  return node;
}

function canonical(key: string): string {
  if (key.startsWith("f:")) return key;
  const value = parseElement(key);
  if (!key.startsWith("k:")) return `${key.slice(0, 2)}${JSON.stringify(value)}`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`not a key: ${key}`);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return keyElement(entries as [string, Json][]);
}
