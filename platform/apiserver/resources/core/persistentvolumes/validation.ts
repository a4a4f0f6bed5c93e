/** Validation of PersistentVolumes and of the inline form in VolumeAttachments (ValidatePersistentVolumeSpec). */
import { posix } from "node:path";
import type { PersistentVolumeSpec, SecretReference } from "#sdk/api/generated/types.ts";
import { isDNS1123Label } from "#sdk/api/names.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required } from "../../../registry/causes.ts";
import { each, nonNegative, oneOf, subdomain } from "../../checks.ts";
import { validateDriverName } from "../../storage/csi.ts";
import { validateNodeSelector } from "../pods/affinity.ts";

const ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const RECLAIM_POLICIES = ["Delete", "Recycle", "Retain"];
export const VOLUME_MODES = ["Block", "Filesystem"];

/** In upstream's order, with the fields that each must name. The first that is there counts, the others are too many. */
const SOURCES = {
  hostPath: ["path"],
  gcePersistentDisk: ["pdName"],
  awsElasticBlockStore: ["volumeID"],
  glusterfs: ["endpoints", "path"],
  flocker: ["datasetName"],
  nfs: ["server", "path"],
  rbd: ["monitors", "image"],
  quobyte: ["registry", "volume"],
  cephfs: ["monitors"],
  iscsi: ["targetPortal", "iqn"],
  cinder: ["volumeID"],
  fc: [],
  flexVolume: ["driver"],
  azureFile: ["secretName", "shareName"],
  vsphereVolume: ["volumePath"],
  photonPersistentDisk: ["pdID"],
  portworxVolume: ["volumeID"],
  azureDisk: ["diskName", "diskURI"],
  scaleIO: ["gateway", "system", "volumeName"],
  local: ["path"],
  storageos: ["volumeName"],
  csi: [],
} as const;

const SECRETS = [
  "controllerPublishSecretRef",
  "controllerExpandSecretRef",
  "nodePublishSecretRef",
  "nodeExpandSecretRef",
] as const;

export function validateAccessModes(modes: readonly string[] | undefined, field: string, detail = ""): Causes {
  if (!modes?.length) return [required(field, detail)];
  const causes = modes.filter((m) => !ACCESS_MODES.includes(m)).map((m) => notSupported(field, m, ACCESS_MODES));
  const known = modes.filter((m) => ACCESS_MODES.includes(m));
  if (known.includes("ReadWriteOncePod") && known.some((m) => m !== "ReadWriteOncePod"))
    causes.push(forbiddenField(field, "may not use ReadWriteOncePod with other access modes"));
  return causes;
}

function validateSecret(secret: SecretReference | undefined, field: string): Causes {
  if (!secret) return [];
  return [
    ...(secret.name ? subdomain(secret.name, `${field}.name`) : [required(`${field}.name`)]),
    ...(secret.namespace
      ? each(isDNS1123Label(secret.namespace), `${field}.namespace`, secret.namespace)
      : [required(`${field}.namespace`)]),
  ];
}

/** What a hostPath may be asked to be. */
export const HOST_PATH_TYPES = [
  "",
  "BlockDevice",
  "CharDevice",
  "Directory",
  "DirectoryOrCreate",
  "File",
  "FileOrCreate",
  "Socket",
];

const climbs = (path: string): boolean => path.split("/").includes("..");

function validateSource(spec: PersistentVolumeSpec, kind: keyof typeof SOURCES, at: string): Causes {
  const source = spec[kind] as unknown as Record<string, unknown>;
  const absent = SOURCES[kind].filter((f) => !source[f] || (Array.isArray(source[f]) && source[f].length === 0));
  const causes: Causes = absent.map((f) => required(`${at}.${f}`));
  if (kind === "hostPath" && typeof source["path"] === "string" && climbs(source["path"]))
    causes.push(invalidValue(`${at}.path`, source["path"], "must not contain '..'"));
  if (kind === "hostPath" && source["path"])
    causes.push(...oneOf(source["type"] as string | undefined, `${at}.type`, HOST_PATH_TYPES));
  if (kind === "nfs" && typeof source["path"] === "string" && source["path"] && !source["path"].startsWith("/"))
    causes.push(invalidValue(`${at}.path`, source["path"], "must be an absolute path"));
  if (kind === "local" && !spec.nodeAffinity)
    causes.push(required(at.replace(/local$/, "nodeAffinity"), "Local volume requires node affinity"));
  if (kind === "local" && typeof source["path"] === "string" && climbs(source["path"]))
    causes.push(invalidValue(`${at}.path`, source["path"], "must not contain '..'"));
  if (kind === "iscsi") causes.push(...nonNegative(spec.iscsi?.lun, `${at}.lun`));
  if (kind === "csi") {
    causes.push(...validateDriverName(spec.csi?.driver, `${at}.driver`));
    if (!spec.csi?.volumeHandle) causes.push(required(`${at}.volumeHandle`));
    for (const secret of SECRETS) causes.push(...validateSecret(spec.csi?.[secret], `${at}.${secret}`));
  }
  return causes;
}

