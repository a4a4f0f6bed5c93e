/** Selectors and merge patches for the fake API: the plain forms that loops use. */
import { requirementMatches } from "../api/labels.ts";
import type { Json, JsonObject } from "../api/object.ts";

/** "a=b,c!=d,e in (f,g),h,!i" */
export function matchesLabels(selector: string | undefined, labels: Record<string, string>): boolean {
  if (!selector) return true;
  return selector.split(/,(?![^(]*\))/).every((part) => {
    const set = /^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$/.exec(part);
    if (set) {
      const values = set[3]!.split(",").map((v) => v.trim());
      return requirementMatches(set[2] === "in" ? "In" : "NotIn", labels[set[1]!], values);
    }
    const equality = /^\s*([^!=\s]+)\s*(!=|==|=)\s*(\S*)\s*$/.exec(part);
    if (equality) return (labels[equality[1]!] === equality[3]) === (equality[2] !== "!=");
    const name = part.trim();
    return name.startsWith("!") ? !(name.slice(1) in labels) : name in labels;
  });
}

/** "spec.nodeName=a,status.phase!=Running": any path, a missing one being "". */
export function matchesFields(selector: string | undefined, object: JsonObject): boolean {
  if (!selector) return true;
  return selector.split(",").every((part) => {
    const [, path = "", operator, wanted = ""] = /^([^!=]+)(!=|==|=)(.*)$/.exec(part) ?? [];
    const value = path
      .split(".")
      .reduce<Json | undefined>(
        (at, step) => (at && typeof at === "object" && !Array.isArray(at) ? at[step] : undefined),
        object,
      );
    return (String(value ?? "") === wanted) === (operator !== "!=");
  });
}

/** RFC 7386; a strategic patch is taken as one, so tests give whole lists. */
export function mergePatch(target: JsonObject, patch: JsonObject): JsonObject {
  for (const [name, value] of Object.entries(patch)) {
    const old = target[name];
    if (value === null || value === undefined) delete target[name];
    else if (typeof value === "object" && !Array.isArray(value)) {
      const below = old && typeof old === "object" && !Array.isArray(old) ? old : {};
      target[name] = mergePatch(below, value);
    } else target[name] = value;
  }
  return target;
}
