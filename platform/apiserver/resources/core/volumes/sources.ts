/** Validation of where a volume's bytes come from, for the kinds of sources that pods and PersistentVolumes share (pkg/apis/core/validation). */
import type { KeyToPath, PersistentVolumeSpec, SecretReference, Volume } from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isDNS1123Subdomain, isInRange } from "#sdk/api/names.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required } from "../../../registry/causes.ts";
import { each, oneOf } from "../../checks.ts";
import { validateDriverName } from "../../storage/csi.ts";
import { fileMode, noBacksteps, notReserved } from "./paths.ts";

/** What a hostPath may be asked to be. */
const HOST_PATH_TYPES = [
  "",
  "BlockDevice",
  "CharDevice",
  "Directory",
  "DirectoryOrCreate",
  "File",
  "FileOrCreate",
  "Socket",
];
const PARTITION_MAX = 255;
const LUN_MAX = 255;
const ISCSI_NAME_MAX = 64;
const QUOBYTE_TENANT_MAX = 64;
const AZURE = {
  caching: ["None", "ReadOnly", "ReadWrite"],
  kinds: ["Dedicated", "Managed", "Shared"],
  managed: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
  blob: "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
};

/** Each of these fields must be there. */
const must = (source: object, at: string, fields: readonly string[]): Causes =>
  fields.flatMap((field) => {
    const value = (source as Record<string, unknown>)[field];
    return value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)
      ? [required(`${at}.${field}`)]
      : [];
  });

const requires =
  (...fields: string[]) =>
  (source: object, at: string): Causes =>
    must(source, at, fields);

const validatePartition = (partition: number | undefined, field: string): Causes =>
  partition !== undefined && (partition < 0 || partition > PARTITION_MAX)
    ? [invalidValue(field, partition, `must be between 1 and ${PARTITION_MAX}, inclusive`)]
    : [];

/** A disk of a cloud, by its name or id. */
const disk = (field: string) => (source: { partition?: number }, at: string) => [
  ...must(source, at, [field]),
  ...validatePartition(source.partition, `${at}.partition`),
];

export const validateItems = (items: readonly KeyToPath[] | undefined, path: string): Causes =>
  (items ?? []).flatMap((item, i) => {
    const at = `${path}[${i}]`;
    return [
      ...must(item, at, ["key", "path"]),
      ...notReserved(item.path ?? "", `${at}.path`),
      ...fileMode(item.mode, `${at}.mode`),
    ];
  });

type Source<K extends keyof Volume> = NonNullable<Volume[K]>;
type PersistentSource<K extends keyof PersistentVolumeSpec> = NonNullable<PersistentVolumeSpec[K]>;

function validateHostPath({ path, type }: Source<"hostPath">, at: string): Causes {
  if (!path) return [required(`${at}.path`)];
  return [...noBacksteps(path, `${at}.path`), ...oneOf(type, `${at}.type`, HOST_PATH_TYPES)];
}

function validateNFS({ server, path = "" }: Source<"nfs">, at: string): Causes {
  const relative = path.startsWith("/") ? [] : [invalidValue(`${at}.path`, path, "must be an absolute path")];
  return [...must({ server, path }, at, ["server", "path"]), ...relative];
}

const IQN = /iqn\.\d{4}-\d{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)$/;
const EUI = /^eui.[A-Za-z0-9]{16}$/;
const NAA = /^naa.[A-Za-z0-9]{32}$/;

/** `prefixed` says what a name without a known prefix is told. */
function validateQualifiedName(name: string, field: string, prefixed: string): Causes {
  const pattern = name.startsWith("iqn")
    ? IQN
    : name.startsWith("eui")
      ? EUI
      : name.startsWith("naa")
        ? NAA
        : undefined;
  if (!pattern) return [invalidValue(field, name, prefixed)];
  return pattern.test(name) ? [] : [invalidValue(field, name, "must be valid format")];
}

