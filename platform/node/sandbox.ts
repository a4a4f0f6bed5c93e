/** A pod's sandbox: its configuration, and its place in the network, which is the network component's to give. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { messageOf } from "#platform/base/log.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { type NodeContext, type NodePod, podLogDirectory, podPaths } from "./context.ts";
import type { NamespaceOption, PodSandbox, PodSandboxConfig } from "./cri.ts";
import { isRuntimeNotFound, type NetworkResult, type PodNetwork } from "./ports.ts";

export const POD_UID = "io.kubernetes.pod.uid";
export const POD_NAME = "io.kubernetes.pod.name";
export const POD_NAMESPACE = "io.kubernetes.pod.namespace";
export const TENANT = "capstan.dev/tenant";

const HOSTNAME_MAX = 63;

/** DATA/nodes/NAME/pods/UID/network.json: outlives the agent, so that a restarted one knows the pod's address. */
const networkShape = z.object({
  sandboxId: z.string(),
  result: z.looseObject({ cniVersion: z.string(), ips: z.array(z.looseObject({ address: z.string() })) }),
});

export interface SandboxNetwork {
  sandboxId: string;
  result: NetworkResult;
}

export const podHostname = (pod: NodePod): string =>
  (pod.spec.hostname ?? pod.metadata.name).slice(0, HOSTNAME_MAX).replace(/[-.]+$/, "");

/** "host.subdomain.namespace.svc.domain" for a pod with a subdomain. */
export const podFqdn = (pod: NodePod, domain: string): string | undefined =>
  pod.spec.subdomain ? `${podHostname(pod)}.${pod.spec.subdomain}.${pod.metadata.namespace}.svc.${domain}` : undefined;

interface Resolver {
  servers: string[];
  searches: string[];
  options: string[];
}

function hostResolver(): Resolver {
  const resolver: Resolver = { servers: [], searches: [], options: [] };
  let text = "";
  try {
    text = readFileSync("/etc/resolv.conf", "utf8");
  } catch {
    return resolver;
  }
  for (const line of text.split("\n")) {
    const [word, ...rest] = line.trim().split(/\s+/);
    if (word === "nameserver" && rest[0] !== undefined) resolver.servers.push(rest[0]);
    if (word === "search") resolver.searches = rest;
    if (word === "options") resolver.options.push(...rest);
  }
  return resolver;
}

/** network/dns: what a pod's resolv.conf says by its dnsPolicy and dnsConfig. */
export function dnsOf(
  pod: NodePod,
  dns: { domain: string; address: string },
  host: Resolver = hostResolver(),
): Resolver {
  const policy = pod.spec.dnsPolicy ?? "ClusterFirst";
  const cluster = policy === "ClusterFirstWithHostNet" || (policy === "ClusterFirst" && pod.spec.hostNetwork !== true);
  const { namespace } = pod.metadata;
  const base: Resolver = cluster
    ? {
        servers: [dns.address],
        searches: [`${namespace}.svc.${dns.domain}`, `svc.${dns.domain}`, dns.domain, ...host.searches],
        options: ["ndots:5"],
      }
    : policy === "None"
      ? { servers: [], searches: [], options: [] }
      : host;
  const more = pod.spec.dnsConfig;
  const options = new Map(base.options.map((option) => [option.split(":")[0] ?? option, option]));
  for (const option of more?.options ?? [])
    if (option.name)
      options.set(option.name, option.value === undefined ? option.name : `${option.name}:${option.value}`);
  return {
    servers: [...new Set([...base.servers, ...(more?.nameservers ?? [])])],
    searches: [...new Set([...base.searches, ...(more?.searches ?? [])])],
    options: [...options.values()],
  };
}

export function namespaceOptions(pod: NodePod): NamespaceOption {
  return {
    network: pod.spec.hostNetwork === true ? "NODE" : "POD",
    pid: pod.spec.hostPID === true ? "NODE" : pod.spec.shareProcessNamespace === true ? "POD" : "CONTAINER",
    ipc: pod.spec.hostIPC === true ? "NODE" : "POD",
  };
}

/** The pod's cgroup is there already (CgroupHost.ensure). */
export function sandboxConfig(context: NodeContext, pod: NodePod, attempt: number): PodSandboxConfig {
  const { settings } = context;
  const { name, namespace, uid } = pod.metadata;
  const security = pod.spec.securityContext;
  const privileged = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].some(
    (container) => container.securityContext?.privileged === true,
  );
  const fqdn = pod.spec.setHostnameAsFQDN === true ? podFqdn(pod, settings.dns.domain) : undefined;
  const seccomp = security?.seccompProfile?.type;
  return {
    metadata: { name, namespace, uid, attempt },
    // On the host's network a pod shares the host's name too, and cannot set it.
    ...(pod.spec.hostNetwork === true ? {} : { hostname: fqdn ?? podHostname(pod) }),
    logDirectory: podLogDirectory(settings, pod),
    dnsConfig: dnsOf(pod, settings.dns),
    labels: {
      ...pod.metadata.labels,
      [POD_NAME]: name,
      [POD_NAMESPACE]: namespace,
      [POD_UID]: uid,
      [TENANT]: tenantOf(pod),
    },
    annotations: { ...pod.metadata.annotations },
    linux: {
      cgroupParent: context.cgroups.path(pod),
      sysctls: Object.fromEntries((security?.sysctls ?? []).map(({ name: key, value }) => [key, value])),
      securityContext: {
        privileged,
        namespaceOptions: namespaceOptions(pod),
        ...(security?.runAsUser === undefined ? {} : { runAsUser: { value: security.runAsUser } }),
        ...(security?.runAsGroup === undefined ? {} : { runAsGroup: { value: security.runAsGroup } }),
        supplementalGroups: [
          ...(security?.fsGroup === undefined ? [] : [security.fsGroup]),
          ...(security?.supplementalGroups ?? []),
        ],
        seccomp: { profileType: seccomp === "Unconfined" ? "Unconfined" : "RuntimeDefault" },
      },
    },
  };
}

