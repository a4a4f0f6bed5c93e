/** What of the API a pod leans on: a pod that comes from a node's own files may lean on nothing (upstream: pkg/api/pod HasAPIObjectReference). */
import type { Container, PodSpec, Volume } from "#sdk/api/generated/types.ts";

type VolumeType = Exclude<keyof Volume, "name">;

/** Sources that need nothing of the API. */
const OPEN: readonly VolumeType[] = [
  "awsElasticBlockStore",
  "azureDisk",
  "cephfs",
  "cinder",
  "downwardAPI",
  "emptyDir",
  "fc",
  "flexVolume",
  "flocker",
  "gcePersistentDisk",
  "gitRepo",
  "hostPath",
  "image",
  "iscsi",
  "nfs",
  "photonPersistentDisk",
  "portworxVolume",
  "quobyte",
  "rbd",
  "scaleIO",
  "storageos",
  "vsphereVolume",
];
const BY_VOLUME: readonly [type: VolumeType, what: string][] = [
  ["configMap", "configmaps (via configmap volumes)"],
  ["secret", "secrets (via secret volumes)"],
  ["csi", "csidrivers (via CSI volumes)"],
  ["glusterfs", "endpoints (via glusterFS volumes)"],
  ["persistentVolumeClaim", "persistentvolumeclaims"],
  ["ephemeral", "persistentvolumeclaims (via ephemeral volumes)"],
  ["azureFile", "secrets (via azureFile volumes)"],
];
const BY_PROJECTION = [
  ["configMap", "configmaps (via projected volumes)"],
  ["secret", "secrets (via projected volumes)"],
  ["serviceAccountToken", "serviceaccounts (via projected volumes)"],
  ["clusterTrustBundle", "clustertrustbundles"],
  ["podCertificate", "podcertificates"],
] as const;

const uses = (containers: readonly Container[], kind: "secret" | "configMap"): boolean =>
  containers.some(
    ({ env = [], envFrom = [] }) =>
      env.some(({ valueFrom }) => valueFrom?.[`${kind}KeyRef`] !== undefined) ||
      envFrom.some((from) => from[`${kind}Ref`] !== undefined),
  );

/** References inside volume sources count as secrets, whatever the volume. */
const hasSecretRef = ({ cephfs, cinder, flexVolume, rbd, scaleIO, iscsi, storageos, csi }: Volume): boolean =>
  [cephfs, cinder, flexVolume, rbd, scaleIO, iscsi, storageos].some((source) => source?.secretRef !== undefined) ||
  csi?.nodePublishSecretRef !== undefined;

function volumeReference(volume: Volume): string | undefined {
  if (OPEN.some((type) => volume[type] !== undefined)) return undefined;
  const found = BY_VOLUME.find(([type]) => volume[type] !== undefined);
  if (found) return found[1];
  for (const source of volume.projected?.sources ?? []) {
    const what = BY_PROJECTION.find(([type]) => source[type] !== undefined)?.[1];
    if (what !== undefined) return what;
  }
  return undefined;
}

/** The first kind of thing that the pod needs from the API. */
export function apiReference(spec: PodSpec): string | undefined {
  if (spec.serviceAccountName) return "serviceaccounts";
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const volumes = spec.volumes ?? [];
  const direct = (kind: "secret" | "configMap") =>
    uses(containers, kind) ||
    volumes.some((v) => v[kind] !== undefined || v.projected?.sources?.some((source) => source[kind] !== undefined));
  if (spec.imagePullSecrets?.length || direct("secret") || volumes.some((v) => hasSecretRef(v) || v.azureFile))
    return "secrets";
  if (direct("configMap")) return "configmaps";
  if (spec.resourceClaims?.length) return "resourceclaims";
  return volumes.map(volumeReference).find((what) => what !== undefined);
}
