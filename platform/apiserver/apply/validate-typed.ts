/** Whether an applied configuration fits its type (structured-merge-diff, typed/validate.go). */
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { fieldElement, pathText } from "./field-set.ts";
import { isObject } from "./json.ts";
import { childType, itemElement, type Value } from "./typed.ts";
import { type ApplyType, UNTYPED } from "./types.ts";

/** Upstream's text of what is wrong, one finding a line; undefined when the configuration fits. */
export function findMistakes(type: ApplyType, value: Value): string | undefined {
  const found: string[] = [];
  check(type, value, [], found);
  if (found.length <= 1) return found[0];
  return ["errors:", ...found.map((text) => `  ${text}`)].join("\n");
}

function check(type: ApplyType, value: Value, path: string[], found: string[]): void {
  if (value === null || value === undefined || type.kind === "any") return;
  const report = (text: string) => found.push(path.length > 0 ? `${pathText(path)}: ${text}` : text);
  if (type.kind === "scalar") {
    const wanted = scalarMistake(type, value);
    if (wanted) report(wanted);
  } else if (type.kind === "list") {
    if (!Array.isArray(value)) report(`expected list, got &{${String(value)}}`);
    else checkList(type, value, path, found);
  } else if (type.fields.size > 0 || type.element) {
    if (!isObject(value)) report(`expected map, got &{${String(value)}}`);
    else checkMap(type, value, path, found);
  }
}

function scalarMistake(type: ApplyType, value: Json): string | undefined {
  const got = typeof value;
  switch (type.scalar) {
    case "numeric":
      return got === "number" ? undefined : `expected numeric (int or float), got ${got}`;
    case "string":
      return got === "string" ? undefined : `expected string, got &value.valueUnstructured{Value:${String(value)}}`;
    case "boolean":
      return got === "boolean" ? undefined : `expected boolean, got &{${String(value)}}`;
    case "untyped":
      return got === "object" ? `expected any scalar, got &{${String(value)}}` : undefined;
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
      if (seen.has(element)) found.push(`${pathText(path)}: duplicate entries for key ${pathText([element])}`);
      seen.add(element);
    }
    path.push(element);
    check(type.element ?? UNTYPED, item, path, found);
    path.pop();
  }
}
