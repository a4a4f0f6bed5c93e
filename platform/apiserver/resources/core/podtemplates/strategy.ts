/** PodTemplates. */
import type { PodTemplate } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { defaultTemplate, validatePodTemplate } from "../../apps/workloads.ts";
import { as } from "../../as.ts";
import { dropDisabled } from "../pods/prepare.ts";

export const podTemplateStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: true,
    returnsDeletedObject: true,
    applyDefaults: (object) => defaultTemplate(as<PodTemplate>(object)),
    prepareForCreate: (object) => dropDisabled(as<PodTemplate>(object).template?.spec),
    prepareForUpdate: (next, old) =>
      dropDisabled(as<PodTemplate>(next).template?.spec, as<PodTemplate>(old).template?.spec),
    validate: (object) => validatePodTemplate(as<PodTemplate>(object).template ?? {}, "template"),
    validateUpdate: (next, old) =>
      validatePodTemplate(as<PodTemplate>(next).template ?? {}, "template", as<PodTemplate>(old).template),
  });
