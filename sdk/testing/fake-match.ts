/** Selectors and merge patches for the fake API. */
import { matchesFields as fieldsMatch, parseFieldSelector } from "../api/fields.ts";
import { matchesLabels as labelsMatch, parseLabelSelector } from "../api/labels.ts";
import type { Json, JsonObject } from "../api/object.ts";

export const matchesLabels = (selector: string | undefined, labels: Record<string, string>): boolean =>
  !selector || labelsMatch(parseLabelSelector(selector), labels);

/** Any path is selectable here; the server has its own list of them. */
export function matchesFields(selector: string | undefined, object: JsonObject): boolean {
  if (!selector) return true;
  const requirements = parseFieldSelector(selector);
  const fields = Object.fromEntries(requirements.map(({ field }) => [field, textAt(object, field)]));
  return fieldsMatch(requirements, fields);
}

function textAt(object: JsonObject, path: string): string {
  let at: Json | undefined = object;
  for (const step of path.split(".")) {
    at = at && typeof at === "object" && !Array.isArray(at) ? at[step] : undefined;
  }
  return String(at ?? "");
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
