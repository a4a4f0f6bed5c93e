/** PersistentVolumes. */
import { timeText } from "#platform/base/clock.ts";
import type { PersistentVolume, PersistentVolumeSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue } from "../../../registry/causes.ts";
import { genericStrategy, statusView } from "../../../registry/generic.ts";
import { type GoField, goValue } from "../../../registry/go-names.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { immutable, same } from "../../checks.ts";
import { hasInvalidValue } from "../pods/affinity.ts";
import { defaultVolume } from "../pods/defaults.ts";
import { sourceOf, validateVolumeSpec } from "./validation.ts";

const validate = (volume: PersistentVolume, anyAffinityValues = false): Causes =>
  validateVolumeSpec(volume.spec ?? {}, "spec", {
    inline: false,
    name: volume.metadata?.name ?? "",
    anyAffinityValues,
  });

/** Labels of nodes that have got another name, which an affinity may follow. */
const RENAMED: Readonly<Record<string, string>> = {
  "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
  "beta.kubernetes.io/os": "kubernetes.io/os",
  "beta.kubernetes.io/arch": "kubernetes.io/arch",
  "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
};

type Affinity = PersistentVolumeSpec["nodeAffinity"];

const REQUIREMENT: readonly GoField[] = [
  { go: "Key", json: "key", zero: "" },
  { go: "Operator", json: "operator", zero: "" },
  { go: "Values", json: "values" },
];
const AFFINITY: readonly GoField[] = [
  {
    go: "Required",
    json: "required",
    of: [
      {
        go: "NodeSelectorTerms",
        json: "nodeSelectorTerms",
        of: [
          { go: "MatchExpressions", json: "matchExpressions", of: REQUIREMENT },
          { go: "MatchFields", json: "matchFields", of: REQUIREMENT },
        ],
      },
    ],
  },
];

/** The old affinity with the names that the new one has taken up. */
function renamed(old: Affinity, next: Affinity): Affinity {
  const copy = structuredClone(old);
  for (const [i, term] of (copy?.required?.nodeSelectorTerms ?? []).entries())
    for (const list of ["matchExpressions", "matchFields"] as const)
      for (const [j, requirement] of (term[list] ?? []).entries()) {
        const key = next?.required?.nodeSelectorTerms?.[i]?.[list]?.[j]?.key;
        if (key !== undefined && RENAMED[requirement.key] === key) requirement.key = key;
      }
  return copy;
}

function validateAffinityUpdate(next: Affinity, old: Affinity): Causes {
  if (!old || same(next, renamed(old, next))) return [];
  const detail = "field is immutable, except for updating from beta label to GA";
  return [invalidValue("nodeAffinity", goValue(next, AFFINITY), detail)];
}

function validateUpdate(next: PersistentVolume, old: PersistentVolume): Causes {
  // Upstream's strategy and its update check both look at the whole object, and both tell.
  const values = (old.spec?.nodeAffinity?.required?.nodeSelectorTerms ?? []).some(hasInvalidValue);
  const causes = [...validate(next, values), ...validate(next, values)];
  const source = structuredClone(sourceOf(next.spec)) as PersistentVolumeSpec;
  // The secret for expansion may be added to a volume that has none.
  if (source.csi && old.spec?.csi && !old.spec.csi.controllerExpandSecretRef)
    delete source.csi.controllerExpandSecretRef;
  if (!same(source, sourceOf(old.spec)))
    causes.push(
      forbiddenField("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"),
    );
  causes.push(...immutable("volumeMode", next.spec?.volumeMode, old.spec?.volumeMode));
  causes.push(...validateAffinityUpdate(next.spec?.nodeAffinity, old.spec?.nodeAffinity));
  if (old.spec?.volumeAttributesClassName !== undefined && next.spec?.volumeAttributesClassName === undefined)
    causes.push(forbiddenField("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"));
  return causes;
}

export const persistentVolumeStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    returnsDeletedObject: true,
    applyDefaults(object) {
      const volume = as<PersistentVolume>(object);
      volume.spec ??= {};
      volume.spec.persistentVolumeReclaimPolicy ||= "Retain";
      volume.spec.volumeMode ??= "Filesystem";
      defaultVolume({ name: "", ...volume.spec } as unknown as Parameters<typeof defaultVolume>[0]);
      volume.status ??= {};
      volume.status.phase ||= "Pending";
    },
    prepareForCreate(object, context) {
      as<PersistentVolume>(object).status = { phase: "Pending", lastPhaseTransitionTime: timeText(context.now) };
    },
    validate: (object) => validate(as<PersistentVolume>(object)),
    validateUpdate: (next, old) => validateUpdate(as<PersistentVolume>(next), as<PersistentVolume>(old)),
    views: {
      status: {
        ...statusView,
        prepareForUpdate(next, old, context) {
          statusView.prepareForUpdate(next, old, context);
          const [after, before] = [as<PersistentVolume>(next).status, as<PersistentVolume>(old).status];
          if (!after) return;
          if (after.phase === before?.phase) after.lastPhaseTransitionTime ??= before?.lastPhaseTransitionTime;
          else if (after.lastPhaseTransitionTime === before?.lastPhaseTransitionTime)
            after.lastPhaseTransitionTime = timeText(context.now);
        },
      },
    },
  });
