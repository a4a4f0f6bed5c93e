/** Paths by which a rule names the field that it is about: `.spec.x`, `['a-b']`, below the place of the rule. */
import type { StructuralSchema } from "./schema.ts";

const STEP = /\.([^.[\]']+)|\['((?:[^'\\]|\\.)*)'\]/y;

/** As messages write it; undefined where the schema has no such field. */
export function fieldPathIn(schema: StructuralSchema, path: string): string | undefined {
  let place: StructuralSchema = schema;
  let shown = "";
  STEP.lastIndex = 0;
  while (STEP.lastIndex < path.length) {
    const step = STEP.exec(path);
    if (!step) return undefined;
    const name = step[1] ?? (step[2] ?? "").replace(/\\(.)/g, "$1");
    const { properties, additionalProperties } = place;
    const next = properties ? properties[name] : additionalProperties;
    if (typeof next !== "object") return undefined;
    shown += properties ? `.${name}` : `[${name}]`;
    place = next;
  }
  return shown;
}
