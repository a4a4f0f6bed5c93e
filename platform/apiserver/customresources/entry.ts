/** One served version of a custom resource as the registry knows resources. */
import { createHash } from "node:crypto";
import { validateRules } from "#platform/rules/structural/rules.ts";
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { applyDefaults, prune } from "#platform/rules/structural/shape.ts";
import { validateValue } from "#platform/rules/structural/values.ts";
import type { DynamicObject, Json, JsonObject } from "#sdk/api/object.ts";
import type { ResourceFacts, SubresourceFacts } from "#sdk/api/schema.ts";
import type { Causes } from "../registry/causes.ts";
import { genericStrategy } from "../registry/generic.ts";
import { sorted } from "../registry/meta.ts";
import type { ResourceEntry, StorageForm, Strategy } from "../registry/strategy.ts";
import type { WebhookClient } from "../webhook/client.ts";
import { codecOf } from "./codec.ts";
import { printerOf } from "./columns.ts";
import { conversionOf } from "./conversion.ts";
import type { Definition, DefinitionVersion } from "./definition.ts";
import { findAll, parsePath } from "./json-path.ts";
import { scaleAction } from "./scale.ts";

const VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const VIEW_VERBS = ["get", "patch", "update"];
/** A resource without a schema keeps everything. */
const ANYTHING: StructuralSchema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

export const schemaOf = (version: DefinitionVersion): StructuralSchema => version.schema?.openAPIV3Schema ?? ANYTHING;

export function factsOf({ spec, status }: Definition, version: DefinitionVersion): ResourceFacts {
  const names = status?.acceptedNames?.plural ? status.acceptedNames : spec.names;
  const subresources: SubresourceFacts[] = [];
  if (version.subresources?.status) subresources.push({ name: "status", kind: spec.names.kind, verbs: VIEW_VERBS });
  if (version.subresources?.scale) {
    subresources.push({ name: "scale", group: "autoscaling", version: "v1", kind: "Scale", verbs: VIEW_VERBS });
  }
  return {
    group: spec.group,
    version: version.name,
    resource: spec.names.plural,
    kind: spec.names.kind,
    singular: names.singular ?? spec.names.kind.toLowerCase(),
    namespaced: spec.scope === "Namespaced",
    verbs: VERBS,
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    subresources,
    ...storageHash(spec),
  };
}

/** Upstream's StorageVersionHash; absent where the stored version is not served. */
function storageHash({ group, names, versions }: Definition["spec"]): { storageVersionHash?: string } {
  const stored = versions.find(({ storage, served }) => storage && served);
  if (!stored) return {};
  const hash = createHash("sha256").update(`${group}/${stored.name}/${names.kind}`).digest();
  return { storageVersionHash: hash.subarray(0, 8).toString("base64") };
}

const asJson = (object: DynamicObject | undefined): Json | undefined => object as unknown as Json | undefined;

/** Everything but metadata, which has rules of its own. */
function body(object: DynamicObject): JsonObject {
  const { metadata: _, ...rest } = object;
  return rest as unknown as JsonObject;
}

function validator(schema: StructuralSchema) {
  // Metadata of the root is validated as ObjectMeta; only names and types may be restricted by the schema.
  return (object: DynamicObject, old: DynamicObject | undefined): Causes => {
    const causes = validateValue(body(object), withoutMetadata(schema), "", old && body(old));
    causes.push(...metadataCauses(object, schema));
    if (causes.length > 0) return causes;
    return validateRules(asJson(object) as Json, schema, "", asJson(old));
  };
}

const stripped = new WeakMap<StructuralSchema, StructuralSchema>();

function withoutMetadata(schema: StructuralSchema): StructuralSchema {
  const known = stripped.get(schema);
  if (known) return known;
  const { metadata: _, ...properties } = schema.properties ?? {};
  const required = schema.required?.filter((name) => name !== "metadata");
  const made = { ...schema, properties, ...(required ? { required } : {}) };
  stripped.set(schema, made);
  return made;
}

function metadataCauses(object: DynamicObject, schema: StructuralSchema): Causes {
  const metadata = schema.properties?.metadata;
  return metadata ? validateValue(object.metadata as unknown as Json, metadata, "metadata") : [];
}

/** The name of the version changes, and its schema shapes what is read; the rest is a webhook's to change, where there is one. */
function storageForm(definition: Definition, version: DefinitionVersion, client?: WebhookClient): StorageForm {
  const { spec } = definition;
  const stored = spec.versions.find((v) => v.storage) ?? version;
  const schema = schemaOf(version);
  const convert = conversionOf(definition, client);
  return {
    ...(convert ? { convert } : {}),
    group: spec.group,
    version: stored.name,
    resource: spec.names.plural,
    toStorage: (object) => ({ ...object, apiVersion: `${spec.group}/${stored.name}` }),
    fromStorage(object) {
      object.apiVersion = `${spec.group}/${version.name}`;
      if (!spec.preserveUnknownFields) prune(object as unknown as Json, schema, true);
      applyDefaults(object as unknown as Json, schema);
      return object;
    },
  };
}

const fieldName = (jsonPath: string): string => jsonPath.replace(/^\./, "");

export function strategyOf(
  definition: Definition,
  version: DefinitionVersion,
  facts: ResourceFacts,
  client?: WebhookClient,
): Strategy {
  const schema = schemaOf(version);
  const judge = validator(schema);
  const hasStatus = version.subresources?.status !== undefined;
  // What is written in one version is selected in all: the store keeps the fields of each.
  const paths = new Set(definition.spec.versions.flatMap((v) => (v.selectableFields ?? []).map((f) => f.jsonPath)));
  const selectable = [...paths].map((path) => ({ name: fieldName(path), path: parsePath(path) ?? [] }));
  const scale = version.subresources?.scale;
  const generic = genericStrategy(facts, {
    generation: true,
    storage: storageForm(definition, version, client),
    validate: (object) => judge(object, undefined),
    validateUpdate: (next, old) => judge(next, old),
    // Without the subresource, status is content like any other.
    raisesGeneration: (next, old) =>
      !hasStatus && JSON.stringify(sorted(next.status)) !== JSON.stringify(sorted(old.status)),
    fieldNames: (version.selectableFields ?? []).map(({ jsonPath }) => fieldName(jsonPath)),
    fields: (object) =>
      Object.fromEntries(
        selectable.map(({ name, path }) => {
          const [value] = findAll(object, path);
          return [name, value === undefined || value === null ? "" : String(value)];
        }),
      ),
    warnings() {
      if (!version.deprecated) return [];
      const { group, names } = definition.spec;
      return [version.deprecationWarning ?? `${group}/${version.name} ${names.kind} is deprecated`];
    },
    ...(scale ? { actions: { scale: scaleAction(facts, scale) } } : {}),
  });
  const view = generic.views.status;
  if (!view) return generic;
  return {
    ...generic,
    views: { ...generic.views, status: { ...view, validateUpdate: (next, old) => judge(next, old) } },
  };
}

export function entryOf(definition: Definition, version: DefinitionVersion, client?: WebhookClient): ResourceEntry {
  const { spec } = definition;
  const facts = factsOf(definition, version);
  const gvk = { group: spec.group, version: version.name, kind: spec.names.kind };
  const codec = codecOf({
    gvk,
    schema: schemaOf(version),
    preserves: spec.preserveUnknownFields === true,
    hasStatus: version.subresources?.status !== undefined,
  });
  return {
    facts,
    strategy: strategyOf(definition, version, facts, client),
    storeResource: `${spec.names.plural}.${spec.group}`,
    own: { ...codec, printer: printerOf(version), metadataOverTenants: true },
  };
}
