/** VolumeRestrictions as kube-scheduler has it. */
import type { Volume } from "#sdk/api/generated/types.ts";
import { outcome } from "#sdk/plugin/scheduling.ts";
import type { Outcome } from "#sdk/plugin/types.ts";

const DISK_IN_USE = outcome(["node(s) had no available disk"], false);
const CLAIM_IN_USE = outcome(
  ["node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"],
  false,
);

export interface VolumePod {
  tenant: string;
  metadata: { namespace?: string };
  spec?: { volumes?: Volume[] };
  claims?: { name: string; exclusive?: boolean }[];
}

const bothReadOnly = (a: { readOnly?: boolean }, b: { readOnly?: boolean }): boolean => !!a.readOnly && !!b.readOnly;
const shared = <T>(a: readonly T[], b: readonly T[]): boolean => a.some((item) => b.includes(item));

function clash(a: Volume, b: Volume): boolean {
  const [gce, otherGce] = [a.gcePersistentDisk, b.gcePersistentDisk];
  if (gce && otherGce) return gce.pdName === otherGce.pdName && !bothReadOnly(gce, otherGce);
  const [ebs, otherEbs] = [a.awsElasticBlockStore, b.awsElasticBlockStore];
  if (ebs && otherEbs) return ebs.volumeID === otherEbs.volumeID;
  const [iscsi, otherIscsi] = [a.iscsi, b.iscsi];
  if (iscsi && otherIscsi) return iscsi.iqn === otherIscsi.iqn && !bothReadOnly(iscsi, otherIscsi);
  const [rbd, otherRbd] = [a.rbd, b.rbd];
  if (!rbd || !otherRbd) return false;
  const same = (rbd.pool ?? "rbd") === (otherRbd.pool ?? "rbd") && rbd.image === otherRbd.image;
  return same && shared(rbd.monitors, otherRbd.monitors) && !bothReadOnly(rbd, otherRbd);
}

/** Undefined where the pod may go. */
export function judge(pod: VolumePod, present: readonly VolumePod[]): Outcome | undefined {
  const volumes = pod.spec?.volumes ?? [];
  if (
    present.some(({ spec }) => (spec?.volumes ?? []).some((other) => volumes.some((volume) => clash(volume, other))))
  ) {
    return DISK_IN_USE;
  }
  const exclusive = (pod.claims ?? []).filter((claim) => claim.exclusive).map(({ name }) => name);
  const near = ({ tenant, metadata }: VolumePod) =>
    tenant === pod.tenant && metadata.namespace === pod.metadata.namespace;
  const uses = ({ spec }: VolumePod) =>
    (spec?.volumes ?? []).some(({ persistentVolumeClaim: claim }) => claim && exclusive.includes(claim.claimName));
  return exclusive.length > 0 && present.some((other) => near(other) && uses(other)) ? CLAIM_IN_USE : undefined;
}
