/** The checks of the baseline level: pure; findings in upstream's words (pod-security-admission/policy). */
import type { Container, LifecycleHandler, PodSpec, Probe, SELinuxOptions } from "#sdk/api/generated/types.ts";
import {
  containersOf,
  distinct,
  type Finding,
  hasOwnUsers,
  named,
  nameOf,
  type PodLike,
  plural,
  quoted,
  setters,
} from "./visit.ts";

type Found = Finding | undefined;

const APPARMOR = "container.apparmor.security.beta.kubernetes.io/";
const isAppArmorType = (type: string | undefined) => type === "RuntimeDefault" || type === "Localhost";
const isAppArmorValue = (value: string) =>
  value === "" || value === "runtime/default" || value.startsWith("localhost/");

export function appArmorProfile({ metadata, spec }: PodLike): Found {
  const ofPod = spec.securityContext?.appArmorProfile;
  const pod = ofPod !== undefined && !isAppArmorType(ofPod.type);
  const values = pod ? [ofPod.type ?? ""] : [];
  const bad: string[] = [];
  for (const container of containersOf(spec)) {
    const profile = container.securityContext?.appArmorProfile;
    if (!profile || isAppArmorType(profile.type)) continue;
    bad.push(nameOf(container));
    values.push(profile.type ?? "");
  }
  const annotations = Object.entries(metadata?.annotations ?? {})
    .filter(([key, value]) => key.startsWith(APPARMOR) && !isAppArmorValue(value))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .sort();
  if (!pod && bad.length === 0 && annotations.length === 0) return undefined;
  const all = [...distinct(values), ...annotations];
  const who = [
    setters(pod, bad),
    annotations.length > 0 ? plural("annotation", "annotations", annotations.length) : "",
  ];
  return {
    reason: plural("forbidden AppArmor profile", "forbidden AppArmor profiles", all.length),
    detail: `${who.filter((s) => s !== "").join(" and ")} must not set AppArmor profile type to ${quoted(all)}`,
  };
}

const CAPABILITIES = new Set(
  "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split(
    " ",
  ),
);

export function capabilities({ spec }: PodLike): Found {
  const added: string[] = [];
  const bad = containersOf(spec).filter(({ securityContext }) => {
    const more = (securityContext?.capabilities?.add ?? []).filter((name) => !CAPABILITIES.has(name));
    added.push(...more);
    return more.length > 0;
  });
  if (bad.length === 0) return undefined;
  return {
    reason: "non-default capabilities",
    detail: `${named(bad.map(nameOf))} must not include ${quoted(distinct(added))} in securityContext.capabilities.add`,
  };
}

export function hostNamespaces({ spec }: PodLike): Found {
  const { hostNetwork, hostPID, hostIPC } = spec;
  const used = Object.entries({ hostNetwork, hostPID, hostIPC }).flatMap(([name, on]) => (on ? [`${name}=true`] : []));
  return used.length > 0 ? { reason: "host namespaces", detail: used.join(", ") } : undefined;
}

export function hostPathVolumes({ spec }: PodLike): Found {
  const bad = (spec.volumes ?? []).filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name ?? "");
  if (bad.length === 0) return undefined;
  return { reason: "hostPath volumes", detail: `${plural("volume", "volumes", bad.length)} ${quoted(bad)}` };
}

export function hostPorts({ spec }: PodLike): Found {
  const ports: string[] = [];
  const bad = containersOf(spec).filter((container) => {
    const used = (container.ports ?? []).flatMap(({ hostPort }) => (hostPort ? [String(hostPort)] : []));
    ports.push(...used);
    return used.length > 0;
  });
  if (bad.length === 0) return undefined;
  const all = distinct(ports);
  const uses = `${plural("uses", "use", bad.length)} ${plural("hostPort", "hostPorts", all.length)}`;
  return { reason: "hostPort", detail: `${named(bad.map(nameOf))} ${uses} ${all.join(", ")}` };
}

const hostsOf = (handler: Probe | LifecycleHandler | undefined): string[] =>
  [handler?.httpGet?.host, handler?.tcpSocket?.host].filter(
    (host): host is string => host !== undefined && host !== "",
  );

export function hostProbes({ spec }: PodLike): Found {
  const hosts: string[] = [];
  const bad = containersOf(spec).filter(({ livenessProbe, readinessProbe, startupProbe, lifecycle }) => {
    const handlers = [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop];
    const own = handlers.flatMap(hostsOf);
    hosts.push(...own);
    return own.length > 0;
  });
  if (bad.length === 0) return undefined;
  const all = distinct(hosts);
  const what = plural("probe or lifecycle host", "probe or lifecycle hosts", all.length);
  const who = named(distinct(bad.map(nameOf)));
  return {
    reason: "probe or lifecycle host",
    detail: `${who} ${plural("uses", "use", bad.length)} ${what} ${quoted(all)}`,
  };
}

const finding = (bad: readonly Container[], reason: string, detail: (who: string) => string): Found =>
  bad.length === 0 ? undefined : { reason, detail: detail(named(bad.map(nameOf))) };

export const privileged = ({ spec }: PodLike): Found =>
  finding(
    containersOf(spec).filter(({ securityContext }) => securityContext?.privileged),
    "privileged",
    (who) => `${who} must not set securityContext.privileged=true`,
  );

