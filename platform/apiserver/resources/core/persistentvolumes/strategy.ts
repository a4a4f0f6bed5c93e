/** PersistentVolumes. */
import { timeText } from "#platform/base/clock.ts";
import type { PersistentVolume, PersistentVolumeSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField } from "../../../registry/causes.ts";
import { genericStrategy, statusView } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { immutable, same } from "../../checks.ts";
import { defaultVolume } from "../pods/defaults.ts";
import { sourceOf, validateVolumeSpec } from "./validation.ts";

const validate = (volume: PersistentVolume): Causes => validateVolumeSpec(volume.spec ?? {}, "spec", false);

function validateUpdate(next: PersistentVolume, old: PersistentVolume): Causes {
  // Upstream's strategy and its update check both look at the whole object, and both tell.
  const causes = [...validate(next), ...validate(next)];
  const source = structuredClone(sourceOf(next.spec)) as PersistentVolumeSpec;
  // The secret for expansion may be added to a volume that has none.
  if (source.csi && old.spec?.csi && !old.spec.csi.controllerExpandSecretRef)
    delete source.csi.controllerExpandSecretRef;
  if (!same(source, sourceOf(old.spec)))
    causes.push(
      forbiddenField("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"),
    );
  causes.push(...immutable("volumeMode", next.spec?.volumeMode, old.spec?.volumeMode));
  if (old.spec?.nodeAffinity) causes.push(...immutable("nodeAffinity", next.spec?.nodeAffinity, old.spec.nodeAffinity));
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
