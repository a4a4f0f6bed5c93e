/** Schemas of custom resources as OpenAPI tells them. */
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { descriptionOf } from "#sdk/api/descriptions.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";

/** A served resource; `own` where its types are not among the API's facts. */
export interface Published extends ResourceFacts {
  /** An extension server's: its schemas are its own to tell. */
  remote?: true;
  /** That server cannot be reached now: this is what it served before. */
  stale?: boolean;
  own?: { schema?: StructuralSchema; listKind: string; preserves: boolean };
}

/** "com.example.stable.v1.CronTab" of stable.example.com/v1 CronTab. */
export const publishedName = (group: string, version: string, kind: string): string =>
  `${group.split(".").reverse().join(".")}.${version}.${kind}`;

const V3_ONLY = new Set(["oneOf", "anyOf", "allOf", "not", "nullable", "default"]);

/** OpenAPI v2 can say less: what it cannot is left out, and an object that keeps unknown fields is free. */
function publishedSchema(schema: StructuralSchema, version: 2 | 3): JsonObject {
  const out: JsonObject = {};
  for (const [key, value] of Object.entries(schema)) {
    if (version === 2 && V3_ONLY.has(key)) continue;
    if (["properties", "items", "additionalProperties"].includes(key)) continue;
    out[key] = value as JsonObject[string];
  }
  const free = version === 2 && schema["x-kubernetes-preserve-unknown-fields"];
  if (version === 2 && (schema.nullable || schema["x-kubernetes-int-or-string"])) delete out["type"];
  if (free) return out;
  if (schema.items) out["items"] = publishedSchema(schema.items, version);
  if (typeof schema.additionalProperties === "object")
    out["additionalProperties"] = publishedSchema(schema.additionalProperties, version);
  else if (schema.additionalProperties !== undefined) out["additionalProperties"] = schema.additionalProperties;
  if (schema.properties) {
    out["properties"] = Object.fromEntries(
      Object.entries(schema.properties).map(([name, part]) => [name, publishedSchema(part, version)]),
    );
  }
  return out;
}

/** In v3 a reference stands alone, with what is said of it beside. */
function describedMetadata(ref: JsonObject, version: 2 | 3): JsonObject {
  const description = descriptionOf("io.k8s.api.core.v1.Pod", "metadata");
  if (!description) return ref;
  return version === 2 ? { description, ...ref } : { description, allOf: [ref] };
}

/** The definitions of a custom resource and of its list, by name. In v2 one that keeps unknown fields is an object, no more. */
export function publishedDefinitions(
  r: Published,
  version: 2 | 3,
  refTo: (name: string) => JsonObject,
): Record<string, JsonObject> {
  if (!r.own) return {};
  const { schema, listKind, preserves } = r.own;
  const name = publishedName(r.group, r.version, r.kind);
  const gvk = (kind: string) => [{ group: r.group, version: r.version, kind }];
  const meta = "io.k8s.apimachinery.pkg.apis.meta.v1.";
  const typed = (field: string): JsonObject => {
    const description = descriptionOf(`${meta}Status`, field);
    return { ...(description ? { description } : {}), type: "string" };
  };
  const types: JsonObject = { apiVersion: typed("apiVersion"), kind: typed("kind") };
  const free = preserves || schema?.["x-kubernetes-preserve-unknown-fields"] === true;
  const body = schema && !(version === 2 && free) ? publishedSchema(schema, version) : { type: "object" };
  const own: JsonObject = {
    ...body,
    ...(schema && !(version === 2 && free)
      ? {
          properties: {
            ...((body["properties"] as JsonObject | undefined) ?? {}),
            ...types,
            metadata: describedMetadata(refTo(`${meta}ObjectMeta`), version),
          },
        }
      : {}),
    "x-kubernetes-group-version-kind": gvk(r.kind),
  };
  const list: JsonObject = {
    type: "object",
    required: ["items"],
    properties: {
      ...types,
      items: { type: "array", items: refTo(name) },
      metadata: refTo(`${meta}ListMeta`),
    },
    "x-kubernetes-group-version-kind": gvk(listKind),
  };
  return { [name]: own, [publishedName(r.group, r.version, listKind)]: list };
}
