/** What Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers and Jobs share. */
import type { LabelSelector, PodTemplateSpec } from "#sdk/api/generated/types.ts";
import { percentOf } from "#sdk/api/intstr.ts";
import { selectsLabels, validateLabelSelector, validateLabels } from "#sdk/api/labels.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required } from "../../registry/causes.ts";
import type { GoField } from "../../registry/go-names.ts";
import { validateAnnotations } from "../../registry/meta.ts";
import { isEmpty, sorted } from "../as.ts";
import { immutable } from "../checks.ts";
import { validatePodAnnotations, validateProfiles } from "../core/pods/annotations.ts";
import { defaultPodSpec } from "../core/pods/defaults.ts";
import { validatePodSpec } from "../core/pods/validation.ts";

export { nonNegative } from "../checks.ts";

/** A template is a value in Go: absent, it is empty, and its defaults are set all the same. */
export function defaultTemplate(owner: { template?: PodTemplateSpec }): void {
  owner.template ??= {};
  owner.template.spec ??= { containers: [] };
  defaultPodSpec(owner.template.spec);
}

/** A selector as it is printed: fields in Go's order, labels by name. */
export const shownSelector = (selector: LabelSelector): LabelSelector => ({
  ...(isEmpty(selector.matchLabels)
    ? {}
    : { matchLabels: sorted(selector.matchLabels) as LabelSelector["matchLabels"] }),
  ...(isEmpty(selector.matchExpressions)
    ? {}
    : {
        matchExpressions: selector.matchExpressions?.map(({ key, operator, values }) => ({
          key,
          operator,
          ...(values?.length ? { values } : {}),
        })),
      }),
});

type Kind = "deployment" | "daemonset" | "statefulset";
type Name = "ReplicaSet" | "DaemonSet" | "StatefulSet" | "ReplicationController";

/** A controller's pods stay its own. */
export const fixedSelector = (next: LabelSelector | undefined, old: LabelSelector | undefined): Causes =>
  immutable("spec.selector", next && shownSelector(next), old);

/** Whether the selector finds the template's pods. */
function validateMatch(selector: LabelSelector | undefined, labels: Record<string, string> | undefined): Causes {
  if (selectsLabels(selector, labels)) return [];
  const detail = "`selector` does not match template `labels`";
  return [invalidValue("spec.template.metadata.labels", sorted(labels ?? null), detail)];
}

/** What is wrong with a controller's selector. One that is not usable keeps upstream from looking at the template. */
export function validateSelector(
  selector: LabelSelector | undefined,
  template: PodTemplateSpec,
  kind: Kind,
): { causes: Causes; usable: boolean } {
  if (!selector) {
    const missing = kind === "daemonset" ? [] : [required("spec.selector")];
    return { causes: [...missing, ...validateMatch(selector, template.metadata?.labels)], usable: true };
  }
  const shown = shownSelector(selector);
  const causes = validateLabelSelector(selector, "spec.selector");
  if (isEmpty(selector.matchLabels) && isEmpty(selector.matchExpressions))
    return { causes: [invalidValue("spec.selector", shown, `empty selector is invalid for ${kind}`)], usable: true };
  if (causes.length === 0) return { causes: validateMatch(selector, template.metadata?.labels), usable: true };
  if (kind === "daemonset") return { causes, usable: true };
  const detail = kind === "deployment" ? "invalid label selector" : "";
  return { causes: [...causes, invalidValue("spec.selector", shown, detail)], usable: false };
}

/** Only pods that restart for ever are kept up by a controller. */
export function validateForever({ spec }: PodTemplateSpec, path: string, name: Name): Causes {
  const { restartPolicy = "", activeDeadlineSeconds: deadline } = spec ?? {};
  const detail = `activeDeadlineSeconds in ${name} is not Supported`;
  return [
    ...(restartPolicy === "Always" ? [] : [notSupported(`${path}.spec.restartPolicy`, restartPolicy, ["Always"])]),
    ...(deadline === undefined ? [] : [forbiddenField(`${path}.spec.activeDeadlineSeconds`, detail)]),
  ];
}

/** The template of a Deployment or ReplicaSet, and the selector that must find its pods. `old` is the template before a change. */
export function validateTemplate(
  template: PodTemplateSpec | undefined,
  selector: LabelSelector | undefined,
  old?: PodTemplateSpec,
): Causes {
  const own = template ?? {};
  const { causes, usable } = validateSelector(selector, own, "deployment");
  if (!usable) return causes;
  const path = "spec.template";
  return [...causes, ...validatePodTemplate(own, path, old), ...validateForever(own, path, "ReplicaSet")];
}

/** ValidatePodTemplateSpec; `old` is the template before a change. */
export function validatePodTemplate(template: PodTemplateSpec, path: string, old?: PodTemplateSpec): Causes {
  const spec = template.spec ?? { containers: [] };
  const annotations = template.metadata?.annotations;
  const ephemeral = "ephemeral containers not allowed in pod template";
  return [
    ...validateTemplateLabels(template, path),
    ...validatePodSpec(spec, `${path}.spec`, { old: old?.spec }),
    ...validateProfiles(annotations, spec, `${path}.spec`),
    ...(spec.ephemeralContainers?.length ? [forbiddenField(`${path}.spec.ephemeralContainers`, ephemeral)] : []),
  ];
}

export function validateTemplateLabels({ metadata, spec }: PodTemplateSpec, path: string): Causes {
  return [
    ...validateLabels(metadata?.labels, `${path}.labels`),
    ...validateAnnotations(metadata?.annotations, `${path}.annotations`),
    ...validatePodAnnotations(metadata?.annotations, spec ?? { containers: [] }, `${path}.annotations`),
  ];
}

type Share = number | string;

const PERCENT =
  "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

const isPercent = (value: Share): boolean => typeof value === "string" && /^[0-9]+%$/.test(value);

/** As upstream counts it: a percentage by its number, text that is none by the number it starts to be. */
export function shareValue(value: Share | undefined): number {
  if (typeof value === "number") return value;
  if (value === undefined) return 0;
  if (isPercent(value)) return percentOf(value) ?? 0;
  return /^[+-]?\d+$/.test(value) ? Number(value) : 0;
}

/** A count or a percentage that is none of negative, malformed and (where `capped`) above the whole. */
export function validateShare(value: Share | undefined, field: string, capped: boolean): Causes {
  if (value === undefined) return [];
  if (typeof value === "number")
    return value < 0 ? [invalidValue(field, value, "must be greater than or equal to 0")] : [];
  if (!isPercent(value)) return [invalidValue(field, value, PERCENT)];
  return capped && shareValue(value) > 100 ? [invalidValue(field, value, "must not be greater than 100%")] : [];
}

/** A rolling update as Go prints it: of deployments and daemon sets. */
export const ROLLING_STRATEGY: readonly GoField[] = [
  { go: "Type", json: "type", zero: "" },
  {
    go: "RollingUpdate",
    json: "rollingUpdate",
    of: [
      { go: "MaxUnavailable", json: "maxUnavailable", zero: 0 },
      { go: "MaxSurge", json: "maxSurge", zero: 0 },
    ],
  },
];
