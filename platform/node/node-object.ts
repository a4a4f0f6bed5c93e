/** The Node object: registered once, its status kept current, its heartbeat a Lease (kubernetes/pkg/kubelet/nodestatus, nodelease). */
import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { arch, release } from "node:os";
import { isDeepStrictEqual } from "node:util";
import { type Clock, microTimeText, timeText } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Lease, Node, NodeCondition, NodeStatus } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, JsonObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { type NodeSettings, nodeAddresses } from "./context.ts";
import type { Image, VersionInfo } from "./cri.ts";

export const NODES: GroupVersionResource = { group: "", version: "v1", resource: "nodes" };
const LEASES: GroupVersionResource = { group: "coordination.k8s.io", version: "v1", resource: "leases" };

/** The release whose behaviour the agent has; clients compare it with the server's. */
export const KUBELET_VERSION = "v1.36.3+capstan";
export const LEASE_SECONDS = 40;
const LEASE_NAMESPACE = "kube-node-lease";
/** Kept free of pods, as the kubelet's default hard eviction threshold. */
const MEMORY_RESERVED = 100 << 20;
const IMAGES_MAX = 50;

export interface NodeFacts {
  cpus: number;
  memoryBytes: number;
  runtime: VersionInfo;
  images: Image[];
  /** Why pods cannot run; undefined: they can. */
  problem: string | undefined;
  /** What it is short of: types of conditions that hold. */
  pressures?: ReadonlySet<string>;
  /** What must not be detached from it. */
  volumesInUse?: string[];
  /** Of extended resources. */
  devices?: { capacity: Record<string, string>; allocatable: Record<string, string> };
}

const firstLine = (file: string): string => {
  try {
    return readFileSync(file, "utf8").split("\n")[0]?.trim() ?? "";
  } catch {
    return "";
  }
};

function osImage(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux";
  } catch {
    return "Linux";
  }
}

const architecture = (): string => ({ x64: "amd64", ia32: "386" })[arch() as string] ?? arch();

function conditions(
  before: NodeCondition[],
  problem: string | undefined,
  holds: ReadonlySet<string>,
  now: number,
): NodeCondition[] {
  const pressure = (type: string, name: string, what: string) =>
    holds.has(type)
      ? { type, status: "True", reason: `KubeletHasInsufficient${name}`, message: `kubelet has insufficient ${what}` }
      : { type, status: "False", reason: `KubeletHasSufficient${name}`, message: `kubelet has sufficient ${what}` };
  const wanted: Omit<NodeCondition, "lastHeartbeatTime" | "lastTransitionTime">[] = [
    pressure("MemoryPressure", "Memory", "memory available"),
    holds.has("DiskPressure")
      ? { type: "DiskPressure", status: "True", reason: "KubeletHasDiskPressure", message: "kubelet has disk pressure" }
      : {
          type: "DiskPressure",
          status: "False",
          reason: "KubeletHasNoDiskPressure",
          message: "kubelet has no disk pressure",
        },
    pressure("PIDPressure", "PID", "PID available"),
    problem === undefined
      ? { type: "Ready", status: "True", reason: "KubeletReady", message: "kubelet is posting ready status" }
      : { type: "Ready", status: "False", reason: "KubeletNotReady", message: problem },
  ];
  const at = timeText(now);
  const others = before.filter((one) => !wanted.some(({ type }) => type === one.type));
  return [
    ...others,
    ...wanted.map((one) => {
      const last = before.find(({ type }) => type === one.type);
      const since = last?.status === one.status ? last.lastTransitionTime : undefined;
      return { ...one, lastHeartbeatTime: at, lastTransitionTime: since ?? at };
    }),
  ];
}

