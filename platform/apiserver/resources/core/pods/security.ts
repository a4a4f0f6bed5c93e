/** Validation of what pods and containers may be and do on their host (validatePodSpecSecurityContext, ValidateSecurityContext, validateHostUsers). */
import type { PodSecurityContext, PodSpec, SeccompProfile, SecurityContext } from "#sdk/api/generated/types.ts";
import { isInRange } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
} from "../../../registry/causes.ts";
import { each, oneOf } from "../../checks.ts";

const ID_MAX = 2 ** 31 - 1;
const SYSCTL_BYTES_MAX = 253;
const SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const SYSCTL = `^(${SYSCTL_SEGMENT}[\\./])*${SYSCTL_SEGMENT}$`;
const SYSCTL_PATTERN = new RegExp(SYSCTL);
const SECCOMP_TYPES = ["Localhost", "RuntimeDefault", "Unconfined"];

const validateId = (id: number | undefined, field: string): Causes =>
  id === undefined ? [] : each(isInRange(id, 0, ID_MAX), field, id);

/** The kernel namespace that a setting belongs to; empty for those of the whole node. */
function namespaceOf(name: string): "" | "net" | "ipc" {
  const dotted = name.replaceAll("/", ".");
  if (dotted.startsWith("net.")) return "net";
  return /^kernel\.(shm|msg|sem)|^fs\.mqueue\./.test(dotted) ? "ipc" : "";
}

function validateSysctls({ sysctls = [] }: PodSecurityContext, spec: PodSpec, path: string): Causes {
  const seen = new Set<string>();
  return sysctls.flatMap(({ name = "" }, i) => {
    const at = `${path}[${i}].name`;
    const causes: Causes = [];
    const detail = `must have at most ${SYSCTL_BYTES_MAX} characters and match regex ${SYSCTL}`;
    if (name === "") causes.push(required(at));
    else if (name.length > SYSCTL_BYTES_MAX || !SYSCTL_PATTERN.test(name)) causes.push(invalidValue(at, name, detail));
    else if (seen.has(name)) causes.push(duplicate(at, name));
    seen.add(name);
    const of = namespaceOf(name);
    for (const [namespace, field] of [
      ["net", "hostNetwork"],
      ["ipc", "hostIPC"],
    ] as const)
      if (of === namespace && spec[field])
        causes.push(invalidValue(at, name, `may not be specified when '${field}' is true`));
    return causes;
  });
}

function validateSeccomp(profile: SeccompProfile | undefined, path: string): Causes {
  if (!profile) return [];
  const { type, localhostProfile } = profile;
  const at = `${path}.localhostProfile`;
  const causes: Causes = [];
  if (!type) causes.push(required(`${path}.type`, "type is required when seccompProfile is set"));
  else causes.push(...oneOf(type, `${path}.type`, SECCOMP_TYPES));
  if (type !== "Localhost") {
    if (localhostProfile !== undefined)
      causes.push(invalidValue(at, profile, "can only be set when seccomp type is Localhost"));
  } else if (localhostProfile === undefined) causes.push(required(at, "must be set when seccomp type is Localhost"));
  else if (localhostProfile.startsWith("/")) causes.push(invalidValue(at, localhostProfile, "must be a relative path"));
  else if (localhostProfile.split("/").includes(".."))
    causes.push(invalidValue(at, localhostProfile, "must not contain '..'"));
  return causes;
}

/** `path` is the spec's. */
export function validatePodSecurity(spec: PodSpec, path: string): Causes {
  const context = spec.securityContext ?? {};
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
    ...validateSysctls(context, spec, `${at}.sysctls`),
    ...oneOf(context.fsGroupChangePolicy, `${at}.fsGroupChangePolicy`, ["Always", "OnRootMismatch"]),
    ...validateSeccomp(context.seccompProfile, `${at}.seccompProfile`),
    ...oneOf(context.supplementalGroupsPolicy, `${at}.supplementalGroupsPolicy`, ["Merge", "Strict"]),
    ...oneOf(context.seLinuxChangePolicy, `${at}.seLinuxChangePolicy`, ["MountOption", "Recursive"]),
  );
  return causes;
}

/** Users of their own exclude most of the host's namespaces. `path` is the spec's. */
export function validateHostUsers(spec: PodSpec, path: string): Causes {
  if (spec.hostUsers !== false) return [];
  const refused = (field: string) => forbiddenField(`${path}.${field}`, "when `hostUsers` is false");
  return [
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
  if (allowPrivilegeEscalation !== false) return causes;
  if (privileged)
    causes.push(invalidValue(at, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"));
  if (capabilities?.add?.includes("CAP_SYS_ADMIN"))
    causes.push(
      invalidValue(at, context, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"),
    );
  return causes;
}
