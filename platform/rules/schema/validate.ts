/** Checks that a schema alone can make: required fields and enums. For our own kinds; upstream's are checked by hand. */
import { resolve, types } from "#sdk/api/facts.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import type { Schema } from "#sdk/api/schema.ts";
import type { StatusCause } from "#sdk/api/status.ts";

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const shown = (value: Json): string => JSON.stringify(value);

function check(value: Json, field: Schema, path: string, causes: StatusCause[]): void {
  const schema = resolve(field);
  const allowed = field.enum ?? schema.enum;
  if (allowed && !allowed.includes(value)) {
    const supported = [...allowed].map(shown).sort().join(", ");
    const message = `Unsupported value: ${shown(value)}: supported values: ${supported}`;
    causes.push({ reason: "FieldValueNotSupported", message, field: path });
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items) value.forEach((item, i) => void check(item, items, `${path}[${i}]`, causes));
  } else if (isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      const child =
        schema.values ?? (Object.hasOwn(schema.properties ?? {}, key) ? schema.properties?.[key] : undefined);
      if (!child || item === undefined) continue;
      check(item, child, schema.values ? `${path}[${key}]` : join(path, key), causes);
    }
    for (const name of schema.required ?? []) {
      if (value[name] !== undefined && value[name] !== null) continue;
      causes.push({ reason: "FieldValueRequired", message: "Required value", field: join(path, name) });
    }
  }
}

const join = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);

/** Causes for a 422; none: the object keeps its schema. */
export function validateSchema(object: JsonObject, definition: string): StatusCause[] {
  const schema = types()[definition];
  if (!schema) throw new Error(`no definition ${definition} in the API's facts`);
  const causes: StatusCause[] = [];
  check(object, schema, "", causes);
  return causes;
}