export async function nodeStatus(
  settings: NodeSettings,
  facts: NodeFacts,
  before: NodeStatus | undefined,
  now: number,
): Promise<NodeStatus> {
  const disk = await statfs(settings.directory);
  const storage = disk.blocks * disk.bsize;
  const shared = {
    cpu: String(facts.cpus),
    pods: String(settings.podsMax),
    "hugepages-1Gi": "0",
    "hugepages-2Mi": "0",
  };
  const machineId = firstLine("/etc/machine-id");
  return {
    capacity: {
      ...shared,
      ...facts.devices?.capacity,
      memory: `${Math.floor(facts.memoryBytes / 1024)}Ki`,
      "ephemeral-storage": `${Math.floor(storage / 1024)}Ki`,
    },
    allocatable: {
      ...shared,
      ...facts.devices?.allocatable,
      memory: `${Math.floor((facts.memoryBytes - MEMORY_RESERVED) / 1024)}Ki`,
      "ephemeral-storage": String(Math.floor(storage * 0.9)),
    },
    conditions: conditions(before?.conditions ?? [], facts.problem, facts.pressures ?? new Set(), now),
    addresses: [
      ...nodeAddresses(settings).map((address) => ({ type: "InternalIP", address })),
      { type: "Hostname", address: settings.name },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: settings.kubeletPort } },
    nodeInfo: {
      machineID: machineId,
      systemUUID: firstLine("/sys/class/dmi/id/product_uuid") || machineId,
      bootID: firstLine("/proc/sys/kernel/random/boot_id"),
      kernelVersion: release(),
      osImage: osImage(),
      containerRuntimeVersion: `${facts.runtime.runtimeName}://${facts.runtime.runtimeVersion}`,
      kubeletVersion: KUBELET_VERSION,
      kubeProxyVersion: "",
      operatingSystem: "linux",
      architecture: architecture(),
    },
    // Said as long as there are any, and once when there are no more.
    ...(facts.volumesInUse?.length || before?.volumesInUse ? { volumesInUse: facts.volumesInUse ?? [] } : {}),
    images: facts.images.slice(0, IMAGES_MAX).map((image) => ({
      names: [...(image.repoDigests ?? []), ...(image.repoTags ?? [])],
      sizeBytes: Number(image.size ?? 0),
    })),
  };
}

const labelsOf = (name: string): Record<string, string> => ({
  "kubernetes.io/hostname": name,
  "kubernetes.io/os": "linux",
  "kubernetes.io/arch": architecture(),
  "beta.kubernetes.io/os": "linux",
  "beta.kubernetes.io/arch": architecture(),
});

/** Whether `known` says what `status` says, heartbeats apart; what others keep in it is theirs. */
export function saysAlready(known: NodeStatus | undefined, { conditions = [], ...rest }: NodeStatus): boolean {
  const wanted = JSON.parse(JSON.stringify(rest)) as Record<string, unknown>;
  const has = (known ?? {}) as Record<string, unknown>;
  return (
    Object.entries(wanted).every(([key, value]) => isDeepStrictEqual(has[key], value)) &&
    conditions.every(({ type, status, reason, message }) => {
      const present = known?.conditions?.find((one) => one.type === type);
      return present?.status === status && present.reason === reason && present.message === message;
    })
  );
}

/** Keeps pods that need a container runtime away; RuntimeClass `wasm` brings the toleration. */
export const COMPONENTS_ONLY_TAINT = "capstan.dev/components-only";

const taintsOf = ({ componentsOnly }: NodeSettings): { taints?: { key: string; effect: string }[] } =>
  componentsOnly ? { taints: [{ key: COMPONENTS_ONLY_TAINT, effect: "NoSchedule" }] } : {};

/** Creates the Node, or gives the one that is there its labels back. */
export async function registerNode(client: Client, settings: NodeSettings, status: NodeStatus): Promise<Node> {
  const { name } = settings;
  const labels = labelsOf(name);
  try {
    return await client.create<Node>(NODES, {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name, labels },
      spec: { ...rangeOf(settings), ...taintsOf(settings) },
      status,
    });
  } catch (error) {
    if (!isReason(error, "AlreadyExists")) throw error;
    const known = await client.get<Node>(NODES, { name });
    const spec = known.spec?.podCIDR ? {} : rangeOf(settings);
    return await client.patch<Node>(NODES, { name }, { type: "merge", body: { metadata: { labels }, spec } });
  }
}

const rangeOf = ({ podCIDR, secondary }: NodeSettings): { podCIDR?: string; podCIDRs?: string[] } =>
  podCIDR === undefined ? {} : { podCIDR, podCIDRs: [podCIDR, ...(secondary ? [secondary.podCIDR] : [])] };

export async function writeNodeStatus(client: Client, name: string, status: NodeStatus): Promise<Node> {
  const body: JsonObject = { status: JSON.parse(JSON.stringify(status)) };
  return await client.patch<Node>(NODES, { name }, { type: "merge", body }, { subresource: "status" });
}

/** The heartbeat; owned by the Node, so that it goes with it. */
export async function renewLease(client: Client, node: Node, clock: Clock, log: Log): Promise<void> {
  const name = node.metadata.name ?? "";
  const spec = { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime: microTimeText(clock.now()) };
  const at = { namespace: LEASE_NAMESPACE, name };
  try {
    await client.patch<Lease>(LEASES, at, { type: "merge", body: { spec } });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
    const owner = { apiVersion: "v1", kind: "Node", name, uid: node.metadata.uid ?? "" };
    await client
      .create<Lease>(LEASES, {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { ...at, ownerReferences: [owner] },
        spec,
      })
      .catch((failure: unknown) => log.warn("the node's lease was not made", { error: messageOf(failure) }));
  }
}
