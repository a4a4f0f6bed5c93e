/** StatefulSets. */
import type { StatefulSet, StatefulSetSpec } from "#sdk/api/generated/types.ts";
import { isDNS1123Label } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as, sorted } from "../../as.ts";
import { each, oneOf } from "../../checks.ts";
import { scaleAction } from "../../scale.ts";
import { defaultTemplate, nonNegative, validateTemplate } from "../workloads.ts";

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

function validateStrategy({ updateStrategy }: StatefulSetSpec): Causes {
  const at = "spec.updateStrategy";
  const { type, rollingUpdate } = updateStrategy ?? {};
  if (type === "OnDelete")
    return rollingUpdate
      ? [invalidValue(`${at}.rollingUpdate`, rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'")]
      : [];
  if (type !== "RollingUpdate") return [invalidValue(at, updateStrategy, "must be 'RollingUpdate' or 'OnDelete'")];
  return nonNegative(rollingUpdate?.partition, `${at}.rollingUpdate.partition`);
}

/** What is a StatefulSet's alone. */
function validateOwn(spec: StatefulSetSpec): Causes {
  const { podManagementPolicy: policy, persistentVolumeClaimRetentionPolicy: kept, serviceName } = spec;
  const known = policy === "OrderedReady" || policy === "Parallel";
  return [
    ...(known ? [] : [invalidValue("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")]),
    ...validateStrategy(spec),
    ...(["whenDeleted", "whenScaled"] as const).flatMap((when) =>
      oneOf(kept?.[when], `spec.persistentVolumeClaimRetentionPolicy.${when}`, ["Delete", "Retain"]),
    ),
    ...nonNegative(spec.ordinals?.start, "spec.ordinals.start"),
    ...(serviceName ? each(isDNS1123Label(serviceName), "spec.serviceName", serviceName) : []),
  ];
}

const validate = ({ spec }: StatefulSet): Causes => [
  ...(spec ? validateOwn(spec) : []),
  ...nonNegative(spec?.replicas, "spec.replicas"),
  ...nonNegative(spec?.minReadySeconds, "spec.minReadySeconds"),
  ...validateTemplate(spec?.template, spec?.selector, ["Always"], "statefulset"),
];

function validateUpdate(next: StatefulSet, old: StatefulSet): Causes {
  const fixed = (s: StatefulSet) =>
    JSON.stringify(sorted(Object.entries(s.spec ?? {}).filter(([k]) => !MUTABLE.includes(k))));
  if (fixed(next) === fixed(old)) return [];
  const detail =
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
  return [forbiddenField("spec", detail)];
}

export const statefulSetStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults: (object) => applyDefaults(as<StatefulSet>(object)),
    prepareForCreate(object) {
      as<StatefulSet>(object).status = { replicas: 0, availableReplicas: 0 };
    },
    validate: (object) => validate(as<StatefulSet>(object)),
    validateUpdate: (next, old) => [
      ...validateUpdate(as<StatefulSet>(next), as<StatefulSet>(old)),
      ...validate(as<StatefulSet>(next)),
    ],
    actions: { scale: scaleAction(facts) },
  });
