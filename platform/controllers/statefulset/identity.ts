/** A StatefulSet's pods and claims by their ordinals: pure (upstream: pkg/controller/statefulset/stateful_set_utils.go). */
import type {
  ControllerRevision,
  PersistentVolumeClaim,
  Pod,
  PodTemplateSpec,
  StatefulSet,
} from "#sdk/api/generated/types.ts";
import type { OwnerReference } from "#sdk/api/object.ts";
import { podFrom } from "../pods.ts";

export const REVISION_LABEL = "controller-revision-hash";
const POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name";
const POD_INDEX_LABEL = "apps.kubernetes.io/pod-index";

export const startOf = (set: StatefulSet): number => set.spec?.ordinals?.start ?? 0;
export const replicasOf = (set: StatefulSet): number => set.spec?.replicas ?? 1;
export const revisionOf = (pod: Pod): string | undefined => pod.metadata.labels?.[REVISION_LABEL];

/** -1 for a pod that is none of the set's by name. */
export function ordinalOf(set: StatefulSet, pod: Pod): number {
  const match = /^(.*)-(\d+)$/.exec(pod.metadata.name ?? "");
  return match?.[1] === set.metadata.name ? Number(match?.[2]) : -1;
}

export const claimName = (set: StatefulSet, template: PersistentVolumeClaim, ordinal: number): string =>
  `${template.metadata.name}-${set.metadata.name}-${ordinal}`;

/** The pod of an ordinal with its stable name, host name and volumes. */
export function podOf(set: StatefulSet, template: PodTemplateSpec, revision: ControllerRevision, ordinal: number): Pod {
  const name = `${set.metadata.name}-${ordinal}`;
  const pod = podFrom(template, set, { name });
  pod.metadata.labels = {
    ...pod.metadata.labels,
    [POD_NAME_LABEL]: name,
    [POD_INDEX_LABEL]: String(ordinal),
    [REVISION_LABEL]: revision.metadata.name ?? "",
  };
  const claims = set.spec?.volumeClaimTemplates ?? [];
  const own = new Set(claims.map((claim) => claim.metadata.name));
  const volumes = [
    ...claims.map((claim) => ({
      name: claim.metadata.name ?? "",
      persistentVolumeClaim: { claimName: claimName(set, claim, ordinal) },
    })),
    ...(pod.spec?.volumes ?? []).filter((volume) => !own.has(volume.name)),
  ];
  pod.spec = {
    ...(pod.spec ?? { containers: [] }),
    hostname: name,
    ...(set.spec?.serviceName ? { subdomain: set.spec.serviceName } : {}),
    ...(volumes.length > 0 ? { volumes } : {}),
  };
  return pod;
}

export function claimOf(set: StatefulSet, template: PersistentVolumeClaim, ordinal: number): PersistentVolumeClaim {
  return {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: {
      name: claimName(set, template, ordinal),
      namespace: set.metadata.namespace,
      labels: { ...template.metadata.labels, ...set.spec?.selector?.matchLabels },
      ...(template.metadata.annotations ? { annotations: template.metadata.annotations } : {}),
    },
    spec: template.spec,
  };
}

/**
 * Who owns a claim by the retention policy: the set where claims go with it, the pod where they go when the set shrinks
 * (and the pod is one that goes). Owners of other kinds stay.
 */
export function claimOwners(
  set: StatefulSet,
  present: readonly OwnerReference[],
  pod: Pod | undefined,
  condemned: boolean,
): OwnerReference[] {
  const { whenDeleted = "Retain", whenScaled = "Retain" } = set.spec?.persistentVolumeClaimRetentionPolicy ?? {};
  const others = present.filter(
    (owner) => owner.uid !== set.metadata.uid && !(owner.kind === "Pod" && owner.apiVersion === "v1"),
  );
  const reference = (owner: { apiVersion: string; kind: string; name?: string; uid?: string }): OwnerReference => ({
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.name ?? "",
    uid: owner.uid ?? "",
  });
  if (whenScaled === "Delete" && condemned && pod) {
    return [...others, reference({ apiVersion: "v1", kind: "Pod", name: pod.metadata.name, uid: pod.metadata.uid })];
  }
  if (whenDeleted === "Delete") {
    const { name, uid } = set.metadata;
    return [...others, reference({ apiVersion: "apps/v1", kind: "StatefulSet", name, uid })];
  }
  return others;
}
