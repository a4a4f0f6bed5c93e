/** Writes the compact schemas as OpenAPI: v2 ("definitions") or v3 ("components/schemas"). */
import { descriptionOf } from "#sdk/api/descriptions.ts";
import { types } from "#sdk/api/facts.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import type { Schema } from "#sdk/api/schema.ts";
import { type Published, publishedDefinitions } from "./published.ts";

export type OpenApiVersion = 2 | 3;

export const META = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const EXTRA = ["DeleteOptions", "Status", "Patch", "WatchEvent", "APIResourceList"].map((name) => META + name);

export const refTo = (definition: string, version: OpenApiVersion): JsonObject => ({
  $ref: `${version === 2 ? "#/definitions/" : "#/components/schemas/"}${definition}`,
});

const EXTENSIONS = {
  listType: "x-kubernetes-list-type",
  listMapKeys: "x-kubernetes-list-map-keys",
  mapType: "x-kubernetes-map-type",
  patchStrategy: "x-kubernetes-patch-strategy",
  patchMergeKey: "x-kubernetes-patch-merge-key",
  unions: "x-kubernetes-unions",
  gvks: "x-kubernetes-group-version-kind",
} as const;

/** Types that are more than one in JSON: v3 can say so. */
function special(format: string | undefined, version: OpenApiVersion): JsonObject | undefined {
  if (format === "int-or-string") {
    return version === 2 ? { type: "string", format } : { format, oneOf: [{ type: "integer" }, { type: "string" }] };
  }
  if (format === "quantity")
    return version === 2 ? { type: "string" } : { oneOf: [{ type: "string" }, { type: "number" }] };
  if (format === "micro-time") return { type: "string", format: "date-time" };
  return format === "raw" ? { type: "object" } : undefined;
}

/** A definition with what it and its fields are for. */
export function renderDefinition(name: string, version: OpenApiVersion): JsonObject {
  const out = render(types()[name] ?? {}, version);
  const fields = (out["properties"] ?? {}) as Record<string, JsonObject>;
  for (const [field, schema] of Object.entries(fields)) {
    const description = descriptionOf(name, field);
    if (description) fields[field] = { description, ...schema };
  }
  const description = descriptionOf(name);
  return description ? { description, ...out } : out;
}

/** `property`: the schema is a named field; upstream's v3 wraps those references, as they have descriptions beside them. */
export function render(schema: Schema, version: OpenApiVersion, property = false): JsonObject {
  const out: JsonObject = special(schema.format, version) ?? {};
  if (Object.keys(out).length === 0) {
    if (schema.type) out["type"] = schema.type;
    if (schema.format) out["format"] = schema.format;
    // Upstream's raw types are plain objects; our own free objects say that they are free.
    if (schema.preserveUnknownFields) out["x-kubernetes-preserve-unknown-fields"] = true;
  }
  if (schema.enum) out["enum"] = schema.enum;
  if (schema.required) out["required"] = schema.required;
  if (version === 3 && schema.default !== undefined) out["default"] = schema.default;
  for (const [from, to] of Object.entries(EXTENSIONS)) {
    const value = schema[from as keyof typeof EXTENSIONS];
    if (value !== undefined) out[to] = value as JsonObject[string];
  }
  if (schema.items) out["items"] = render(schema.items, version);
  if (schema.values) out["additionalProperties"] = render(schema.values, version);
  if (schema.properties) {
    out["properties"] = Object.fromEntries(
      Object.entries(schema.properties).map(([name, field]) => [name, render(field, version, true)]),
    );
  }
  if (schema.ref === undefined) return out;
  const ref = refTo(schema.ref, version);
  // v3 has no siblings of a reference.
  return version === 3 && (property || Object.keys(out).length > 0) ? { allOf: [ref], ...out } : { ...ref, ...out };
}

function visit(name: string, seen: Set<string>): void {
  const schema = types()[name];
  if (!schema || seen.has(name)) return;
  seen.add(name);
  const inside = (part: Schema): void => {
    if (part.ref !== undefined) visit(part.ref, seen);
    if (part.items) inside(part.items);
    if (part.values) inside(part.values);
    for (const field of Object.values(part.properties ?? {})) inside(field);
  };
  inside(schema);
}

/** Definition names by "group/version/kind". */
let byKind: Map<string, string> | undefined;

export function definitionOfKind(group: string, version: string, kind: string): string | undefined {
  if (!byKind) {
    byKind = new Map();
    for (const [name, schema] of Object.entries(types())) {
      const [gvk, ...others] = schema.gvks ?? [];
      if (gvk && others.length === 0) byKind.set(`${gvk.group}/${gvk.version}/${gvk.kind}`, name);
    }
  }
  return byKind.get(`${group}/${version}/${kind}`);
}

/** The schemas that the resources and their operations name, in name order. */
export function schemasFor(served: readonly Published[], version: OpenApiVersion): JsonObject {
  const seen = new Set<string>();
  const want = (group: string, v: string, kind: string): void => {
    const name = definitionOfKind(group, v, kind);
    if (name !== undefined) visit(name, seen);
  };
  for (const name of EXTRA) visit(name, seen);
  for (const r of served) {
    want(r.group, r.version, r.kind);
    want(r.group, r.version, `${r.kind}List`);
    for (const s of r.subresources) want(s.group ?? r.group, s.version ?? r.version, s.kind);
  }
  const own = Object.assign({}, ...served.map((r) => publishedDefinitions(r, version, (name) => refTo(name, version))));
  if (Object.keys(own).length > 0) for (const name of ["ObjectMeta", "ListMeta"]) visit(META + name, seen);
  const known = Object.fromEntries([...seen].sort().map((name) => [name, renderDefinition(name, version)]));
  return { ...known, ...own };
}
