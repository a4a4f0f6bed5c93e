/** Reads upstream's OpenAPI v3 documents into the compact `Schema` of ../facts.ts: structure only, no descriptions. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { GroupVersionKind, Json, JsonObject } from "../object.ts";
import type { Schema } from "../schema.ts";

const REF = "#/components/schemas/";

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const JSON_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/** Types whose JSON form is not what their schema says: named by format, so that nobody compares names. */
const SPECIAL: Record<string, Schema> = {
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": { format: "int-or-string" },
  "io.k8s.apimachinery.pkg.api.resource.Quantity": { format: "quantity" },
  "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": { type: "string", format: "micro-time" },
  "io.k8s.apimachinery.pkg.runtime.RawExtension": { type: "object", format: "raw", preserveUnknownFields: true },
  "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": { type: "object", format: "raw", preserveUnknownFields: true },
  "io.k8s.apimachinery.pkg.apis.meta.v1.Patch": { type: "object", preserveUnknownFields: true },
  [`${JSON_SCHEMA}OrBool`]: { either: { ref: JSON_SCHEMA, or: "boolean" } },
  [`${JSON_SCHEMA}OrArray`]: { either: { ref: JSON_SCHEMA, or: "list" } },
  [`${JSON_SCHEMA}OrStringArray`]: { either: { ref: JSON_SCHEMA, or: "strings" } },
};

const EXTENSIONS = {
  "x-kubernetes-list-type": "listType",
  "x-kubernetes-list-map-keys": "listMapKeys",
  "x-kubernetes-map-type": "mapType",
  "x-kubernetes-patch-strategy": "patchStrategy",
  "x-kubernetes-patch-merge-key": "patchMergeKey",
  "x-kubernetes-unions": "unions",
  "x-kubernetes-preserve-unknown-fields": "preserveUnknownFields",
} as const;

/** One OpenAPI schema object. `allOf` with a single reference is how v3 puts a default beside a reference. */
export function compact(node: JsonObject): Schema {
  const out: Record<string, unknown> = {};
  const allOf = node["allOf"];
  const single = Array.isArray(allOf) && allOf.length === 1 && isObject(allOf[0]) ? allOf[0] : node;
  const ref = single["$ref"];
  if (typeof ref === "string") out["ref"] = ref.slice(REF.length);
  for (const key of ["type", "format", "default", "enum", "nullable", "required"] as const) {
    if (node[key] !== undefined) out[key] = node[key];
  }
  for (const [from, to] of Object.entries(EXTENSIONS)) if (node[from] !== undefined) out[to] = node[from];
  const gvks = node["x-kubernetes-group-version-kind"];
  if (Array.isArray(gvks)) out["gvks"] = gvks as unknown as GroupVersionKind[];
  if (isObject(node["items"])) out["items"] = compact(node["items"]);
  if (isObject(node["additionalProperties"])) out["values"] = compact(node["additionalProperties"]);
  if (isObject(node["properties"])) {
    out["properties"] = Object.fromEntries(
      Object.entries(node["properties"]).map(([name, value]) => [name, compact(value as JsonObject)]),
    );
  }
  return out as Schema;
}

/** Every definition of every group version, by upstream's definition name. */
export function readDefinitions(folder: string): Map<string, Schema> {
  const all = new Map<string, Schema>();
  for (const file of readdirSync(folder).sort()) {
    const document = JSON.parse(readFileSync(join(folder, file), "utf8")) as JsonObject;
    const components = document["components"];
    const schemas = isObject(components) ? components["schemas"] : undefined;
    if (!isObject(schemas)) continue;
    for (const [name, node] of Object.entries(schemas)) {
      all.set(name, SPECIAL[name] ?? compact(node as JsonObject));
    }
  }
  return all;
}

/** The definitions that `roots` need, in name order. */
export function reachable(all: ReadonlyMap<string, Schema>, roots: Iterable<string>): Record<string, Schema> {
  const seen = new Set<string>();
  const visit = (schema: Schema): void => {
    if (schema.ref !== undefined) add(schema.ref);
    if (schema.items) visit(schema.items);
    if (schema.values) visit(schema.values);
    for (const field of Object.values(schema.properties ?? {})) visit(field);
  };
  const add = (name: string): void => {
    if (seen.has(name)) return;
    const schema = all.get(name);
    if (!schema) throw new Error(`the OpenAPI documents name ${name} and do not define it`);
    seen.add(name);
    visit(schema);
  };
  for (const root of roots) add(root);
  return Object.fromEntries([...seen].sort().map((name) => [name, all.get(name) as Schema]));
}
