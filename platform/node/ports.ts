/**
 * What the node agent needs from others. Components fill `Runtime` (world runtime: plugins/cri) and
 * `Network` (world network: plugins/cni); main wires them through the plugin host. Both reject with an Error whose
 * message a person can act on; for a runtime's own refusal it is a RuntimeError.
 */
import type { ContainerEdits, DevicePreference, DeviceStock } from "#sdk/plugin/types.ts";
import type {
  Container,
  ContainerConfig,
  ContainerStats,
  ContainerStatus,
  ExecSyncResult,
  Image,
  LinuxContainerResources,
  PodSandbox,
  PodSandboxConfig,
  PodSandboxStatus,
  RuntimeCondition,
  VersionInfo,
} from "./cri.ts";

/** The runtime said no. `code` is the gRPC status (5 NotFound, 4 DeadlineExceeded, 14 Unavailable …). */
export class RuntimeError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = "RuntimeError";
    this.code = code;
  }
}

export const isRuntimeNotFound = (error: unknown): boolean => error instanceof RuntimeError && error.code === 5;

/** Which sandboxes or containers are listed; without any of these: all. */
export interface ListFilter {
  /** Those of one pod. */
  podUid?: string;
  /** Sandboxes that are not ready any more, containers that have exited. */
  ended?: true;
}

/** CRI v1, one method per call. */
export interface Runtime {
  version(): Promise<VersionInfo>;
  status(): Promise<RuntimeCondition[]>;
  /** `handler`: of the pod's RuntimeClass; empty: the runtime's own choice. So below. */
  runPodSandbox(config: PodSandboxConfig, handler?: string): Promise<string>;
  stopPodSandbox(sandboxId: string): Promise<void>;
  removePodSandbox(sandboxId: string): Promise<void>;
  /** `netns` is the path of the sandbox's network namespace; undefined for one on the host's network. */
  podSandboxStatus(sandboxId: string): Promise<{ status: PodSandboxStatus; netns?: string }>;
  listPodSandboxes(filter?: ListFilter): Promise<PodSandbox[]>;
  createContainer(sandboxId: string, config: ContainerConfig, sandbox: PodSandboxConfig): Promise<string>;
  startContainer(containerId: string): Promise<void>;
  /** Returns when the container has exited; SIGKILL after `timeoutSeconds` (0: at once). */
  stopContainer(containerId: string, timeoutSeconds: number): Promise<void>;
  removeContainer(containerId: string): Promise<void>;
  containerStatus(containerId: string): Promise<ContainerStatus>;
  listContainers(filter?: ListFilter): Promise<Container[]>;
  updateContainerResources(containerId: string, resources: LinuxContainerResources): Promise<void>;
  reopenContainerLog(containerId: string): Promise<void>;
  listContainerStats(): Promise<ContainerStats[]>;
  execSync(containerId: string, command: string[], timeoutSeconds: number): Promise<ExecSyncResult>;
  /** These three answer a URL on this node that takes a SPDY upgrade, good once and for a minute. */
  exec(request: StreamRequest & { command: string[] }): Promise<string>;
  attach(request: StreamRequest): Promise<string>;
  portForward(sandboxId: string): Promise<string>;
  listImages(): Promise<Image[]>;
  /** Undefined when the image is not on this node. */
  imageStatus(image: string, handler?: string): Promise<Image | undefined>;
  /** Answers the image's reference. */
  pullImage(image: string, auth: PullAuth | undefined, sandbox: PodSandboxConfig, handler?: string): Promise<string>;
  removeImage(image: string): Promise<void>;
}

export interface StreamRequest {
  containerId: string;
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

export interface PullAuth {
  username?: string;
  password?: string;
  auth?: string;
  identityToken?: string;
  serverAddress?: string;
}

/** One pod's place in the network. The agent makes the namespace (with the sandbox) and keeps the result. */
export interface PodNetwork {
  tenant: string;
  podNamespace: string;
  podName: string;
  podUid: string;
  /** The sandbox's id: CNI_CONTAINERID. */
  containerId: string;
  /** Path of the namespace: CNI_NETNS. Empty for `del` when the namespace is already gone. */
  netns: string;
  /** CNI_IFNAME: "eth0". */
  ifname: string;
  /** capabilities.portMappings of the CNI specification. */
  portMappings: { hostPort: number; containerPort: number; protocol: "tcp" | "udp" | "sctp"; hostIP?: string }[];
  annotations: Record<string, string>;
}

/** A CNI result (CNI specification 1.0, "Success"), the part the agent reads. */
export interface NetworkResult {
  cniVersion: string;
  interfaces?: { name: string; mac?: string; sandbox?: string }[];
  /** `address` in CIDR form; the first of each family becomes the pod's IP. */
  ips: { address: string; gateway?: string; interface?: number }[];
  routes?: { dst: string; gw?: string }[];
  dns?: { nameservers?: string[]; domain?: string; search?: string[]; options?: string[] };
}

export interface Network {
  /** Idempotent is not asked for: the agent calls `del` before it tries again. */
  add(pod: PodNetwork): Promise<NetworkResult>;
  /** Succeeds when nothing is there any more. */
  del(pod: PodNetwork): Promise<void>;
  check(pod: PodNetwork, result: NetworkResult): Promise<void>;
  /** Rejects with why pods cannot be given a network. The node stays Ready: each pod that waits says why itself. */
  status(): Promise<void>;
  /** Frees what belongs to none of these sandboxes. */
  gc(valid: { containerId: string; ifname: string }[]): Promise<void>;
}

/** Volume drivers (world volume: plugins/csi and others); requests and answers are CSI's messages in their JSON mapping. */
export interface VolumeCalls {
  /** Makes the driver behind a socket callable under its name, in place of what had the name. */
  add(driver: string, socket: string): Promise<void>;
  remove(driver: string): void;
  /** Components that are drivers themselves, by their plugins' names. */
  natives(): string[];
  /** Rejects with an Error whose `code` is the gRPC status where the driver refused. */
  call(driver: string, service: "identity" | "controller" | "node", hook: string, request?: object): Promise<object>;
}

/**
 * Where devices come from (world device: plugins/device-plugins and others). A source is a device plugin that registered a socket, by its
 * resource's name, or a component that knows devices itself, by its plugin's. All reject with an Error; `kind` is "failure" where the source
 * itself said no, and `reason` then its gRPC status ("Unavailable" …).
 */
export interface DeviceSources {
  /** Makes the device plugin behind a socket callable under its resource's name, in place of what had the name. */
  add(resource: string, socket: string): Promise<void>;
  remove(resource: string): void;
  /** Components that know devices themselves, by their plugins' names. */
  natives(): string[];
  inventory(source: string): Promise<DeviceStock>;
  preferred(source: string, preference: DevicePreference): Promise<string[]>;
  allocate(source: string, resource: string, ids: string[]): Promise<ContainerEdits>;
  preStart(source: string, resource: string, ids: string[]): Promise<void>;
}