const networkOf = (pod: NodePod, containerId: string, netns: string): PodNetwork => ({
  tenant: tenantOf(pod),
  podNamespace: pod.metadata.namespace,
  podName: pod.metadata.name,
  podUid: pod.metadata.uid,
  containerId,
  netns,
  ifname: "eth0",
  portMappings: pod.spec.containers.flatMap((container) =>
    (container.ports ?? []).flatMap((port) =>
      port.hostPort === undefined || port.hostPort === 0
        ? []
        : [
            {
              hostPort: port.hostPort,
              containerPort: port.containerPort,
              protocol: protocolOf(port.protocol),
              ...(port.hostIP ? { hostIP: port.hostIP } : {}),
            },
          ],
    ),
  ),
  annotations: pod.metadata.annotations ?? {},
});

const protocolOf = (protocol: string | undefined): "tcp" | "udp" | "sctp" =>
  protocol === "UDP" ? "udp" : protocol === "SCTP" ? "sctp" : "tcp";

export function readNetwork(context: NodeContext, uid: string): SandboxNetwork | undefined {
  let text: string;
  try {
    text = readFileSync(podPaths(context.settings, uid).network, "utf8");
  } catch {
    return undefined;
  }
  return networkShape.parse(JSON.parse(text)) as SandboxNetwork;
}

export const addressesOf = (network: SandboxNetwork | undefined): string[] =>
  (network?.result.ips ?? []).map((ip) => ip.address.split("/")[0] ?? ip.address);

/** Makes the sandbox and attaches it. On a refusal nothing is left, and the rejection says who refused. */
export async function createSandbox(
  context: NodeContext,
  pod: NodePod,
  attempt: number,
): Promise<{ sandbox: PodSandbox; network?: SandboxNetwork }> {
  const { runtime, network, settings } = context;
  context.cgroups.ensure(pod);
  const config = sandboxConfig(context, pod, attempt);
  mkdirSync(config.logDirectory, { recursive: true, mode: 0o755 });
  const handler = await context.handlerOf(pod);
  const id = await runtime.runPodSandbox(config, handler);
  if (pod.spec.hostNetwork === true) return { sandbox: (await runtime.podSandboxStatus(id)).status };
  try {
    const { status: sandbox, netns } = await runtime.podSandboxStatus(id);
    if (netns === undefined) throw new Error("the runtime made no network namespace");
    const result = await network.add(networkOf(pod, id, netns));
    const kept: SandboxNetwork = { sandboxId: id, result };
    const file = podPaths(settings, pod.metadata.uid).network;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, JSON.stringify(kept));
    renameSync(`${file}.new`, file);
    return { sandbox, network: kept };
  } catch (error) {
    // What is still attached is not removed: its record is what a later attempt takes it down by.
    await stopSandbox(context, pod, id).then(
      () => runtime.removePodSandbox(id).catch(() => undefined),
      (undo: unknown) =>
        context.log.warn("a sandbox without a network was not removed yet", { sandbox: id, error: messageOf(undo) }),
    );
    throw new Error(`failed to setup network for sandbox "${id}": ${messageOf(error)}`);
  }
}

/** Detaches and stops; idempotent. The sandbox's record (and its containers' logs) stay until it is removed. */
export async function stopSandbox(context: NodeContext, pod: NodePod, sandboxId: string): Promise<void> {
  const { runtime, network, settings } = context;
  if (pod.spec.hostNetwork !== true) {
    const netns = await runtime.podSandboxStatus(sandboxId).then(
      (status) => status.netns,
      (error: unknown) => {
        if (isRuntimeNotFound(error)) return undefined;
        throw error;
      },
    );
    await network.del(networkOf(pod, sandboxId, netns ?? ""));
    const known = readNetwork(context, pod.metadata.uid);
    if (known?.sandboxId === sandboxId) rmSync(podPaths(settings, pod.metadata.uid).network, { force: true });
  }
  await runtime.stopPodSandbox(sandboxId);
}

/** The hosts file that every container of the pod sees. */
export function writeHosts(context: NodeContext, pod: NodePod, ips: string[]): string {
  const file = podPaths(context.settings, pod.metadata.uid).hosts;
  const own = podHostname(pod);
  const fqdn = podFqdn(pod, context.settings.dns.domain);
  const aliases = (pod.spec.hostAliases ?? []).map((alias) => [alias.ip, ...(alias.hostnames ?? [])].join("\t"));
  const body =
    pod.spec.hostNetwork === true
      ? `# Kubernetes-managed hosts file (host network).\n${readFileSync("/etc/hosts", "utf8")}`
      : [
          "# Kubernetes-managed hosts file.",
          "127.0.0.1\tlocalhost",
          "::1\tlocalhost ip6-localhost ip6-loopback",
          "fe00::0\tip6-localnet",
          "fe00::0\tip6-mcastprefix",
          "fe00::1\tip6-allnodes",
          "fe00::2\tip6-allrouters",
          ...ips.map((ip) => (fqdn === undefined ? `${ip}\t${own}` : `${ip}\t${fqdn}\t${own}`)),
          "",
        ].join("\n");
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(
    file,
    aliases.length === 0 ? body : `${body}\n# Entries added by HostAliases.\n${aliases.join("\n")}\n`,
  );
  return file;
}