type ISCSI = Source<"iscsi"> | PersistentSource<"iscsi">;

function validateISCSI(source: ISCSI, at: string, persistent: boolean): Causes {
  const { targetPortal = "", iqn, lun = 0, initiatorName: initiator, secretRef } = source;
  const prefixed = persistent ? "must be valid format" : "must be valid format starting with iqn, eui, or naa";
  const secretNeeded = source.chapAuthDiscovery || source.chapAuthSession;
  return [
    ...must({ targetPortal }, at, ["targetPortal"]),
    ...(iqn ? validateQualifiedName(iqn, `${at}.iqn`, prefixed) : [required(`${at}.iqn`)]),
    ...each(isInRange(lun, 0, LUN_MAX), `${at}.lun`, lun),
    ...(secretNeeded && !secretRef ? [required(`${at}.secretRef`)] : []),
    ...(persistent && secretRef && !secretRef.name ? [required(`${at}.secretRef.name`)] : []),
    ...(initiator === undefined ? [] : validateQualifiedName(initiator, `${at}.initiatorname`, prefixed)),
  ];
}

/** The names together are a directory's: told at `field` of `shown`. */
export function validateInitiator(name: string, iscsi: ISCSI, field: string, shown: string): Causes {
  if (iscsi.initiatorName === undefined || Buffer.byteLength(`${name}:${iscsi.targetPortal ?? ""}`) <= ISCSI_NAME_MAX)
    return [];
  const detail = `Total length of <volume name>:<iscsi.targetPortal> must be under ${ISCSI_NAME_MAX} characters if iscsi.initiatorName is specified.`;
  return [invalidValue(field, shown, detail)];
}

function validateFlocker({ datasetName = "", datasetUUID = "" }: Source<"flocker">, at: string): Causes {
  const causes: Causes = [];
  if (!datasetName && !datasetUUID) causes.push(required(at, "one of datasetName and datasetUUID is required"));
  if (datasetName && datasetUUID)
    causes.push(invalidValue(at, "resource", "datasetName and datasetUUID can not be specified simultaneously"));
  if (datasetName.includes("/")) causes.push(invalidValue(`${at}.datasetName`, datasetName, "must not contain '/'"));
  return causes;
}

/** One colon and what stands before and after it, with brackets around an IPv6 address. */
const isHostPort = (text: string): boolean => /^(\[[^[\]]*\]|[^:[\]]*):[^:[\]]*$/.test(text);

function validateQuobyte({ registry, tenant = "", volume }: Source<"quobyte">, at: string): Causes {
  const pairs = "must be a host:port pair or multiple pairs separated by commas";
  const causes = must({ volume }, at, ["volume"]);
  if (!registry) return [...causes, required(`${at}.registry`, pairs)];
  if (Buffer.byteLength(tenant) > QUOBYTE_TENANT_MAX) {
    const detail = `must be a UUID and may not exceed a length of ${QUOBYTE_TENANT_MAX} characters`;
    return [...causes, required(`${at}.tenant`, detail)];
  }
  const wrong = registry.split(",").filter((pair) => !isHostPort(pair));
  return [...causes, ...wrong.map(() => invalidValue(`${at}.registry`, registry, pairs))];
}

function validateFC({ targetWWNs = [], wwids = [], lun }: Source<"fc">, at: string): Causes {
  const causes: Causes = [];
  if (targetWWNs.length === 0 && wwids.length === 0)
    causes.push(required(`${at}.targetWWNs`, "must specify either targetWWNs or wwids, but not both"));
  if (targetWWNs.length === 0) return causes;
  if (wwids.length > 0)
    causes.push(
      invalidValue(`${at}.targetWWNs`, targetWWNs, "targetWWNs and wwids can not be specified simultaneously"),
    );
  if (lun === undefined) causes.push(required(`${at}.lun`, "lun is required if targetWWNs is specified"));
  else causes.push(...each(isInRange(lun, 0, LUN_MAX), `${at}.lun`, lun));
  return causes;
}

