/** Validation of what pods and containers may be and do on their host (validatePodSpecSecurityContext, ValidateSecurityContext, validateHostUsers). */
import type {
  AppArmorProfile,
  PodSecurityContext,
  PodSpec,
  SeccompProfile,
  SecurityContext,
} from "#sdk/api/generated/types.ts";
import { isInRange } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  tooLongValue,
} from "../../../registry/causes.ts";
import { type GoField, goValue } from "../../../registry/go-names.ts";
import { each, oneOf } from "../../checks.ts";
import { descending } from "../volumes/paths.ts";
import { eachContainer, validateWindowsOptions } from "./windows.ts";

const ID_MAX = 2 ** 31 - 1;
const SYSCTL_BYTES_MAX = 253;
const SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const SYSCTL = `^(${SYSCTL_SEGMENT}[\\./])*${SYSCTL_SEGMENT}$`;
const SYSCTL_PATTERN = new RegExp(SYSCTL);
const PROFILE_TYPES = ["Localhost", "RuntimeDefault", "Unconfined"];
const APP_ARMOR_BYTES_MAX = 4095;

const PROFILE: readonly GoField[] = [
  { go: "Type", json: "type", zero: "" },
  { go: "LocalhostProfile", json: "localhostProfile" },
];
const CONTEXT: readonly GoField[] = [
  {
    go: "Capabilities",
    json: "capabilities",
    of: [
      { go: "Add", json: "add" },
      { go: "Drop", json: "drop" },
    ],
  },
  { go: "Privileged", json: "privileged" },
  {
    go: "SELinuxOptions",
    json: "seLinuxOptions",
    of: ["User", "Role", "Type", "Level"].map((go) => ({ go, json: go.toLowerCase(), zero: "" })),
  },
  {
    go: "WindowsOptions",
    json: "windowsOptions",
    of: [
      { go: "GMSACredentialSpecName", json: "gmsaCredentialSpecName" },
      { go: "GMSACredentialSpec", json: "gmsaCredentialSpec" },
      { go: "RunAsUserName", json: "runAsUserName" },
      { go: "HostProcess", json: "hostProcess" },
    ],
  },
  { go: "RunAsUser", json: "runAsUser" },
  { go: "RunAsGroup", json: "runAsGroup" },
  { go: "RunAsNonRoot", json: "runAsNonRoot" },
  { go: "ReadOnlyRootFilesystem", json: "readOnlyRootFilesystem" },
  { go: "AllowPrivilegeEscalation", json: "allowPrivilegeEscalation" },
  { go: "ProcMount", json: "procMount" },
  { go: "SeccompProfile", json: "seccompProfile", of: PROFILE },
  { go: "AppArmorProfile", json: "appArmorProfile", of: PROFILE },
];

const validateId = (id: number | undefined, field: string): Causes =>
  id === undefined ? [] : each(isInRange(id, 0, ID_MAX), field, id);

/** The kernel namespace that a setting belongs to; empty for those of the whole node. */
function namespaceOf(name: string): "" | "net" | "ipc" {
  const dotted = name.replaceAll("/", ".");
  if (dotted.startsWith("net.")) return "net";
  return /^kernel\.(shm|msg|sem)|^fs\.mqueue\./.test(dotted) ? "ipc" : "";
}

type Host = Pick<PodSpec, "hostNetwork" | "hostIPC">;

const isOfHost = (name: string, host: Host): boolean =>
  (namespaceOf(name) === "net" && host.hostNetwork === true) || (namespaceOf(name) === "ipc" && host.hostIPC === true);

/** True when the pod asks for a setting of the host's, which is refused to new ones. */
const setsHostSysctls = (spec: PodSpec): boolean =>
  (spec.securityContext?.sysctls ?? []).some(({ name = "" }) => isOfHost(name, spec));

function validateSysctls({ sysctls = [] }: PodSecurityContext, host: Host, path: string): Causes {
  const seen = new Set<string>();
  return sysctls.flatMap(({ name = "" }, i) => {
    const at = `${path}[${i}].name`;
    const causes: Causes = [];
    const detail = `must have at most ${SYSCTL_BYTES_MAX} characters and match regex ${SYSCTL}`;
    if (name === "") causes.push(required(at));
    else if (name.length > SYSCTL_BYTES_MAX || !SYSCTL_PATTERN.test(name)) causes.push(invalidValue(at, name, detail));
    else if (seen.has(name)) causes.push(duplicate(at, name));
    seen.add(name);
    const field = namespaceOf(name) === "net" ? "hostNetwork" : "hostIPC";
    if (isOfHost(name, host)) causes.push(invalidValue(at, name, `may not be specified when '${field}' is true`));
    return causes;
  });
}

function validateSeccomp(profile: SeccompProfile | undefined, path: string): Causes {
  if (!profile) return [];
  const { type, localhostProfile } = profile;
  const at = `${path}.localhostProfile`;
  const causes: Causes = [];
  if (!type) causes.push(required(`${path}.type`, "type is required when seccompProfile is set"));
  else causes.push(...oneOf(type, `${path}.type`, PROFILE_TYPES));
  if (type !== "Localhost") {
    if (localhostProfile !== undefined)
      causes.push(invalidValue(at, goValue(profile, PROFILE), "can only be set when seccomp type is Localhost"));
  } else if (localhostProfile === undefined) causes.push(required(at, "must be set when seccomp type is Localhost"));
  else causes.push(...descending(localhostProfile, at));
  return causes;
}

