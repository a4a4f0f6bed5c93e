/** What every part of one node's agent shares. */
import { join } from "node:path";
import type { Clock } from "#platform/base/clock.ts";
import type { Log } from "#platform/base/log.ts";
import type { Container, Pod, Service } from "#sdk/api/generated/types.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import type { CgroupHost } from "./cgroups.ts";
import type { Network, Runtime } from "./ports.ts";
import type { Usage } from "./stats/usage.ts";

export interface NodeSettings {
  name: string;
  /** The node's address: hostIP of its pods. */
  address: string;
  kubeletPort: number;
  /** DATA/nodes/NAME */
  directory: string;
  dns: { domain: string; address: string };
  /** First part of the pods' cgroup path, the same for nobody else on this machine: "capstan-INSTANCE-NAME". */
  cgroupRoot: string;
  /** The node's pod addresses, where it knows them itself. */
  podCIDR?: string;
  /** Of the second address family, where there is one; `address`: the node's, where its machine has one. */
  secondary?: { podCIDR: string; address?: string };
  podsMax: number;
  /** The node has no container runtime and no rights on its machine: no cgroups, no mounts, no interfaces. */
  componentsOnly?: boolean;
}

/** The node's addresses: hostIPs of its pods, the default family's first. */
export const nodeAddresses = ({ address, secondary }: NodeSettings): string[] => [
  address,
  ...(secondary?.address ? [secondary.address] : []),
];

export interface NodeContext {
  settings: NodeSettings;
  client: Client;
  recorder: Recorder;
  runtime: Runtime;
  network: Network;
  cgroups: CgroupHost;
  clock: Clock;
  log: Log;
  machine: { cpuMilli: number; memoryBytes: number };
  /** Of the RuntimeClass that the pod names; empty where it names none. Rejects where there is no such class. */
  handlerOf(pod: NodePod): Promise<string>;
  /** Where this process reaches what the API knows under a pod's address. */
  reach(address: string): string;
  /** What is used below a path as in CRI's cgroup_parent; undefined: nothing is there. */
  usage(path: string, now: number): Usage | undefined;
  /** The services of a tenant's namespace. */
  services(tenant: string, namespace: string): Service[];
  /** Under which the API knows a pod of this node; undefined for one that it does not know yet. */
  apiUid(pod: NodePod): string | undefined;
  token(
    pod: Pod,
    audience: string | undefined,
    expirationSeconds: number,
  ): Promise<{ token: string; expiresAt: number }>;
}

/** A pod as the informer holds it: always with these. */
export interface NodePod extends Pod {
  metadata: Pod["metadata"] & { name: string; namespace: string; uid: string };
  spec: NonNullable<Pod["spec"]>;
}

/** Every container of the pod, whatever its sort. */
export const allContainers = (pod: NodePod): Container[] => [
  ...(pod.spec.initContainers ?? []),
  ...pod.spec.containers,
  ...(pod.spec.ephemeralContainers ?? []),
];

export const isNodePod = (pod: Pod): pod is NodePod =>
  pod.spec !== undefined && !!pod.metadata.name && !!pod.metadata.namespace && !!pod.metadata.uid;

/** Directories of a pod, keyed by its uid: the same name may live in two tenants. */
export const podPaths = (settings: NodeSettings, uid: string) => {
  const base = join(settings.directory, "pods", uid);
  return {
    base,
    volumes: join(base, "volumes"),
    subPaths: join(base, "volume-subpaths"),
    containers: join(base, "containers"),
    hosts: join(base, "etc-hosts"),
    network: join(base, "network.json"),
  };
};

export const logRoot = (settings: NodeSettings): string => join(settings.directory, "pods-logs");

/** DATA/nodes/NAME/pods-logs/TENANT_NAMESPACE_NAME_UID, kubelet's form with the tenant before it. */
export const podLogDirectory = (settings: NodeSettings, pod: NodePod): string =>
  join(logRoot(settings), [tenantOf(pod), pod.metadata.namespace, pod.metadata.name, pod.metadata.uid].join("_"));
