import type { Namespace, Pod, PodTemplateSpec } from "#sdk/api/generated/types.ts";
import { invalid } from "#sdk/api/status.ts";
import { readConfig } from "#sdk/plugin/config.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { auditAnnotation, deny, denyAnnotated, failure } from "#sdk/plugin/failure.ts";
import type { Review } from "#sdk/plugin/types.ts";
import { type Answer, type Config, judgeNamespace, judgePod } from "./review.ts";
import type { PodLike } from "./visit.ts";

type Templated = {
  template?: PodTemplateSpec;
  spec?: { template?: PodTemplateSpec; jobTemplate?: { spec?: { template?: PodTemplateSpec } } };
};

/** Undefined where there is no template. */
function podLike(review: Review, document: string): PodLike | undefined {
  if (document === "") return undefined;
  const object: unknown = JSON.parse(document);
  if (review.resource === "pods") return object as PodLike;
  const { template, spec } = object as Templated;
  const found = review.resource === "podtemplates" ? template : (spec?.jobTemplate?.spec?.template ?? spec?.template);
  return found?.spec && { spec: found.spec, ...(found.metadata ? { metadata: found.metadata } : {}) };
}

const labelsOf = (document: string): Record<string, string> =>
  (JSON.parse(document) as Namespace).metadata.labels ?? {};

function answerTo(review: Review): Answer {
  const config = readConfig<Config>();
  const context = JSON.parse(review.context) as { namespaces?: Namespace[]; pods?: Pod[] };
  if (review.resource === "namespaces")
    return judgeNamespace({
      config,
      name: review.name,
      labels: labelsOf(review.object),
      labelsBefore: review.oldObject === "" ? undefined : labelsOf(review.oldObject),
      pods: context.pods ?? [],
    });
  return judgePod({
    config,
    user: (JSON.parse(review.user) as { name: string }).name,
    namespace: review.namespace,
    namespaceLabels: context.namespaces?.[0]?.metadata.labels ?? {},
    isTemplate: review.resource !== "pods",
    pod: podLike(review, review.object),
    before: podLike(review, review.oldObject),
  });
}

export const admission = defineAdmission({
  validate(review) {
    const { denied, invalid: causes, warnings, annotations } = answerTo(review);
    if (causes) {
      const { message, status } = invalid({ group: review.group, kind: review.kind }, review.name, causes);
      throw failure("Invalid", message, 422, JSON.stringify(status.details));
    }
    if (denied !== undefined)
      throw Object.keys(annotations).length > 0 ? denyAnnotated(denied, annotations) : deny(denied);
    return [...warnings, ...Object.entries(annotations).map(([key, value]) => auditAnnotation(key, value))];
  },
});
