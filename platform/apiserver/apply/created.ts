/**
 * The fields that a creation owns, remembered. Who creates objects creates many of one shape (the pods of a template, the same chart again), and
 * what is owned depends on the shape alone: on names, not on values, except where values identify a list's items.
 */
import { deepEqual } from "#platform/base/equal.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { hasOwn, isObject, own, put } from "./json.ts";
import { childType, shapeOf, type Value, withZeros } from "./typed.ts";
import { type ApplyType, UNTYPED } from "./types.ts";

/** Of a type, the last ones used. */
const SHAPES_MAX = 4;
/** Where shapes do not come again, one is kept only so often: keeping one costs as much as working it out. */
const MISSES_A_SHAPE = 16;

interface Shape {
  /** Without the values that say nothing of it. Never changed. */
  object: JsonObject;
  resetFields: readonly (readonly string[])[] | undefined;
  fields: JsonObject | undefined;
}

interface Known {
  shapes: Shape[];
  misses: number;
}

const known = new WeakMap<ApplyType, Known>();

/** FieldsV1 of what `object` owns when it is created, worked out by `work` where nothing of its shape was seen lately. Not to be changed. */
export function createdFields(
  type: ApplyType,
  object: JsonObject,
  resetFields: Shape["resetFields"],
  work: () => JsonObject | undefined,
): JsonObject | undefined {
  let of = known.get(type);
  if (!of) {
    of = { shapes: [], misses: 0 };
    known.set(type, of);
  }
  const { shapes } = of;
  const at = shapes.findIndex((shape) => shape.resetFields === resetFields && hasShapeOf(type, shape.object, object));
  const found = shapes[at];
  if (found) {
    of.misses = 0;
    // The one that is asked for most is looked at first.
    if (at > 0) shapes.unshift(...shapes.splice(at, 1));
    return found.fields;
  }
  const fields = work();
  if (of.misses++ % MISSES_A_SHAPE < SHAPES_MAX) {
    if (shapes.length === SHAPES_MAX) shapes.pop();
    shapes.unshift({ object: outline(type, object) as JsonObject, resetFields, fields });
  }
  return fields;
}

/** A copy that `hasShapeOf` cannot tell from the value, small and without what is secret in it. */
export function outline(type: ApplyType, value: Json): Json {
  if (shapeOf(type, value) === "leaf") return outlineOfLeaf(type, value);
  if (Array.isArray(value)) return value.map((item) => outlineOfItem(type, item));
  if (!isObject(value)) return value;
  const out: JsonObject = {};
  const isRoot = typeof value.kind === "string" && typeof value.apiVersion === "string";
  for (const [key, child] of Object.entries(value))
    if (child !== undefined) put(out, key, isRoot && IDENTITY.has(key) ? child : outline(childType(type, key), child));
  return out;
}

const IDENTITY = new Set(["kind", "apiVersion"]);

function outlineOfLeaf(type: ApplyType, value: Json): Json {
  if (typeof value === "string") return value === "" ? "" : "-";
  if (Array.isArray(value)) return value.slice(0, 1).map(() => null);
  if (!isObject(value)) return value;
  // A struct that is owned whole is compared with its zeros; of anything else only counts whether it is empty.
  if (type.fields.size > 0) return structuredClone(value);
  return Object.keys(value).length === 0 ? {} : { "-": null };
}

function outlineOfItem(type: ApplyType, item: Json): Json {
  if (type.keys.length === 0 || !isObject(item)) return item;
  const out = outline(type.element ?? UNTYPED, item) as JsonObject;
  for (const key of type.keys) if (hasOwn(item, key)) put(out, key, item[key] as Json);
  return out;
}

/** Whether creating the one owns the same fields as creating the other; false where that is not plain to see. */
export function hasShapeOf(type: ApplyType, a: JsonObject, b: JsonObject): boolean {
  return a.kind === b.kind && a.apiVersion === b.apiVersion && isSame(type, a, b);
}

function isSame(type: ApplyType, a: Value, b: Value): boolean {
  if (a === b) return true;
  const shape = shapeOf(type, a);
  if (shape !== shapeOf(type, b)) return false;
  // What a leaf says is nobody's concern, whether it is there is.
  if (shape === "leaf") return isPresent(a) && isPresent(b);
  if (shape === "map") return isObject(a) && isObject(b) && isSameMap(type, a, b);
  return Array.isArray(a) && Array.isArray(b) && isSameList(type, a, b);
}

const isPresent = (value: Value): boolean => value !== null && value !== undefined;

function isSameMap(type: ApplyType, a: JsonObject, b: JsonObject): boolean {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  const { fields } = type;
  for (const key of keys) {
    if (!hasOwn(b, key)) return false;
    const [left, right] = [a[key], b[key]];
    if (left === right && left !== undefined) continue;
    const field = fields.get(key);
    if (!isSame(field?.type ?? childType(type, key), left, right)) return false;
    if (field?.zero === undefined) continue;
    // A value that a struct has anyway is not owned.
    if (isZero(field.type, field.zero, left) !== isZero(field.type, field.zero, right)) return false;
  }
  return true;
}

const isZero = (type: ApplyType, zero: Json, value: Value): boolean =>
  zero === value || (isObject(value) && isObject(zero) && deepEqual(withZeros(type, zero), withZeros(type, value)));

function isSameList(type: ApplyType, a: Json[], b: Json[]): boolean {
  if (a.length !== b.length) return false;
  const itemType = type.element ?? UNTYPED;
  for (let i = 0; i < a.length; i++) {
    const [left, right] = [a[i] as Json, b[i] as Json];
    if (!isSameItem(type, left, right) || !isSame(itemType, left, right)) return false;
  }
  return true;
}

function isSameItem(type: ApplyType, a: Json, b: Json): boolean {
  if (type.keys.length === 0 || !isObject(a) || !isObject(b)) return deepEqual(a, b);
  return type.keys.every((key) => deepEqual(own(a, key), own(b, key)));
}
