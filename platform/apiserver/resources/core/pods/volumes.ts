/** Validation of a pod's volumes (ValidateVolumes). */
import type { Volume } from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isDNS1123Subdomain } from "#sdk/api/names.ts";
import { type Causes, duplicate, forbiddenField, invalidValue, required } from "../../../registry/causes.ts";
import { each } from "../../checks.ts";
import { validateClaimTemplate } from "../persistentvolumeclaims/validation.ts";
import { validateDownward, validateProjected } from "../volumes/projected.ts";
import { OF_PODS, validateInitiator } from "../volumes/sources.ts";
import { validatePullPolicy } from "./containers.ts";
import type { PodVolumes } from "./mounts.ts";

/** In upstream's order: the first that is there counts, the others are too many. */
const ORDER = [
  "emptyDir",
  "hostPath",
  "gitRepo",
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "secret",
  "nfs",
  "iscsi",
  "glusterfs",
  "flocker",
  "persistentVolumeClaim",
  "rbd",
  "cinder",
  "cephfs",
  "quobyte",
  "downwardAPI",
  "fc",
  "flexVolume",
  "configMap",
  "azureFile",
  "vsphereVolume",
  "photonPersistentDisk",
  "portworxVolume",
  "azureDisk",
  "storageos",
  "projected",
  "scaleIO",
  "csi",
  "ephemeral",
  "image",
] as const satisfies readonly (keyof Volume)[];
type Kind = (typeof ORDER)[number];

/** Names that upstream gives a superfluous source other than its field's. */
const NAMES: Partial<Record<Kind, string>> = { cephfs: "cephFS", downwardAPI: "downwarAPI" };

/** What is known of the pod: nothing in a template. */
export interface PodIdentity {
  pod: boolean;
  name: string;
}

function validateEphemeral(
  { volumeClaimTemplate: template }: NonNullable<Volume["ephemeral"]>,
  at: string,
  volume: string,
  { name }: PodIdentity,
): Causes {
  const field = `${at}.ephemeral.volumeClaimTemplate`;
  const causes = template ? validateClaimTemplate(template, field) : [required(field)];
  if (!name || !volume) return causes;
  const claim = `${name}-${volume}`;
  const wrong = isDNS1123Subdomain(claim).map((m) => `PVC name ${JSON.stringify(claim)}: ${m}`);
  return [...causes, ...each(wrong, `${at}.name`, volume)];
}

function validateImage({ reference, pullPolicy }: NonNullable<Volume["image"]>, at: string, pod: boolean): Causes {
  // A template's image may be filled in later.
  return [
    ...(pod && !reference ? [required(`${at}.reference`)] : []),
    ...validatePullPolicy(pullPolicy, `${at}.pullPolicy`),
  ];
}

function validateKind(volume: Volume, kind: Kind, at: string, identity: PodIdentity): Causes {
  const field = `${at}.${kind}`;
  if (kind === "ephemeral") return validateEphemeral(volume.ephemeral ?? {}, at, volume.name ?? "", identity);
  if (kind === "image") return validateImage(volume.image ?? {}, field, identity.pod);
  if (kind === "projected") return validateProjected(volume.projected ?? {}, field);
  if (kind === "downwardAPI") return validateDownward(volume.downwardAPI ?? {}, field);
  const check: (source: never, at: string) => Causes = OF_PODS[kind];
  return check(volume[kind] as never, field);
}

function validateSource(volume: Volume, at: string, identity: PodIdentity): Causes {
  const [first, ...others] = ORDER.filter((kind) => volume[kind] !== undefined);
  if (!first) return [required(at, "must specify a volume type")];
  const { name = "", iscsi } = volume;
  return [
    ...validateKind(volume, first, at, identity),
    ...others.map((kind) => forbiddenField(`${at}.${NAMES[kind] ?? kind}`, "may not specify more than 1 volume type")),
    ...(iscsi ? validateInitiator(name, iscsi, `${at}.name`, name) : []),
  ];
}

/** What is wrong, and the volumes that are not: only those can be mounted. */
export function validateVolumes(
  volumes: readonly Volume[],
  path: string,
  identity: PodIdentity,
): { causes: Causes; volumes: PodVolumes } {
  const causes: Causes = [];
  const right = new Map<string, Volume>();
  const created = new Set(volumes.filter((v) => v.ephemeral).map((v) => `${identity.name}-${v.name ?? ""}`));
  for (const [i, volume] of volumes.entries()) {
    const at = `${path}[${i}]`;
    const { name = "", persistentVolumeClaim: claim } = volume;
    const own = validateSource(volume, at, identity);
    own.push(...(name ? each(isDNS1123Label(name), `${at}.name`, name) : [required(`${at}.name`)]));
    if (right.has(name)) own.push(duplicate(`${at}.name`, name));
    if (own.length === 0) right.set(name, volume);
    causes.push(...own);
    if (claim && identity.name && created.has(claim.claimName ?? ""))
      causes.push(
        invalidValue(
          `${at}.persistentVolumeClaim.claimName`,
          claim.claimName ?? "",
          "must not reference a PVC that gets created for an ephemeral volume",
        ),
      );
  }
  return { causes, volumes: right };
}
