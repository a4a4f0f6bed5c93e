/** Whether an applied configuration fits its type (structured-merge-diff, typed/validate.go). */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { fieldElement, pathText } from "./field-set.ts";
import { isObject } from "./json.ts";
import { childType, itemElement, type Value } from "./typed.ts";
import { type ApplyType, UNTYPED } from "./types.ts";

/** A value as Go's %v prints it. */
function printed(value: Json): string {
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(printed).join(" ")}]`;
  if (!isObject(value)) return String(value);
  const entries = Object.keys(value).sort();
  return `map[${entries.map((key) => `${key}:${printed(value[key] ?? null)}`).join(" ")}]`;
}

/** A value as Go's %#v prints it. */
function written(value: Json): string {
  if (value === null) return "interface {}(nil)";
  if (Array.isArray(value)) return `[]interface {}{${value.map(written).join(", ")}}`;
  if (!isObject(value)) return JSON.stringify(value);
  const entries = Object.keys(value).sort();
  const texts = entries.map((key) => `${JSON.stringify(key)}:${written(value[key] ?? null)}`);
  return `map[string]interface {}{${texts.join(", ")}}`;
}

/** Its type, as Go's %T prints it. */
const typeName = (value: Json): string =>
  Array.isArray(value)
    ? "[]interface {}"
    : isObject(value)
      ? "map[string]interface {}"
      : typeof value === "boolean"
        ? "bool"
        : typeof value;

/**
 * Upstream's text of what is wrong, one finding a line; undefined when the configuration fits. With `duplicates`, entries of one key may be
 * there several times: an object that was stored so is worked with.
 */
export function findMistakes(type: ApplyType, value: Value, duplicates = false): string | undefined {
  const all: string[] = [];
  check(type, value, [], all);
  const found = duplicates ? all.filter((text) => !text.includes(DUPLICATE)) : all;
  if (found.length <= 1) return found[0];
  return ["errors:", ...found.map((text) => `  ${text}`)].join("\n");
}

const DUPLICATE = ": duplicate entries for key ";

function check(type: ApplyType, value: Value, path: string[], found: string[]): void {
  if (value === null || value === undefined) return;
  const report = (text: string) => found.push(path.length > 0 ? `${pathText(path)}: ${text}` : text);
  if (type.kind === "any") {
    if (type.isObject && !isObject(value)) report(`expected map, got &{${printed(value)}}`);
    return;
  }
  if (type.kind === "scalar") {
    const wanted = scalarMistake(type, value);
    if (wanted) report(wanted);
  } else if (type.kind === "list") {
    if (!Array.isArray(value)) report(`expected list, got &{${printed(value)}}`);
    else checkList(type, value, path, found);
  } else if (type.fields.size > 0 || type.element) {
    if (!isObject(value)) report(`expected map, got &{${printed(value)}}`);
    else checkMap(type, value, path, found);
  }
}

function scalarMistake(type: ApplyType, value: Json): string | undefined {
  const got = typeName(value);
  switch (type.scalar) {
    case "numeric":
      return got === "number" ? undefined : `expected numeric (int or float), got ${got}`;
    case "string":
      return got === "string" ? undefined : `expected string, got &value.valueUnstructured{Value:${written(value)}}`;
    case "boolean":
      return got === "bool" ? undefined : `expected boolean, got &{${printed(value)}}`;
    case "untyped":
      return typeof value === "object" ? `expected any scalar, got &{${printed(value)}}` : undefined;
    case "open":
      return undefined;
  }
}

function checkMap(type: ApplyType, map: JsonObject, path: string[], found: string[]): void {
  for (const key of Object.keys(map)) {
    path.push(fieldElement(key));
    if (!type.fields.has(key) && !type.element && !type.preservesUnknown) {
      found.push(`${pathText(path)}: field not declared in schema`);
    } else check(childType(type, key), map[key], path, found);
    path.pop();
  }
}

function checkList(type: ApplyType, list: Json[], path: string[], found: string[]): void {
  const seen = new Set<string>();
  for (const [place, item] of list.entries()) {
    let element = `i:${place}`;
    if (!type.atomic) {
      try {
        element = itemElement(type, item);
      } catch (error) {
        found.push(`${pathText(path)}: element ${place}: ${(error as Error).message}`);
        return;
      }
      if (seen.has(element)) found.push(`${pathText(path)}${DUPLICATE}${pathText([element])}`);
      seen.add(element);
    }
    path.push(element);
    check(type.element ?? UNTYPED, item, path, found);
    path.pop();
  }
}
