/** PodTemplates. */
import type { PodTemplate } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { defaultTemplate, validatePodTemplate } from "../../apps/workloads.ts";
import { as } from "../../as.ts";

export const podTemplateStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: true,
    returnsDeletedObject: true,
    applyDefaults: (object) => defaultTemplate(as<PodTemplate>(object)),
    validate: (object) =>
      validatePodTemplate(as<PodTemplate>(object).template ?? {}, ["Always", "Never", "OnFailure"], "template"),
  });
