/** Validation of what differs between operating systems (validateOS, validateWindows, validateLinux, validateWindowsSecurityContextOptions). */
import type {
  Container,
  PodSecurityContext,
  PodSpec,
  SecurityContext,
  WindowsSecurityContextOptions,
} from "#sdk/api/generated/types.ts";
import { isDNS1123Subdomain } from "#sdk/api/names.ts";
import { type Causes, forbiddenField, invalidValue, required } from "../../../registry/causes.ts";
import { each, oneOf } from "../../checks.ts";

const SPEC_KIB_MAX = 64;
const DOMAIN_LENGTH_MAX = 256;
const USER_LENGTH_MAX = 104;
const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
const DNS_DOMAIN = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const NETBIOS_DOMAIN = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/;
const USER_CHARACTERS = /["/\\:;|=,+*?<>@[\]]/;
const hasControls = (text: string): boolean => [...text].some((c) => c < " " || c === "\u007f");

interface Place {
  container: Container;
  at: string;
}

/** Containers of all kinds in upstream's order; `path` is the spec's. */
export function eachContainer(spec: PodSpec, path: string): Place[] {
  return (["initContainers", "containers", "ephemeralContainers"] as const).flatMap((list) =>
    ((spec[list] ?? []) as Container[]).map((container, i) => ({ container, at: `${path}.${list}[${i}]` })),
  );
}

function validateUserName(name: string, at: string): Causes {
  const wrong = (detail: string) => invalidValue(at, name, `runAsUserName${detail}`);
  if (name === "") return [wrong(" cannot be an empty string")];
  if (hasControls(name)) return [wrong(" cannot contain control characters")];
  const parts = name.split("\\");
  if (parts.length > 2) return [wrong(" cannot contain more than one backslash")];
  const user = parts.at(-1) ?? "";
  const domain = parts.length === 2 ? (parts[0] ?? "") : undefined;
  const causes: Causes = [];
  if (domain !== undefined && domain.length >= DOMAIN_LENGTH_MAX)
    causes.push(wrong(`'s Domain length must be under ${DOMAIN_LENGTH_MAX} characters`));
  if (domain !== undefined && !NETBIOS_DOMAIN.test(domain) && !DNS_DOMAIN.test(domain))
    causes.push(wrong("'s Domain doesn't match the NetBios nor the DNS format"));
  if (user === "") causes.push(wrong("'s User cannot be empty"));
  else if (user.length > USER_LENGTH_MAX)
    causes.push(wrong(`'s User length must not be longer than ${USER_LENGTH_MAX} characters`));
  if (/^[. ]+$/.test(user)) causes.push(wrong("'s User cannot contain only periods or spaces"));
  if (USER_CHARACTERS.test(user))
    causes.push(wrong(`'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]`));
  return causes;
}

export function validateWindowsOptions(options: WindowsSecurityContextOptions | undefined, at: string): Causes {
  const { gmsaCredentialSpecName: name, gmsaCredentialSpec: spec, runAsUserName: user } = options ?? {};
  const causes = name === undefined ? [] : each(isDNS1123Subdomain(name), `${at}.gmsaCredentialSpecName`, name);
  const field = `${at}.gmsaCredentialSpec`;
  if (spec === "") causes.push(invalidValue(field, spec, "gmsaCredentialSpec cannot be an empty string"));
  else if (spec !== undefined && Buffer.byteLength(spec) > SPEC_KIB_MAX * 1024)
    causes.push(invalidValue(field, spec, `gmsaCredentialSpec size must be under ${SPEC_KIB_MAX} KiB`));
  return [...causes, ...(user === undefined ? [] : validateUserName(user, `${at}.runAsUserName`))];
}

/** Either all containers are processes of the host or none is. */
export function validateHostProcess(spec: PodSpec, path: string): Causes {
  const own = spec.securityContext?.windowsOptions?.hostProcess;
  const containers = eachContainer(spec, path);
  const settings = containers.map(({ container }) => container.securityContext?.windowsOptions?.hostProcess);
  const causes = containers.flatMap(({ at }, i) => {
    const setting = settings[i];
    const field = `${at}.securityContext.windowsOptions.hostProcess`;
    const detail = `pod hostProcess value must be identical if both are specified, was ${own}`;
    return own !== undefined && setting !== undefined && own !== setting ? [invalidValue(field, setting, detail)] : [];
  });
  const count = settings.filter((setting) => setting ?? own).length;
  if (count === 0) return causes;
  const all = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
  if (count !== containers.length) causes.push(invalidValue(path, "", all));
  if (!spec.hostNetwork)
    causes.push(
      invalidValue(`${path}.hostNetwork`, false, "hostNetwork must be true if pod contains any hostProcess containers"),
    );
  return causes;
}

const NOT_ON_WINDOWS = {
  spec: ["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"],
  pod: [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
  ],
  container: [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
  ],
} as const satisfies {
  spec: readonly (keyof PodSpec)[];
  pod: readonly (keyof PodSecurityContext)[];
  container: readonly (keyof SecurityContext)[];
};

function validateWindows(spec: PodSpec, path: string): Causes {
  const refused = <T extends object>(
    object: T | undefined,
    fields: readonly (keyof T & string)[],
    at: string,
  ): Causes =>
    fields
      .filter((field) => object?.[field] !== undefined)
      .map((field) => forbiddenField(`${at}.${field}`, "cannot be set for a windows pod"));
  return [
    ...refused(spec, NOT_ON_WINDOWS.spec, path),
    ...refused(spec.securityContext, NOT_ON_WINDOWS.pod, `${path}.securityContext`),
    ...eachContainer(spec, path).flatMap(({ container, at }) =>
      refused(container.securityContext, NOT_ON_WINDOWS.container, `${at}.securityContext`),
    ),
  ];
}

function validateLinux(spec: PodSpec, path: string): Causes {
  const refused = (context: PodSecurityContext | SecurityContext | undefined, at: string) =>
    context?.windowsOptions
      ? [forbiddenField(`${at}.securityContext.windowsOptions`, "windows options cannot be set for a linux pod")]
      : [];
  return [
    ...refused(spec.securityContext, path),
    ...eachContainer(spec, path).flatMap(({ container, at }) => refused(container.securityContext, at)),
  ];
}

/** What a pod says of its operating system holds for all of it. */
export function validateOS(spec: PodSpec, path: string): Causes {
  if (!spec.os) return [];
  const { name } = spec.os;
  if (!name) return [required(`${path}.os.name`)];
  const unknown = oneOf(name, `${path}.os`, ["linux", "windows"]);
  if (unknown.length > 0) return unknown;
  return name === "linux" ? validateLinux(spec, path) : validateWindows(spec, path);
}
