/** CustomResourceDefinitions: names and conversion defaulted, stored versions kept, deletion held until the instances are gone. */
import { timeText } from "#platform/base/clock.ts";
import { isKnownFormat } from "#platform/rules/structural/formats.ts";
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { CLEANUP_FINALIZER, type Definition, setCondition } from "../../customresources/definition.ts";
import { validateNames } from "../../customresources/parts.ts";
import { validateDefinition, validateDefinitionUpdate } from "../../customresources/validation.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";

const of = (object: DynamicObject) => object as unknown as Definition;

function applyDefaults(object: DynamicObject): void {
  const { spec } = of(object);
  if (!spec) return;
  const names = spec.names ?? { plural: "", kind: "" };
  if (!names.singular && names.kind) names.singular = names.kind.toLowerCase();
  if (!names.listKind && names.kind) names.listKind = `${names.kind}List`;
  spec.conversion ??= { strategy: "None" };
  const service = spec.conversion.webhook?.clientConfig?.service;
  if (service) service.port ??= 443;
}

function rememberStored({ spec, status }: Definition): void {
  const stored = spec?.versions?.find((v) => v.storage);
  if (!stored || !status) return;
  const storage = stored.name ?? "";
  if (status.storedVersions?.includes(storage)) return;
  status.storedVersions = [...(status.storedVersions ?? []), storage];
}

function unknownFormats(schema: StructuralSchema | undefined, found: Set<string>): void {
  if (!schema) return;
  if (schema.type === "string" && schema.format && !isKnownFormat(schema.format)) found.add(schema.format);
  for (const part of Object.values(schema.properties ?? {})) unknownFormats(part, found);
  if (typeof schema.additionalProperties === "object") unknownFormats(schema.additionalProperties, found);
  unknownFormats(schema.items, found);
}

function formatsOf(object: DynamicObject): Set<string> {
  const found = new Set<string>();
  for (const version of of(object).spec?.versions ?? []) unknownFormats(version.schema?.openAPIV3Schema, found);
  return found;
}

export const customResourceDefinitionStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowUnconditionalUpdate: false,
    generation: true,
    applyDefaults,
    prepareForCreate(object) {
      const definition = of(object);
      definition.status = { conditions: null, acceptedNames: { plural: "", kind: "" } };
      rememberStored(definition);
    },
    prepareForUpdate: (next) => rememberStored(of(next)),
    validate: (object) => validateDefinition(of(object)),
    validateUpdate: (next, old) => validateDefinitionUpdate(of(next), of(old)),
    views: {
      status: {
        ...statusView,
        validateUpdate: (object) => validateNames(of(object).status?.acceptedNames, "status.acceptedNames"),
      },
    },
    warnings(object, old) {
      const [found, before] = [formatsOf(object), old ? formatsOf(old) : new Set()];
      const added = [...found].filter((format) => !before.has(format));
      return added.sort().map((format) => `unrecognized format ${JSON.stringify(format)}`);
    },
    // Until the mark is set nothing may remove it; afterwards its finalizer holds it.
    holdsDeletion: (object) => object.metadata.deletionTimestamp === undefined,
    markDeleted(object) {
      const { metadata } = object;
      // Deletion is no change of the definition.
      if (metadata.generation) metadata.generation -= 1;
      if (!metadata.finalizers?.includes(CLEANUP_FINALIZER)) {
        metadata.finalizers = [...(metadata.finalizers ?? []), CLEANUP_FINALIZER];
      }
      setCondition(of(object), {
        type: "Terminating",
        status: "True",
        lastTransitionTime: timeText(Date.parse(metadata.deletionTimestamp ?? "")),
        reason: "InstanceDeletionPending",
        message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
      });
    },
  });
