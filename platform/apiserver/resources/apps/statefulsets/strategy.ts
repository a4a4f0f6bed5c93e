/** StatefulSets. */
import type { PodTemplateSpec, StatefulSet, StatefulSetSpec } from "#sdk/api/generated/types.ts";
import { isDNS1123Label } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, notSupportedInOrder } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import { type GoField, goValue } from "../../../registry/go-names.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { each, same } from "../../checks.ts";
import { validateClaimSpec } from "../../core/persistentvolumeclaims/validation.ts";
import { dropDisabled } from "../../core/pods/prepare.ts";
import { scaleAction } from "../../scale.ts";
import {
  defaultTemplate,
  nonNegative,
  shareValue,
  validateForever,
  validatePodTemplate,
  validateSelector,
  validateShare,
  validateTemplateLabels,
} from "../workloads.ts";

const MUTABLE = [
  "replicas",
  "ordinals",
  "template",
  "updateStrategy",
  "revisionHistoryLimit",
  "persistentVolumeClaimRetentionPolicy",
  "minReadySeconds",
];

function applyDefaults(set: StatefulSet): void {
  set.spec ??= {} as StatefulSetSpec;
  const { spec } = set;
  spec.podManagementPolicy ||= "OrderedReady";
  spec.updateStrategy ??= {};
  if (!spec.updateStrategy.type) {
    spec.updateStrategy.type = "RollingUpdate";
    spec.updateStrategy.rollingUpdate ??= { partition: 0 };
  }
  if (spec.updateStrategy.type === "RollingUpdate" && spec.updateStrategy.rollingUpdate)
    spec.updateStrategy.rollingUpdate.partition ??= 0;
  spec.persistentVolumeClaimRetentionPolicy ??= {};
  spec.persistentVolumeClaimRetentionPolicy.whenDeleted ||= "Retain";
  spec.persistentVolumeClaimRetentionPolicy.whenScaled ||= "Retain";
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
  for (const claim of spec.volumeClaimTemplates ?? []) {
    if (claim.spec) claim.spec.volumeMode ??= "Filesystem";
    claim.status ??= {};
    claim.status.phase ??= "Pending";
  }
  defaultTemplate(spec);
}

const ROLLING: readonly GoField[] = [
  { go: "Partition", json: "partition", zero: 0 },
  { go: "MaxUnavailable", json: "maxUnavailable" },
];
const STRATEGY: readonly GoField[] = [
  { go: "Type", json: "type", zero: "" },
  { go: "RollingUpdate", json: "rollingUpdate", of: ROLLING },
];

function validateStrategy({ updateStrategy }: StatefulSetSpec): Causes {
  const at = "spec.updateStrategy";
  const { type, rollingUpdate: rolling } = updateStrategy ?? {};
  const field = `${at}.rollingUpdate`;
  if (type === "OnDelete")
    return rolling
      ? [invalidValue(field, goValue(rolling, ROLLING), "only allowed for updateStrategy 'RollingUpdate'")]
      : [];
  if (type !== "RollingUpdate")
    return [invalidValue(at, goValue(updateStrategy, STRATEGY), "must be 'RollingUpdate' or 'OnDelete'")];
  const causes = nonNegative(rolling?.partition, `${field}.partition`);
  const unavailable = rolling?.maxUnavailable;
  if (unavailable === undefined) return causes;
  if (shareValue(unavailable) === 0) causes.push(invalidValue(`${field}.maxUnavailable`, unavailable, "cannot be 0"));
  return [...causes, ...validateShare(unavailable, `${field}.maxUnavailable`, true)];
}

