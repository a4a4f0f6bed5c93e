/** ReplicationControllers. */
import type { ReplicationController } from "#sdk/api/generated/types.ts";
import { matchesLabels } from "#sdk/api/labels.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, required } from "../../../registry/causes.ts";
import { genericStrategy, statusView } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { defaultTemplate, validateForever, validatePodTemplate } from "../../apps/workloads.ts";
import { as, isEmpty, sorted } from "../../as.ts";
import { nonNegative } from "../../checks.ts";
import { scaleAction } from "../../scale.ts";
import { dropDisabled } from "../pods/prepare.ts";

function applyDefaults(controller: ReplicationController): void {
  controller.spec ??= {};
  const { spec } = controller;
  spec.replicas ??= 1;
  if (!spec.template) return;
  const labels = spec.template.metadata?.labels;
  if (labels) {
    if (isEmpty(spec.selector)) spec.selector = { ...labels };
    if (isEmpty(controller.metadata.labels)) controller.metadata.labels = { ...labels };
  }
  defaultTemplate(spec);
}

function validate({ spec }: ReplicationController, old?: ReplicationController): Causes {
  const causes = [
    ...nonNegative(spec?.minReadySeconds, "spec.minReadySeconds"),
    ...(isEmpty(spec?.selector) ? [required("spec.selector")] : []),
    ...nonNegative(spec?.replicas, "spec.replicas"),
  ];
  const template = spec?.template;
  if (!template) return [...causes, required("spec.template")];
  const wanted = Object.entries((spec?.selector ?? {}) as Record<string, string>);
  const labels = template.metadata?.labels;
  const requirements = wanted.map(([key, value]) => ({ key, operator: "in" as const, values: [value] }));
  if (!matchesLabels(requirements, labels))
    causes.push(
      invalidValue(
        "spec.template.metadata.labels",
        sorted(labels ?? null),
        "`selector` does not match template `labels`",
      ),
    );
  const path = "spec.template";
  causes.push(...validatePodTemplate(template, path, old?.spec?.template));
  return [...causes, ...validateForever(template, path, "ReplicationController")];
}

const COUNTS = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"] as const;

function validateStatus({ status }: ReplicationController): Causes {
  const of = (field: (typeof COUNTS)[number]) => status?.[field] ?? 0;
  const causes = [
    ...COUNTS.flatMap((field) => nonNegative(of(field), `status.${field}`)),
    ...nonNegative(status?.observedGeneration, "status.observedGeneration"),
  ];
  for (const field of COUNTS.slice(1))
    if (of(field) > of("replicas"))
      causes.push(invalidValue(`status.${field}`, of(field), "cannot be greater than status.replicas"));
  if (of("availableReplicas") > of("readyReplicas"))
    causes.push(
      invalidValue("status.availableReplicas", of("availableReplicas"), "cannot be greater than readyReplicas"),
    );
  return causes;
}

export const replicationControllerStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    propagationPolicy: "Orphan",
    applyDefaults: (object) => applyDefaults(as<ReplicationController>(object)),
    prepareForCreate(object) {
      const controller = as<ReplicationController>(object);
      controller.status = { replicas: 0 };
      dropDisabled(controller.spec?.template?.spec);
    },
    prepareForUpdate: (next, old) =>
      dropDisabled(
        as<ReplicationController>(next).spec?.template?.spec,
        as<ReplicationController>(old).spec?.template?.spec,
      ),
    validate: (object) => validate(as<ReplicationController>(object)),
    validateUpdate: (next, old) => validate(as<ReplicationController>(next), as<ReplicationController>(old)),
    fieldNames: ["status.replicas"],
    fields: (object) => ({ "status.replicas": String(as<ReplicationController>(object).status?.replicas ?? 0) }),
    views: {
      status: { ...statusView, validateUpdate: (next) => validateStatus(as<ReplicationController>(next)) },
    },
    actions: { scale: scaleAction(facts, true) },
  });
