/**
 * The messages of CRI v1 (k8s.io/cri-api, runtime/v1/api.proto) that the agent uses, in proto3's JSON names.
 * Zero values are left out on the wire and come back as undefined or as the zero value; int64 are numbers (exact to 2^53).
 */
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

/** NamespaceMode: 0 POD, 1 CONTAINER, 2 NODE, 3 TARGET. */
export const NamespaceMode = { POD: 0, CONTAINER: 1, NODE: 2, TARGET: 3 } as const;

export interface NamespaceOption {
  network?: number;
  pid?: number;
  ipc?: number;
  targetId?: string;
}

/** profileType: 0 RuntimeDefault, 1 Unconfined, 2 Localhost. */
export interface SecurityProfile {
  profileType?: number;
  localhostRef?: string;
}

export interface LinuxSandboxSecurityContext {
  namespaceOptions?: NamespaceOption;
  runAsUser?: { value?: number };
  runAsGroup?: { value?: number };
  readonlyRootfs?: boolean;
  supplementalGroups?: number[];
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
  portMappings?: { protocol?: number; containerPort?: number; hostPort?: number; hostIp?: string }[];
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

/** state: 0 SANDBOX_READY, 1 SANDBOX_NOTREADY. createdAt: nanoseconds since the epoch. */
export const SandboxState = { READY: 0, NOTREADY: 1 } as const;

export interface PodSandbox {
  id: string;
  metadata: PodSandboxMetadata;
  state?: number;
  createdAt?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface PodSandboxStatus extends PodSandbox {
  network?: { ip?: string; additionalIps?: { ip?: string }[] };
  linux?: { namespaces?: { options?: NamespaceOption } };
}

export interface LinuxContainerResources {
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuShares?: number;
  memoryLimitInBytes?: number;
  oomScoreAdj?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  unified?: Record<string, string>;
}

export interface LinuxContainerSecurityContext {
  capabilities?: { addCapabilities?: string[]; dropCapabilities?: string[] };
  privileged?: boolean;
  namespaceOptions?: NamespaceOption;
  runAsUser?: { value?: number };
  runAsGroup?: { value?: number };
  runAsUsername?: string;
  readonlyRootfs?: boolean;
  supplementalGroups?: number[];
  noNewPrivs?: boolean;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  seccomp?: SecurityProfile;
}

/** propagation: 0 private, 1 host to container, 2 bidirectional. */
export interface Mount {
  containerPath: string;
  hostPath: string;
  readonly?: boolean;
  selinuxRelabel?: boolean;
  propagation?: number;
}

export interface ContainerConfig {
  metadata: { name: string; attempt?: number };
  image: { image: string };
  command?: string[];
  args?: string[];
  workingDir?: string;
  envs?: { key: string; value?: string }[];
  mounts?: Mount[];
  devices?: { containerPath: string; hostPath: string; permissions: string }[];
  labels: Record<string, string>;
  annotations: Record<string, string>;
  logPath: string;
  stdin?: boolean;
  stdinOnce?: boolean;
  tty?: boolean;
  linux?: { resources?: LinuxContainerResources; securityContext?: LinuxContainerSecurityContext };
}

/** 0 CREATED, 1 RUNNING, 2 EXITED, 3 UNKNOWN. */
export const ContainerState = { CREATED: 0, RUNNING: 1, EXITED: 2, UNKNOWN: 3 } as const;

export interface Container {
  id: string;
  podSandboxId: string;
  metadata: { name: string; attempt?: number };
  image?: { image?: string };
  imageRef?: string;
  state?: number;
  createdAt?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** Times: nanoseconds since the epoch (rounded to what a double holds); 0 or undefined when it has not happened. */
export interface ContainerStatus extends Omit<Container, "podSandboxId"> {
  startedAt?: number;
  finishedAt?: number;
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
  size?: number;
  uid?: { value?: number };
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
  cpu?: { timestamp?: number; usageCoreNanoSeconds?: { value?: number } };
  memory?: { timestamp?: number; workingSetBytes?: { value?: number } };
  writableLayer?: { usedBytes?: { value?: number } };
}
