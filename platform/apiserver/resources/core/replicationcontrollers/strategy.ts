/** ReplicationControllers. */
import type { ReplicationController } from "#sdk/api/generated/types.ts";
import { matchesLabels } from "#sdk/api/labels.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required } from "../../../registry/causes.ts";
import { genericStrategy, statusView } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { defaultTemplate, validatePodTemplate } from "../../apps/workloads.ts";
import { as, isEmpty } from "../../as.ts";
import { nonNegative } from "../../checks.ts";
import { scaleAction } from "../../scale.ts";

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

function validate({ spec }: ReplicationController): Causes {
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
      invalidValue("spec.template.metadata.labels", labels ?? null, "`selector` does not match template `labels`"),
    );
  causes.push(...validatePodTemplate(template, ["Always", "Never", "OnFailure"], "spec.template"));
  const policy = template.spec?.restartPolicy;
  if (policy !== "Always") causes.push(notSupported("spec.template.spec.restartPolicy", policy ?? "", ["Always"]));
  if (template.spec?.activeDeadlineSeconds !== undefined)
    causes.push(
      forbiddenField(
        "spec.template.spec.activeDeadlineSeconds",
        "activeDeadlineSeconds in ReplicationController is not Supported",
      ),
    );
  return causes;
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
      as<ReplicationController>(object).status = { replicas: 0 };
    },
    validate: (object) => validate(as<ReplicationController>(object)),
    fieldNames: ["status.replicas"],
    fields: (object) => ({ "status.replicas": String(as<ReplicationController>(object).status?.replicas ?? 0) }),
    views: {
      status: { ...statusView, validateUpdate: (next) => validateStatus(as<ReplicationController>(next)) },
    },
    actions: { scale: scaleAction(facts, true) },
  });
