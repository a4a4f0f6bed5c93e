/** What Deployments, ReplicaSets, StatefulSets, DaemonSets and ReplicationControllers share. */
import type { LabelSelector, PodTemplateSpec } from "#sdk/api/generated/types.ts";
import { selectsLabels, validateLabelSelector, validateLabels } from "#sdk/api/labels.ts";
import { type Causes, invalidValue, notSupported, required } from "../../registry/causes.ts";
import { validateAnnotations } from "../../registry/meta.ts";
import { isEmpty, sorted } from "../as.ts";
import { defaultPodSpec } from "../core/pods/defaults.ts";
import { validatePodSpec } from "../core/pods/validation.ts";

/** A template is a value in Go: absent, it is empty, and its defaults are set all the same. */
export function defaultTemplate(owner: { template?: PodTemplateSpec }): void {
  owner.template ??= {};
  owner.template.spec ??= { containers: [] };
  defaultPodSpec(owner.template.spec);
}

export const nonNegative = (value: number | undefined, field: string): Causes =>
  value !== undefined && value < 0 ? [invalidValue(field, value, "must be greater than or equal to 0")] : [];

/** The template and the selector that must find its pods. Only pods that restart for ever are kept up by a controller. */
export function validateTemplate(
  template: PodTemplateSpec | undefined,
  selector: LabelSelector | undefined,
  restart: readonly string[],
  kind: "deployment" | "daemonset" | "statefulset" = "deployment",
): Causes {
  const causes: Causes = [];
  // A DaemonSet without a selector matches nothing, which its labels' error says.
  if (!selector && kind !== "daemonset") causes.push(required("spec.selector"));
  if (selector) {
    causes.push(...validateLabelSelector(selector, "spec.selector"));
    if (isEmpty(selector.matchLabels) && isEmpty(selector.matchExpressions)) {
      causes.push(invalidValue("spec.selector", {}, `empty selector is invalid for ${kind}`));
    }
  }
  if (!template) return [...causes, required("spec.template")];
  const labels = template.metadata?.labels;
  if (selector && causes.some((c) => c.field?.startsWith("spec.selector.match"))) {
    if (kind === "deployment") causes.push(invalidValue("spec.selector", selector, "invalid label selector"));
  } else if (!selectsLabels(selector, labels)) {
    causes.push(
      invalidValue("spec.template.metadata.labels", labels ?? null, "`selector` does not match template `labels`"),
    );
  }
  causes.push(...validatePodTemplate(template, restart, "spec.template"));
  return causes;
}

export function validatePodTemplate(template: PodTemplateSpec, restart: readonly string[], path: string): Causes {
  const causes: Causes = [
    ...validateLabels(template.metadata?.labels, `${path}.labels`),
    ...validateAnnotations(template.metadata?.annotations, `${path}.annotations`),
    ...validatePodSpec(template.spec ?? { containers: [] }, `${path}.spec`),
  ];
  const policy = template.spec?.restartPolicy;
  // Always is what stands where nothing was chosen: a job has to choose.
  const chosen = policy !== "Always" || restart.includes("Always");
  if (!chosen)
    causes.push(
      required(
        `${path}.spec.restartPolicy`,
        `valid values: ${[...restart]
          .reverse()
          .map((r) => JSON.stringify(r))
          .join(", ")}`,
      ),
    );
  else if (policy && !restart.includes(policy))
    causes.push(notSupported(`${path}.spec.restartPolicy`, policy, restart));
  return causes;
}

/** What was chosen at creation stays. */
export function immutableField(field: string, next: unknown, old: unknown): Causes {
  return JSON.stringify(sorted(next ?? null)) === JSON.stringify(sorted(old ?? null))
    ? []
    : [invalidValue(field, next ?? null, "field is immutable")];
}
