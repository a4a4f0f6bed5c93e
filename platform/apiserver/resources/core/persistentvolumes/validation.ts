/** Validation of PersistentVolumes and of the inline form in VolumeAttachments (ValidatePersistentVolumeSpec). */
import { posix } from "node:path";
import type { PersistentVolumeSpec } from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityValue } from "#sdk/api/quantity.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required } from "../../../registry/causes.ts";
import { sorted } from "../../../registry/meta.ts";
import { oneOf, subdomain } from "../../checks.ts";
import { validateNodeSelector } from "../pods/affinity.ts";
import { OF_VOLUMES, validateInitiator } from "../volumes/sources.ts";

const ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const RECLAIM_POLICIES = ["Delete", "Recycle", "Retain"];
export const VOLUME_MODES = ["Block", "Filesystem"];

/** In upstream's order: the first that is there counts, the others are too many. */
const SOURCES = [
  "hostPath",
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "glusterfs",
  "flocker",
  "nfs",
  "rbd",
  "quobyte",
  "cephfs",
  "iscsi",
  "cinder",
  "fc",
  "flexVolume",
  "azureFile",
  "vsphereVolume",
  "photonPersistentDisk",
  "portworxVolume",
  "azureDisk",
  "scaleIO",
  "local",
  "storageos",
  "csi",
] as const satisfies readonly (keyof PersistentVolumeSpec)[];
type Kind = (typeof SOURCES)[number];

export function validateAccessModes(modes: readonly string[] | undefined, field: string, detail = ""): Causes {
  if (!modes?.length) return [required(field, detail)];
  const causes = modes.filter((m) => !ACCESS_MODES.includes(m)).map((m) => notSupported(field, m, ACCESS_MODES));
  const known = modes.filter((m) => ACCESS_MODES.includes(m));
  if (known.includes("ReadWriteOncePod") && known.some((m) => m !== "ReadWriteOncePod"))
    causes.push(forbiddenField(field, "may not use ReadWriteOncePod with other access modes"));
  return causes;
}

function validateSource(spec: PersistentVolumeSpec, kind: Kind, at: string): Causes {
  const check: (source: never, at: string) => Causes = OF_VOLUMES[kind];
  return check(spec[kind] as never, at);
}

/** One source; of a volume that a plugin of the user's own provides, upstream never minded a second. */
function validateSources(spec: PersistentVolumeSpec, at: string, name: string): Causes {
  const present = SOURCES.filter((kind) => spec[kind] !== undefined);
  const causes: Causes = [];
  for (const [i, kind] of present.entries()) {
    const field = `${at}.${kind === "cephfs" && i > 0 ? "cephFS" : kind}`;
    if (i > 0 && kind !== "flexVolume") causes.push(forbiddenField(field, "may not specify more than 1 volume type"));
    else causes.push(...validateSource(spec, kind, field));
    if (i > 0) continue;
    if (kind === "local" && !spec.nodeAffinity)
      causes.push(required(`${at}.nodeAffinity`, "Local volume requires node affinity"));
    if (kind === "iscsi" && spec.iscsi)
      causes.push(...validateInitiator(name, spec.iscsi, `${field}.targetportal`, spec.iscsi.targetPortal ?? ""));
  }
  return present.length === 0 ? [required(at, "must specify a volume type")] : causes;
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
  if (names.length > 1 || !names.includes("storage"))
    causes.push(notSupported(at, sorted(capacity ?? null), ["storage"]));
  for (const [name, amount] of Object.entries(capacity ?? {})) {
    const quantity = parseQuantity(amount);
    const field = `${at}[${name}]`;
    if (quantity.nano < 0n)
      causes.push(invalidValue(field, quantityValue(quantity), "must be a valid resource quantity"));
    if (quantity.nano <= 0n) causes.push(invalidValue(field, String(amount), "must be greater than zero"));
  }
  return causes;
}

interface VolumeRules {
  /** Part of another object, which says what the volume does not. */
  inline: boolean;
  /** The volume's; an inline one has none. */
  name?: string;
  /** Values that are no labels' have been in its affinity before. */
  anyAffinityValues?: boolean;
}

export function validateVolumeSpec(spec: PersistentVolumeSpec, at: string, rules: VolumeRules): Causes {
  const { inline, name = "", anyAffinityValues = false } = rules;
  const causes = inline ? validateInline(spec, at) : [];
  causes.push(...validateAccessModes(spec.accessModes, `${at}.accessModes`));
  if (!inline) causes.push(...validateCapacity(spec.capacity, `${at}.capacity`));
  const policy = spec.persistentVolumeReclaimPolicy;
  const policyField = `${at}.persistentVolumeReclaimPolicy`;
  if (!inline && policy) causes.push(...oneOf(policy, policyField, RECLAIM_POLICIES));
  if (inline && policy && policy !== "Retain")
    causes.push(forbiddenField(policyField, "may only be Retain in the context of inline volumes"));
  if (spec.nodeAffinity && inline)
    causes.push(forbiddenField(`${at}.nodeAffinity`, "may not be specified in the context of inline volumes"));
  else if (spec.nodeAffinity) {
    if (spec.nodeAffinity.required)
      causes.push(
        ...validateNodeSelector(spec.nodeAffinity.required, `${at}.nodeAffinity.required`, anyAffinityValues),
      );
    else causes.push(required(`${at}.nodeAffinity.required`, "must specify required node constraints"));
  }
  causes.push(...validateSources(spec, at, name));
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
  Object.fromEntries(Object.entries(spec ?? {}).filter(([field]) => (SOURCES as readonly string[]).includes(field)));