/** What is a StatefulSet's alone. On an update what cannot change is not looked at again. */
function validateOwn(spec: StatefulSetSpec, update: boolean): Causes {
  const { podManagementPolicy: policy = "", persistentVolumeClaimRetentionPolicy: kept, serviceName } = spec;
  const known = policy === "OrderedReady" || policy === "Parallel";
  const retention = (value: string | undefined, field: string) =>
    value === "Retain" || value === "Delete" ? [] : [notSupportedInOrder(field, value ?? "", ["Retain", "Delete"])];
  const claims = (update ? [] : (spec.volumeClaimTemplates ?? [])).flatMap((claim, i) =>
    validateClaimSpec(claim.spec ?? {}, `spec.volumeClaimTemplates[${i}].spec`),
  );
  return [
    ...(known ? [] : [invalidValue("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")]),
    ...validateStrategy(spec),
    ...(["whenDeleted", "whenScaled"] as const).flatMap((when) =>
      kept ? retention(kept[when], `spec.persistentVolumeClaimRetentionPolicy.${when}`) : [],
    ),
    ...claims,
    ...nonNegative(spec.replicas, "spec.replicas"),
    ...nonNegative(spec.minReadySeconds, "spec.minReadySeconds"),
    ...nonNegative(spec.ordinals?.start, "spec.ordinals.start"),
    ...(serviceName && !update ? each(isDNS1123Label(serviceName), "spec.serviceName", serviceName) : []),
  ];
}

/** The template with what each pod gets of its own: its name and its claims. */
function completed({ template, volumeClaimTemplates = [] }: StatefulSetSpec): PodTemplateSpec {
  const claims = new Map(volumeClaimTemplates.map(({ metadata }) => [metadata?.name ?? "", metadata?.name ?? ""]));
  const volumes = [
    ...[...claims.keys()].map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
    ...(template?.spec?.volumes ?? []).filter(({ name }) => !claims.has(name ?? "")),
  ];
  const { hostname: _, subdomain: __, ...spec } = template?.spec ?? { containers: [] };
  return { ...template, spec: { ...spec, volumes } };
}

/** The template and its selector; labels and annotations are told of twice. `lax`: the set had a template that is wrong today. */
function validatePods(spec: StatefulSetSpec, old: PodTemplateSpec | undefined, lax: boolean): Causes {
  const path = "spec.template";
  const template = completed(spec);
  const { causes, usable } = validateSelector(spec.selector, template, "statefulset");
  return [
    ...causes,
    ...(usable && !lax ? validatePodTemplate(template, path, old) : []),
    ...(usable ? validateTemplateLabels(template, path) : []),
    ...validateForever(template, path, "StatefulSet"),
  ];
}

const validate = ({ spec = {} as StatefulSetSpec }: StatefulSet): Causes => [
  ...validateOwn(spec, false),
  ...validatePods(spec, undefined, false),
];

function validateUpdate(next: StatefulSet, old: StatefulSet): Causes {
  const before = old.spec ?? ({} as StatefulSetSpec);
  const spec = next.spec ?? ({} as StatefulSetSpec);
  const lax = [...validateOwn(before, true), ...validatePods(before, before.template, false)].length > 0;
  const causes = [...validateOwn(spec, true), ...validatePods(spec, before.template, lax)];
  const fixed = (s: StatefulSetSpec) => Object.fromEntries(Object.entries(s).filter(([k]) => !MUTABLE.includes(k)));
  const detail =
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
  return same(fixed(spec), fixed(before)) ? causes : [...causes, forbiddenField("spec", detail)];
}

/** Several pods at once are behind a gate that is off. */
function drop({ spec }: StatefulSet, old?: StatefulSet): void {
  if (!old?.spec?.updateStrategy?.rollingUpdate?.maxUnavailable)
    delete spec?.updateStrategy?.rollingUpdate?.maxUnavailable;
  dropDisabled(spec?.template?.spec, old?.spec?.template?.spec);
}

export const statefulSetStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults: (object) => applyDefaults(as<StatefulSet>(object)),
    prepareForCreate(object) {
      const set = as<StatefulSet>(object);
      set.status = { replicas: 0, availableReplicas: 0 };
      drop(set);
    },
    prepareForUpdate: (next, old) => drop(as<StatefulSet>(next), as<StatefulSet>(old)),
    validate: (object) => validate(as<StatefulSet>(object)),
    validateUpdate: (next, old) => validateUpdate(as<StatefulSet>(next), as<StatefulSet>(old)),
    actions: { scale: scaleAction(facts) },
  });