function validateInline(spec: PersistentVolumeSpec, at: string): Causes {
  const detail = "may not be specified in the context of inline volumes";
  const causes: Causes = [];
  if (spec.claimRef) causes.push(forbiddenField(`${at}.claimRef`, detail));
  if (Object.keys(spec.capacity ?? {}).length > 0) causes.push(forbiddenField(`${at}.capacity`, detail));
  if (!spec.csi) causes.push(required(`${at}.csi`, "has to be specified in the context of inline volumes"));
  return causes;
}

function validateCapacity(capacity: PersistentVolumeSpec["capacity"], at: string): Causes {
  const names = Object.keys(capacity ?? {});
  const causes: Causes = names.length === 0 ? [required(at)] : [];
  if (names.length > 1 || !names.includes("storage")) causes.push(notSupported(at, capacity ?? null, ["storage"]));
  for (const [name, amount] of Object.entries(capacity ?? {}))
    if (parseQuantity(amount).nano <= 0n)
      causes.push(invalidValue(`${at}[${name}]`, String(amount), "must be greater than zero"));
  return causes;
}

export function validateVolumeSpec(spec: PersistentVolumeSpec, at: string, inline: boolean): Causes {
  const causes = inline ? validateInline(spec, at) : [];
  causes.push(...validateAccessModes(spec.accessModes, `${at}.accessModes`));
  if (!inline) causes.push(...validateCapacity(spec.capacity, `${at}.capacity`));
  const policy = spec.persistentVolumeReclaimPolicy;
  const policyField = `${at}.persistentVolumeReclaimPolicy`;
  if (!inline && policy) causes.push(...oneOf(policy, policyField, RECLAIM_POLICIES));
  if (inline && policy && policy !== "Retain")
    causes.push(forbiddenField(policyField, "may only be Retain in the context of inline volumes"));
  if (spec.nodeAffinity) {
    if (spec.nodeAffinity.required)
      causes.push(...validateNodeSelector(spec.nodeAffinity.required, `${at}.nodeAffinity.required`));
    else causes.push(required(`${at}.nodeAffinity.required`, "must specify required node constraints"));
  }
  const present = (Object.keys(SOURCES) as (keyof typeof SOURCES)[]).filter((kind) => spec[kind] !== undefined);
  for (const [i, kind] of present.entries()) {
    const field = `${at}.${kind}`;
    if (i === 0) causes.push(...validateSource(spec, kind, field));
    else causes.push(forbiddenField(field, "may not specify more than 1 volume type"));
  }
  if (present.length === 0) causes.push(required(at, "must specify a volume type"));
  if (spec.hostPath && policy === "Recycle" && posix.normalize(spec.hostPath.path || ".") === "/")
    causes.push(forbiddenField(policyField, "may not be 'recycle' for a hostPath mount of '/'"));
  if (spec.storageClassName)
    causes.push(
      ...(inline
        ? [forbiddenField(`${at}.storageClassName`, "may not be specified in the context of inline volumes")]
        : subdomain(spec.storageClassName, `${at}.storageClassName`)),
    );
  if (!inline) causes.push(...oneOf(spec.volumeMode, `${at}.volumeMode`, VOLUME_MODES));
  else if (spec.volumeMode !== undefined && spec.volumeMode !== "Filesystem")
    causes.push(
      forbiddenField(
        `${at}.volumeMode`,
        "may not specify volumeMode other than Filesystem in the context of inline volumes",
      ),
    );
  const attributes = spec.volumeAttributesClassName;
  if (attributes !== undefined) {
    const field = `${at}.volumeAttributesClassName`;
    causes.push(...(attributes ? subdomain(attributes, field) : [required(field, "an empty string is disallowed")]));
    if (!spec.csi) causes.push(required(`${at}.csi`, "has to be specified when using volumeAttributesClassName"));
  }
  return causes;
}

/** The part of a volume that says where its bytes are. */
export const sourceOf = (spec: PersistentVolumeSpec | undefined): Record<string, unknown> =>
  Object.fromEntries(Object.entries(spec ?? {}).filter(([field]) => field in SOURCES));
