/**
 * Kinds that differ from the generic strategy in a few switches only: which carry a generation, which answer a delete with the object, which
 * are created by PUT, and how they may be named.
 */

import { validateSchema } from "#platform/rules/schema/validate.ts";
import { definitionOf } from "#sdk/api/facts.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { groupResource } from "../registry/catalog.ts";
import { genericStrategy } from "../registry/generic.ts";
import type { Strategy } from "../registry/strategy.ts";

const GENERATION = new Set([
  "podtemplates",
  "replicationcontrollers",
  "plugins.capstan.dev",
  "customresourcedefinitions.apiextensions.k8s.io",
  "flowschemas.flowcontrol.apiserver.k8s.io",
  "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
  "ingresses.networking.k8s.io",
  "ingressclasses.networking.k8s.io",
  "networkpolicies.networking.k8s.io",
  "poddisruptionbudgets.policy",
  "deviceclasses.resource.k8s.io",
  "devicetaintrules.resource.k8s.io",
  "resourceslices.resource.k8s.io",
]);

const RETURNS_DELETED = new Set([
  "persistentvolumeclaims",
  "persistentvolumes",
  "podtemplates",
  "resourcequotas",
  "deviceclasses.resource.k8s.io",
  "devicetaintrules.resource.k8s.io",
  "resourceclaims.resource.k8s.io",
  "resourceclaimtemplates.resource.k8s.io",
  "resourceslices.resource.k8s.io",
  "csidrivers.storage.k8s.io",
  "csinodes.storage.k8s.io",
  "storageclasses.storage.k8s.io",
  "volumeattachments.storage.k8s.io",
  "volumeattributesclasses.storage.k8s.io",
]);

const CREATED_BY_PUT = new Set(["runtimeclasses.node.k8s.io"]);

const CONDITIONAL_ONLY = new Set([
  "customresourcedefinitions.apiextensions.k8s.io",
  "runtimeclasses.node.k8s.io",
  "poddisruptionbudgets.policy",
  "csidrivers.storage.k8s.io",
  "csinodes.storage.k8s.io",
  "csistoragecapacities.storage.k8s.io",
  "volumeattachments.storage.k8s.io",
]);

export function plainStrategy(facts: ResourceFacts): Strategy {
  const name = groupResource(facts.group, facts.resource);
  const definition = definitionOf(facts);
  return genericStrategy(facts, {
    // Without rules of its own a kind still keeps its schema.
    validate: (object) => (definition ? validateSchema(object as unknown as JsonObject, definition) : []),
    generation: GENERATION.has(name),
    returnsDeletedObject: RETURNS_DELETED.has(name),
    allowCreateOnUpdate: CREATED_BY_PUT.has(name),
    allowUnconditionalUpdate: !CONDITIONAL_ONLY.has(name),
  });
}
