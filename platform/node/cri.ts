/**
 * The messages of CRI v1 (k8s.io/cri-api, runtime/v1/api.proto) that the agent uses, in proto3's JSON names.
 * Protobuf's JSON mapping: enums by name, 64-bit integers as decimal text in answers (numbers are taken in requests), bytes
 * as base64; what has its zero value may be missing, enums excepted.
 */
export type Int64 = string | number;

export interface Filter {
  id?: string;
  labelSelector?: Record<string, string>;
}

export interface VersionInfo {
  runtimeName: string;
  runtimeVersion: string;
  runtimeApiVersion: string;
}

export interface RuntimeCondition {
  type: string;
  status?: boolean;
  reason?: string;
  message?: string;
}

export type NamespaceMode = "POD" | "CONTAINER" | "NODE" | "TARGET";

export interface NamespaceOption {
  network?: NamespaceMode;
  pid?: NamespaceMode;
  ipc?: NamespaceMode;
  targetId?: string;
}

export interface SecurityProfile {
  profileType?: "RuntimeDefault" | "Unconfined" | "Localhost";
  localhostRef?: string;
}

export interface LinuxSandboxSecurityContext {
  namespaceOptions?: NamespaceOption;
  runAsUser?: { value?: Int64 };
  runAsGroup?: { value?: Int64 };
  readonlyRootfs?: boolean;
  supplementalGroups?: Int64[];
  privileged?: boolean;
  seccomp?: SecurityProfile;
}

export interface PodSandboxMetadata {
  name: string;
  uid: string;
  namespace: string;
  attempt?: number;
}

export interface PodSandboxConfig {
  metadata: PodSandboxMetadata;
  hostname?: string;
  logDirectory: string;
  dnsConfig?: { servers?: string[]; searches?: string[]; options?: string[] };
  portMappings?: { protocol?: "TCP" | "UDP" | "SCTP"; containerPort?: number; hostPort?: number; hostIp?: string }[];
  labels: Record<string, string>;
  annotations: Record<string, string>;
  linux?: {
    cgroupParent?: string;
    securityContext?: LinuxSandboxSecurityContext;
    sysctls?: Record<string, string>;
    overhead?: LinuxContainerResources;
    resources?: LinuxContainerResources;
  };
}

/** createdAt: nanoseconds since the epoch. */
export interface PodSandbox {
  id: string;
  metadata: PodSandboxMetadata;
  state: "SANDBOX_READY" | "SANDBOX_NOTREADY";
  createdAt?: Int64;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface PodSandboxStatus extends PodSandbox {
  network?: { ip?: string; additionalIps?: { ip?: string }[] };
  linux?: { namespaces?: { options?: NamespaceOption } };
}

export interface LinuxContainerResources {
  cpuPeriod?: Int64;
  cpuQuota?: Int64;
  cpuShares?: Int64;
  memoryLimitInBytes?: Int64;
  oomScoreAdj?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  unified?: Record<string, string>;
}

export interface LinuxContainerSecurityContext {
  capabilities?: { addCapabilities?: string[]; dropCapabilities?: string[] };
  privileged?: boolean;
  namespaceOptions?: NamespaceOption;
  runAsUser?: { value?: Int64 };
  runAsGroup?: { value?: Int64 };
  runAsUsername?: string;
  readonlyRootfs?: boolean;
  supplementalGroups?: Int64[];
  noNewPrivs?: boolean;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  seccomp?: SecurityProfile;
}

export interface Mount {
  containerPath: string;
  hostPath: string;
  readonly?: boolean;
  selinuxRelabel?: boolean;
  propagation?: "PROPAGATION_PRIVATE" | "PROPAGATION_HOST_TO_CONTAINER" | "PROPAGATION_BIDIRECTIONAL";
}

export interface ContainerConfig {
  metadata: { name: string; attempt?: number };
  image: { image: string };
  command?: string[];
  args?: string[];
  workingDir?: string;
  /** Values are bytes: base64. */
  envs?: { key: string; value?: string }[];
  mounts?: Mount[];
  devices?: { containerPath: string; hostPath: string; permissions: string }[];
  /** Qualified names of the container device interface; for runtimes that know it (containerd 1.7). */
  CDIDevices?: { name: string }[];
  labels: Record<string, string>;
  annotations: Record<string, string>;
  logPath: string;
  stdin?: boolean;
  stdinOnce?: boolean;
  tty?: boolean;
  linux?: { resources?: LinuxContainerResources; securityContext?: LinuxContainerSecurityContext };
}

export type ContainerState = "CONTAINER_CREATED" | "CONTAINER_RUNNING" | "CONTAINER_EXITED" | "CONTAINER_UNKNOWN";

export interface Container {
  id: string;
  podSandboxId: string;
  metadata: { name: string; attempt?: number };
  image?: { image?: string };
  imageRef?: string;
  state: ContainerState;
  createdAt?: Int64;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** Times: nanoseconds since the epoch; 0 or undefined when it has not happened. */
export interface ContainerStatus extends Omit<Container, "podSandboxId"> {
  startedAt?: Int64;
  finishedAt?: Int64;
  exitCode?: number;
  reason?: string;
  message?: string;
  logPath?: string;
  mounts?: Mount[];
}

export interface Image {
  id: string;
  repoTags?: string[];
  repoDigests?: string[];
  size?: Int64;
  uid?: { value?: Int64 };
  username?: string;
  pinned?: boolean;
}

export interface ExecSyncResult {
  stdout: Uint8Array;
  stderr: Uint8Array;
  exitCode: number;
}

export interface ContainerStats {
  attributes: { id: string; metadata?: { name: string }; labels?: Record<string, string> };
  cpu?: { timestamp?: Int64; usageCoreNanoSeconds?: { value?: Int64 } };
  memory?: { timestamp?: Int64; workingSetBytes?: { value?: Int64 } };
  writableLayer?: { usedBytes?: { value?: Int64 } };
}