function validateFlex({ driver, options }: { driver?: string; options?: Record<string, string> }, at: string): Causes {
  const reserved = Object.keys(options ?? {}).filter((key) => {
    const namespace = `.${(key.split("/")[0] ?? "").toLowerCase()}`;
    return namespace.endsWith(".kubernetes.io") || namespace.endsWith(".k8s.io");
  });
  return [
    ...must({ driver }, at, ["driver"]),
    ...reserved.map((key) =>
      invalidValue(`${at}.options[${key}]`, key, "kubernetes.io and k8s.io namespaces are reserved"),
    ),
  ];
}

function validateAzureDisk(source: Source<"azureDisk">, at: string): Causes {
  const { diskURI = "", kind } = source;
  const causes = [
    ...must(source, at, ["diskName", "diskURI"]),
    ...oneOf(source.cachingMode, `${at}.cachingMode`, AZURE.caching),
    ...oneOf(kind, `${at}.kind`, AZURE.kinds),
  ];
  const start = kind === "Managed" ? "/subscriptions/" : "https://";
  if (kind !== undefined && !diskURI.startsWith(start))
    causes.push(notSupported(`${at}.diskURI`, diskURI, [kind === "Managed" ? AZURE.managed : AZURE.blob]));
  return causes;
}

function validateStorageOS(
  { volumeName, volumeNamespace, secretRef }: PersistentSource<"storageos">,
  at: string,
  persistent: boolean,
): Causes {
  return [
    ...(volumeName ? each(isDNS1123Label(volumeName), `${at}.volumeName`, volumeName) : [required(`${at}.volumeName`)]),
    ...(volumeNamespace ? each(isDNS1123Label(volumeNamespace), `${at}.volumeNamespace`, volumeNamespace) : []),
    ...(secretRef ? must(secretRef, `${at}.secretRef`, persistent ? ["name", "namespace"] : ["name"]) : []),
  ];
}

function validateLocal({ path }: PersistentSource<"local">, at: string): Causes {
  return path ? noBacksteps(path, `${at}.path`) : [required(`${at}.path`)];
}

/** The same in pods and in PersistentVolumes. Upstream tells of one kind of disk by another name than its field's. */
export const SHARED = {
  hostPath: validateHostPath,
  gcePersistentDisk: (source: Source<"gcePersistentDisk">, at: string) =>
    disk("pdName")(source, at.replace(/gcePersistentDisk$/, "persistentDisk")),
  awsElasticBlockStore: disk("volumeID"),
  nfs: validateNFS,
  flocker: validateFlocker,
  rbd: requires("monitors", "image"),
  cephfs: requires("monitors"),
  quobyte: validateQuobyte,
  fc: validateFC,
  flexVolume: validateFlex,
  vsphereVolume: requires("volumePath"),
  photonPersistentDisk: requires("pdID"),
  portworxVolume: requires("volumeID"),
  azureDisk: validateAzureDisk,
  scaleIO: requires("gateway", "system", "volumeName"),
} as const;

function validateKeys({ defaultMode, items }: { defaultMode?: number; items?: KeyToPath[] }, at: string): Causes {
  return [...fileMode(defaultMode, `${at}.defaultMode`), ...validateItems(items, `${at}.items`)];
}

function validateInlineCSI({ driver, nodePublishSecretRef: secret }: Source<"csi">, at: string): Causes {
  const causes = validateDriverName(driver, `${at}.driver`);
  if (!secret) return causes;
  return [
    ...causes,
    ...(secret.name
      ? each(isDNS1123Subdomain(secret.name), `${at}.name`, secret.name)
      : [required(`${at}.nodePublishSecretRef.name`)]),
  ];
}