export function validateAppArmor(profile: AppArmorProfile | undefined, path: string): Causes {
  if (!profile) return [];
  const { type = "", localhostProfile: local } = profile;
  const at = `${path}.localhostProfile`;
  if (type === "") return [required(`${path}.type`, "type is required when appArmorProfile is set")];
  if (type !== "Localhost") {
    const unknown = oneOf(type, `${path}.type`, PROFILE_TYPES);
    if (unknown.length > 0 || local === undefined) return unknown;
    return [invalidValue(at, local, "can only be set when AppArmor type is Localhost")];
  }
  if (!local) return [required(at, "must be set when AppArmor type is Localhost")];
  return [
    ...(local === local.trim() ? [] : [invalidValue(at, local, "must not be padded with whitespace")]),
    ...(Buffer.byteLength(local) > APP_ARMOR_BYTES_MAX ? [tooLongValue(at, APP_ARMOR_BYTES_MAX)] : []),
  ];
}

/** `path` is the spec's. What the `old` one had, settings of its host and ways to label, it may have. */
export function validatePodSecurity(spec: PodSpec, path: string, old?: PodSpec): Causes {
  const context = spec.securityContext ?? {};
  // To label volumes when they are mounted is behind a gate that is off.
  const labeling =
    old?.securityContext?.seLinuxChangePolicy === undefined ? ["Recursive"] : ["MountOption", "Recursive"];
  const at = `${path}.securityContext`;
  const causes: Causes = [
    ...validateId(context.fsGroup, `${at}.fsGroup`),
    ...validateId(context.runAsUser, `${at}.runAsUser`),
    ...validateId(context.runAsGroup, `${at}.runAsGroup`),
    ...(context.supplementalGroups ?? []).flatMap((id, i) => validateId(id, `${at}.supplementalGroups[${i}]`)),
  ];
  if (spec.shareProcessNamespace && spec.hostPID) {
    const detail = "ShareProcessNamespace and HostPID cannot both be enabled";
    causes.push(invalidValue(`${at}.shareProcessNamespace`, true, detail));
  }
  causes.push(
    ...validateSysctls(context, old && setsHostSysctls(old) ? {} : spec, `${at}.sysctls`),
    ...oneOf(context.fsGroupChangePolicy, `${at}.fsGroupChangePolicy`, ["Always", "OnRootMismatch"]),
    ...validateSeccomp(context.seccompProfile, `${at}.seccompProfile`),
    ...validateWindowsOptions(context.windowsOptions, `${at}.windowsOptions`),
    ...validateAppArmor(context.appArmorProfile, `${at}.appArmorProfile`),
    ...oneOf(context.supplementalGroupsPolicy, `${at}.supplementalGroupsPolicy`, ["Merge", "Strict"]),
    ...oneOf(context.seLinuxChangePolicy, `${at}.seLinuxChangePolicy`, labeling),
  );
  return causes;
}

/** Users of their own exclude most of the host's namespaces. `path` is the spec's; with `devices` the pod has devices already. */
export function validateHostUsers(spec: PodSpec, path: string, devices = false): Causes {
  if (spec.hostUsers !== false) return [];
  const refused = (field: string) => forbiddenField(`${path}.${field}`, "when `hostUsers` is false");
  const withDevices = eachContainer(spec, "").filter(({ container }) => container.volumeDevices?.length);
  return [
    ...(devices ? [] : withDevices.map(({ at }) => refused(`${at.slice(1)}.volumeDevices`))),
    ...(spec.hostNetwork ? [refused("hostNetwork")] : []),
    ...(spec.hostPID ? [refused("HostPID")] : []),
    ...(spec.hostIPC ? [refused("HostIPC")] : []),
  ];
}

/** `path` is the container's. */
export function validateContainerSecurity(
  context: SecurityContext | undefined,
  path: string,
  hostUsers: boolean,
): Causes {
  if (!context) return [];
  const at = `${path}.securityContext`;
  const { procMount, allowPrivilegeEscalation, privileged, capabilities } = context;
  const causes: Causes = [
    ...validateId(context.runAsUser, `${at}.runAsUser`),
    ...validateId(context.runAsGroup, `${at}.runAsGroup`),
  ];
  if (procMount !== undefined && !["Default", "Unmasked"].includes(procMount))
    causes.push(notSupported(`${at}.procMount`, procMount, ["Default", "Unmasked"]));
  if (hostUsers && procMount === "Unmasked")
    causes.push(invalidValue(`${at}.procMount`, procMount, "`hostUsers` must be false to use `Unmasked`"));
  causes.push(...validateSeccomp(context.seccompProfile, `${at}.seccompProfile`));
  causes.push(
    ...validateWindowsOptions(context.windowsOptions, `${at}.windowsOptions`),
    ...validateAppArmor(context.appArmorProfile, `${at}.appArmorProfile`),
  );
  if (allowPrivilegeEscalation !== false) return causes;
  const contradiction = (what: string) =>
    invalidValue(at, goValue(context, CONTEXT), `cannot set \`allowPrivilegeEscalation\` to false and ${what}`);
  if (privileged) causes.push(contradiction("`privileged` to true"));
  for (const capability of capabilities?.add ?? [])
    if (capability === "CAP_SYS_ADMIN") causes.push(contradiction("`capabilities.Add` CAP_SYS_ADMIN"));
  return causes;
}
