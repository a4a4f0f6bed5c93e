/** Bodies, patches, defaults and field ownership of one version of a custom resource, by its own schema. */
import { decode } from "#platform/rules/schema/decode.ts";
import { DecodeError } from "#platform/rules/schema/values.ts";
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { applyDefaults, dropNulls, embeddedObjects, prune } from "#platform/rules/structural/shape.ts";
import {
  apiVersionOf,
  type DynamicObject,
  type GroupVersionKind,
  type Json,
  type JsonObject,
} from "#sdk/api/object.ts";
import type { Schema } from "#sdk/api/schema.ts";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import { jsonPatch, parseJsonPatch } from "../apply/json-patch.ts";
import { mergePatch } from "../apply/merge-patch.ts";
import { applyPatch, trackUpdate } from "../apply/server-side-apply.ts";
import type { ApplyType } from "../apply/types.ts";
import { RESETS } from "../apply/updater.ts";
import type { FieldValidation } from "../http/options.ts";
import type { BodyDecoder, Patcher } from "../http/patches.ts";
import { type TypeRules, Undecodable } from "../registry/ports.ts";
import { compile, type Parsed, parse, report, unknownOnly } from "../types.ts";

const META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

export interface CodecParts {
  gvk: GroupVersionKind;
  schema: StructuralSchema;
  /** Unknown fields are kept everywhere (spec.preserveUnknownFields). */
  preserves: boolean;
  hasStatus: boolean;
}

/** The schema in the form that server-side apply compiles. */
export function applySchema(schema: StructuralSchema, resource = false): Schema {
  if (schema["x-kubernetes-int-or-string"]) return { format: "int-or-string" };
  const out: Schema = {};
  if (schema.type) out.type = schema.type as NonNullable<Schema["type"]>;
  if (schema["x-kubernetes-preserve-unknown-fields"]) out.preserveUnknownFields = true;
  if (schema.items) out.items = applySchema(schema.items);
  if (typeof schema.additionalProperties === "object") out.values = applySchema(schema.additionalProperties);
  else if (schema.additionalProperties === true) out.values = { preserveUnknownFields: true };
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length > 0 || resource || schema["x-kubernetes-embedded-resource"]) {
    out.properties = Object.fromEntries(properties.map(([name, part]) => [name, applySchema(part)]));
  }
  if (resource || schema["x-kubernetes-embedded-resource"]) {
    Object.assign(out.properties ?? {}, {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { ref: META },
    });
  }
  if (schema.default !== undefined) out.default = schema.default;
  const listType = schema["x-kubernetes-list-type"];
  if (listType) out.listType = listType;
  const keys = schema["x-kubernetes-list-map-keys"];
  if (keys) out.listMapKeys = keys;
  const mapType = schema["x-kubernetes-map-type"];
  if (mapType) out.mapType = mapType;
  return out;
}

/** metadata as ObjectMeta; its unknown fields go to `unknown` under `path`. */
function metadataOf(value: unknown, path: string, unknown: string[]): JsonObject {
  if (value === undefined || value === null) return {};
  const decoded = decode(value as JsonObject, META);
  unknown.push(...decoded.unknown.map((field) => `${path}${field}`));
  return decoded.object;
}

export function codecOf(parts: CodecParts): { rules: TypeRules; decoder: BodyDecoder; patcher: Patcher } {
  const { gvk, schema } = parts;
  const wanted = apiVersionOf(gvk);
  const free = parts.preserves || schema["x-kubernetes-preserve-unknown-fields"] === true;
  const type: ApplyType = compile(
    applySchema(parts.preserves ? { ...schema, "x-kubernetes-preserve-unknown-fields": true } : schema, true),
  );

  function shape(
    value: unknown,
    strict: Parsed["strict"],
    validation: FieldValidation,
    warn: (text: string) => void,
  ): DynamicObject {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw badRequest("json: cannot unmarshal into Go value of type map[string]interface {}");
    }
    const object = value as JsonObject;
    const { kind, apiVersion } = object;
    if (!kind) throw badRequest(`Object 'Kind' is missing in '${JSON.stringify(value)}'`);
    if (kind !== gvk.kind || apiVersion !== wanted) {
      const given = String(apiVersion ?? "");
      const why =
        kind !== gvk.kind
          ? `the kind in the data (${kind}) does not match the expected kind (${gvk.kind})`
          : `the API version in the data (${given}) does not match the expected API version (${wanted})`;
      throw badRequest(why);
    }
    const refused = (why: string) => new Undecodable(gvk, gvk.kind, why);
    const unknown: string[] = [];
    try {
      const metadata = metadataOf(object.metadata, "metadata.", unknown);
      const rest: JsonObject = { ...object };
      delete rest.metadata;
      embeddedObjects(rest, { ...schema, "x-kubernetes-embedded-resource": false }, (inner, path) => {
        if (inner.metadata !== undefined) inner.metadata = metadataOf(inner.metadata, `${path}.metadata.`, unknown);
      });
      if (!parts.preserves) unknown.push(...prune(rest, schema, true));
      dropNulls(rest, schema);
      report(strict(unknown), validation, refused, warn);
      const { kind: _, apiVersion: __, ...fields } = rest;
      return { kind: gvk.kind, apiVersion: wanted, metadata, ...fields } as unknown as DynamicObject;
    } catch (error) {
      if (error instanceof DecodeError) throw refused(error.message);
      throw error;
    }
  }

  const decoder: BodyDecoder = {
    decode(_gvk, text, encoding, validation, warn) {
      const { value, strict } = parse(text, encoding, gvk.kind);
      return shape(value, strict, validation, warn);
    },
    check: (_gvk, value, validation, warn) => shape(structuredClone(value), unknownOnly, validation, warn),
  };
  const resetFields = (subresource: string): string[][] => {
    if (subresource === "status") return RESETS.spec;
    return subresource === "" && parts.hasStatus ? RESETS.status : RESETS.nothing;
  };
  const ownership = (o: { manager: string; subresource: string; time: Date }) => ({
    ...o,
    apiVersion: wanted,
    kind: gvk.kind,
    type,
    resetFields: resetFields(o.subresource),
  });
  const rules: TypeRules = {
    applyDefaults: (_gvk, object) => applyDefaults(object as unknown as Json, schema),
    fillZeros(_gvk, object) {
      // Admission may have added what the schema does not know.
      if (!free) prune(object as unknown as Json, schema, true);
    },
    manage(_gvk, old, next, { manager, subresource, now }) {
      const managedFields = trackUpdate(old, next, ownership({ manager, subresource, time: new Date(now) }));
      const { managedFields: _, ...metadata } = next.metadata;
      return { ...next, metadata: { ...metadata, ...(managedFields ? { managedFields } : {}) } };
    },
  };
  const patcher: Patcher = {
    json: (document, patch) => jsonPatch(document, parseJsonPatch(patch)),
    merge: (document, patch) => mergePatch(document as Json, patch as Json) as JsonObject,
    strategic() {
      const accepted = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
      throw new StatusError(
        415,
        "UnsupportedMediaType",
        `the body of the request was in an unknown format - accepted media types include: ${accepted}`,
      );
    },
    apply: (_gvk, live, applied, o) =>
      applyPatch(live, applied, {
        ...ownership({ manager: o.manager, subresource: o.subresource, time: new Date(o.now) }),
        force: o.force,
      }),
  };
  return { rules, decoder, patcher };
}