/** As a pod has them. */
export const OF_PODS = {
  ...SHARED,
  emptyDir: ({ sizeLimit }: Source<"emptyDir">, at: string): Causes =>
    String(sizeLimit ?? "").startsWith("-")
      ? [forbiddenField(`${at}.sizeLimit`, "SizeLimit field must be a valid resource quantity")]
      : [],
  gitRepo: (source: Source<"gitRepo">, at: string): Causes => [
    ...must(source, at, ["repository"]),
    ...(source.directory?.startsWith("/")
      ? [invalidValue(`${at}.directory`, source.directory, "must be a relative path")]
      : []),
    ...noBacksteps(source.directory ?? "", `${at}.directory`),
  ],
  secret: (source: Source<"secret">, at: string): Causes => [
    ...must(source, at, ["secretName"]),
    ...validateKeys(source, at),
  ],
  configMap: (source: Source<"configMap">, at: string): Causes => [
    ...must(source, at, ["name"]),
    ...validateKeys(source, at),
  ],
  iscsi: (source: Source<"iscsi">, at: string): Causes => validateISCSI(source, at, false),
  glusterfs: requires("endpoints", "path"),
  persistentVolumeClaim: requires("claimName"),
  cinder: (source: Source<"cinder">, at: string): Causes => [
    ...must(source, at, ["volumeID"]),
    ...(source.secretRef ? must(source.secretRef, `${at}.secretRef`, ["name"]) : []),
  ],
  azureFile: requires("secretName", "shareName"),
  storageos: (source: Source<"storageos">, at: string): Causes => validateStorageOS(source, at, false),
  csi: validateInlineCSI,
} as const;

function validateGlusterVolume(source: PersistentSource<"glusterfs">, at: string): Causes {
  const { endpointsNamespace: namespace } = source;
  const field = `${at}.endpointsNamespace`;
  const detail = "if the endpointnamespace is set, it must be a valid namespace name";
  const named = namespace === "" ? [invalidValue(field, "", detail)] : [];
  return [
    ...must(source, at, ["endpoints", "path"]),
    ...named,
    ...(namespace ? each(isDNS1123Label(namespace), field, namespace) : []),
  ];
}

function validateSecret(secret: SecretReference | undefined, at: string): Causes {
  if (!secret) return [];
  const { name, namespace } = secret;
  return [
    ...(name ? each(isDNS1123Subdomain(name), `${at}.name`, name) : [required(`${at}.name`)]),
    ...(namespace ? each(isDNS1123Label(namespace), `${at}.namespace`, namespace) : [required(`${at}.namespace`)]),
  ];
}

const CSI_SECRETS = [
  "controllerPublishSecretRef",
  "controllerExpandSecretRef",
  "nodePublishSecretRef",
  "nodeExpandSecretRef",
] as const;

/** As a PersistentVolume has them. */
export const OF_VOLUMES = {
  ...SHARED,
  glusterfs: validateGlusterVolume,
  iscsi: (source: PersistentSource<"iscsi">, at: string): Causes => validateISCSI(source, at, true),
  cinder: (source: PersistentSource<"cinder">, at: string): Causes => [
    ...must(source, at, ["volumeID"]),
    ...(source.secretRef ? must(source.secretRef, `${at}.secretRef`, ["name", "namespace"]) : []),
  ],
  azureFile: (source: PersistentSource<"azureFile">, at: string): Causes => [
    ...must(source, at, ["secretName", "shareName"]),
    ...(source.secretNamespace === "" ? [required(`${at}.secretNamespace`)] : []),
  ],
  local: validateLocal,
  storageos: (source: PersistentSource<"storageos">, at: string): Causes => validateStorageOS(source, at, true),
  csi: (source: PersistentSource<"csi">, at: string): Causes => [
    ...validateDriverName(source.driver, `${at}.driver`),
    ...must(source, at, ["volumeHandle"]),
    ...CSI_SECRETS.flatMap((secret) => validateSecret(source[secret], `${at}.${secret}`)),
  ],
} as const;