export function procMount({ spec }: PodLike): Found {
  const bad = containersOf(spec).filter(
    ({ securityContext }) => (securityContext?.procMount ?? "Default") !== "Default",
  );
  const types = distinct(bad.map(({ securityContext }) => securityContext?.procMount ?? ""));
  return finding(bad, "procMount", (who) => `${who} must not set securityContext.procMount to ${quoted(types)}`);
}

export const procMountUnlessOwnUsers = (pod: PodLike): Found => (hasOwnUsers(pod.spec) ? undefined : procMount(pod));

const SELINUX_TYPES = ["", "container_t", "container_init_t", "container_kvm_t"];

function seLinux({ spec }: PodLike, allowed: readonly string[]): Found {
  const types: string[] = [];
  let user = false;
  let role = false;
  const isBad = (options: SELinuxOptions | undefined): boolean => {
    if (!options) return false;
    const known = allowed.includes(options.type ?? "");
    if (!known) types.push(options.type ?? "");
    if (options.user) user = true;
    if (options.role) role = true;
    return !known || Boolean(options.user) || Boolean(options.role);
  };
  const pod = isBad(spec.securityContext?.seLinuxOptions);
  const bad = containersOf(spec).filter(({ securityContext }) => isBad(securityContext?.seLinuxOptions));
  if (!pod && bad.length === 0) return undefined;
  const all = distinct(types);
  const what = [
    ...(all.length > 0 ? [`${plural("type", "types", all.length)} ${quoted(all)}`] : []),
    ...(user ? ["user may not be set"] : []),
    ...(role ? ["role may not be set"] : []),
  ];
  const who = setters(pod, bad.map(nameOf));
  return {
    reason: "seLinuxOptions",
    detail: `${who} set forbidden securityContext.seLinuxOptions: ${what.join("; ")}`,
  };
}

export const seLinuxOptions = (pod: PodLike): Found => seLinux(pod, SELINUX_TYPES);
export const seLinuxOptionsFrom31 = (pod: PodLike): Found => seLinux(pod, [...SELINUX_TYPES, "container_engine_t"]);

const SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/";

/** Before seccomp was a field. */
export function seccompAnnotations({ metadata, spec }: PodLike): Found {
  const annotations = metadata?.annotations ?? {};
  const keys = [SECCOMP_POD, ...containersOf(spec).map((container) => SECCOMP_CONTAINER + nameOf(container))];
  const bad = keys.flatMap((key) => {
    const value = annotations[key];
    const fine =
      value === undefined ||
      value === "runtime/default" ||
      value === "docker/default" ||
      value.startsWith("localhost/");
    return fine ? [] : [`${key}=${JSON.stringify(value)}`];
  });
  if (bad.length === 0) return undefined;
  const all = distinct(bad);
  const detail = `forbidden ${plural("annotation", "annotations", all.length)} ${all.join(", ")}`;
  return { reason: "seccompProfile", detail };
}

export const isSeccompType = (type: string | undefined): boolean => type === "Localhost" || type === "RuntimeDefault";

export function seccompProfile({ spec }: PodLike): Found {
  const ofPod = spec.securityContext?.seccompProfile;
  const pod = ofPod !== undefined && !isSeccompType(ofPod.type);
  const bad = containersOf(spec).filter(({ securityContext }) => {
    const profile = securityContext?.seccompProfile;
    return profile !== undefined && !isSeccompType(profile.type);
  });
  if (!pod && bad.length === 0) return undefined;
  const values = bad.map(({ securityContext }) => securityContext?.seccompProfile?.type ?? "");
  const all = distinct([...(pod ? [ofPod.type ?? ""] : []), ...values]);
  const who = setters(pod, bad.map(nameOf));
  return {
    reason: "seccompProfile",
    detail: `${who} must not set securityContext.seccompProfile.type to ${quoted(all)}`,
  };
}

const SYSCTLS: readonly [since: number, names: readonly string[]][] = [
  [
    0,
    [
      "kernel.shm_rmid_forced",
      "net.ipv4.ip_local_port_range",
      "net.ipv4.tcp_syncookies",
      "net.ipv4.ping_group_range",
      "net.ipv4.ip_unprivileged_port_start",
    ],
  ],
  [27, ["net.ipv4.ip_local_reserved_ports"]],
  [
    29,
    [
      "net.ipv4.tcp_keepalive_time",
      "net.ipv4.tcp_fin_timeout",
      "net.ipv4.tcp_keepalive_intvl",
      "net.ipv4.tcp_keepalive_probes",
    ],
  ],
  [32, ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"]],
];

/** The check as it is since a minor version. */
export const sysctlsSince = (minor: number) => {
  const allowed = new Set(SYSCTLS.flatMap(([since, names]) => (since <= minor ? names : [])));
  return ({ spec }: PodLike): Found => {
    const names = (spec.securityContext?.sysctls ?? []).map(({ name }) => name ?? "");
    const bad = names.filter((name) => !allowed.has(name));
    return bad.length > 0 ? { reason: "forbidden sysctls", detail: bad.join(", ") } : undefined;
  };
};

const isHostProcess = (context: Container["securityContext"] | PodSpec["securityContext"]): boolean =>
  context?.windowsOptions?.hostProcess === true;

export function windowsHostProcess({ spec }: PodLike): Found {
  const pod = isHostProcess(spec.securityContext);
  const bad = containersOf(spec).filter(({ securityContext }) => isHostProcess(securityContext));
  if (!pod && bad.length === 0) return undefined;
  const who = setters(pod, bad.map(nameOf));
  return { reason: "hostProcess", detail: `${who} must not set securityContext.windowsOptions.hostProcess=true` };
}
