/** PersistentVolumeClaims, and the same rules for the claims in templates. */
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { validateClaimSpec, validateClaimUpdate } from "./validation.ts";

/** Absent in a stored object, the group is null. */
const isOldSource = ({ apiGroup, kind }: { apiGroup?: string | null; kind?: string }): boolean =>
  (!apiGroup && kind === "PersistentVolumeClaim") ||
  (apiGroup === "snapshot.storage.k8s.io" && kind === "VolumeSnapshot");

/** Each of the two names of a claim's source is told from the other; the older one names claims and snapshots only (KEP-1495). */
function normalizeSources(spec: PersistentVolumeClaimSpec | undefined, old?: PersistentVolumeClaimSpec): void {
  if (!spec) return;
  // References to other namespaces are behind a gate that is off.
  if (spec.dataSourceRef?.namespace && !old?.dataSourceRef) delete spec.dataSourceRef;
  const had = old?.dataSource || old?.dataSourceRef;
  if (!had && !spec.dataSourceRef && spec.dataSource && !isOldSource(spec.dataSource)) delete spec.dataSource;
  if (spec.dataSource && !spec.dataSourceRef) spec.dataSourceRef = structuredClone(spec.dataSource);
  else if (spec.dataSourceRef && !spec.dataSource && !spec.dataSourceRef.namespace)
    spec.dataSource = structuredClone(spec.dataSourceRef);
}

export function defaultClaim(claim: { spec?: PersistentVolumeClaimSpec; status?: { phase?: string } }): void {
  claim.spec ??= {};
  claim.spec.volumeMode ??= "Filesystem";
  claim.status ??= {};
  claim.status.phase ||= "Pending";
}

export const persistentVolumeClaimStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    returnsDeletedObject: true,
    applyDefaults: (object) => defaultClaim(as<PersistentVolumeClaim>(object)),
    prepareForCreate: (object) => normalizeSources(as<PersistentVolumeClaim>(object).spec),
    prepareForUpdate: (next, old) =>
      normalizeSources(as<PersistentVolumeClaim>(next).spec, as<PersistentVolumeClaim>(old).spec),
    validate: (object) => validateClaimSpec(as<PersistentVolumeClaim>(object).spec ?? {}, "spec"),
    validateUpdate: (next, old) => validateClaimUpdate(as<PersistentVolumeClaim>(next), as<PersistentVolumeClaim>(old)),
  });
