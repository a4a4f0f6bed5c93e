/** The contract's records (sdk/wit/v1), as guests and the host see them in TypeScript. Amounts: millicores, bytes, counts. */

export interface Amounts {
  cpuMilli: number;
  memory: number;
  ephemeralStorage: number;
  /** Extended resources and huge pages. */
  others: [name: string, amount: number][];
}

export interface NodeEntry {
  /** A small table index, stable while the node exists. */
  id: number;
  name: string;
  allocatable: Amounts;
  podsMax: number;
  /** JSON text of the declared projection of the Node. */
  object: string;
}

export interface NodeUsage {
  id: number;
  requested: Amounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  pods: number;
}

/** Pods on nodes that look the same to the component. */
export interface PodGroup {
  id: number;
  /** JSON text of the declared projection of "pods". */
  object: string;
}

export interface PodPlacement {
  node: number;
  group: number;
  /** How many pods of the group are on the node now. */
  count: number;
}

/** In the order in which they are to be applied. */
export interface NodeDelta {
  /** Forget everything first. */
  whole: boolean;
  removed: number[];
  nodes: NodeEntry[];
  usage: NodeUsage[];
  groups: PodGroup[];
  placements: PodPlacement[];
  /** Groups of which no pod is left. */
  forgotten: number[];
}

export interface PodClass {
  requests: Amounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  /** JSON text of the declared projection of the Pod. */
  object: string;
}

export interface Outcome {
  /** In upstream's words, without the number of nodes. */
  reasons: string[];
  /** No eviction of pods would help. */
  unresolvable: boolean;
}

export interface Verdicts {
  /** For each node in the order asked: 0 fits, n > 0 is outcomes[n - 1]. */
  codes: ArrayLike<number>;
  outcomes: Outcome[];
}

/** What differs from the last answer about a class; `whole`: nodes that are not listed fit. */
export interface VerdictChanges {
  whole: boolean;
  nodes: ArrayLike<number>;
  codes: ArrayLike<number>;
  outcomes: Outcome[];
}

/** As VerdictChanges; nodes that are not listed score 0. */
export interface ScoreChanges {
  whole: boolean;
  nodes: ArrayLike<number>;
  scores: ArrayLike<number>;
}

export interface Review {
  operation: string;
  group: string;
  version: string;
  kind: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  dryRun: boolean;
  /** JSON texts; "" where there is none. */
  user: string;
  object: string;
  oldObject: string;
  context: string;
}

export interface Mutation {
  /** JSON text of a JSON Patch, or "". */
  patch: string;
  warnings: string[];
}

export interface AccessAttributes {
  /** Names; "*" reads over all. */
  tenant: string;
  userTenant: string;
  /** JSON text: {name, uid, groups, extra}. */
  user: string;
  verb: string;
  group: string;
  version: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  path: string;
  fieldSelector: string;
  labelSelector: string;
}

export interface AccessDecision {
  verdict: "no-opinion" | "allow" | "deny";
  reason: string;
}

export interface TokenUser {
  /** "": the token is none of the plugin's. */
  name: string;
  uid: string;
  groups: string[];
  extra: [key: string, values: string[]][];
}

export type KeyFrom = { tag: "self" } | { tag: "owner"; val: string } | { tag: "label"; val: string };

export interface Watch {
  group: string;
  version: string;
  resource: string;
  labelSelector: string;
  fieldSelector: string;
  key: KeyFrom;
}

export interface ReconcileRequest {
  tenant: string;
  namespace: string;
  name: string;
}

export interface ReconcileOutcome {
  /** 0: nothing more until something changes. */
  requeueMs: number;
}

export interface Attachment {
  containerId: string;
  netns: string;
  interfaceName: string;
  /** JSON text: {tenant, namespace, name, uid, annotations, portMappings}. */
  pod: string;
}

export interface Placement {
  /** JSON text of the declared projection of the Pod. */
  pod: string;
  node: string;
}

/** "wait": milliseconds; "reject": what the pod's condition says. */
export type PermitDecision = { tag: "allow" } | { tag: "wait"; val: number } | { tag: "reject"; val: string };

export interface Room {
  /** Good for one answer. */
  id: string;
  node: string;
  free: Amounts;
  /** JSON text of the declared projection of the Node. */
  object: string;
}

export interface OfferAnswer {
  accepted: { offer: string; namespace: string; pod: string }[];
  /** 0: declined offers of a node come again with its next change. */
  declineMs: number;
}

export interface DevicePool {
  /** "example.com/gpu" */
  resourceName: string;
  devices: { id: string; healthy: boolean; numaNodes: number[] }[];
  preStartRequired: boolean;
  preferredAllocation: boolean;
}

export interface DeviceStock {
  pools: DevicePool[];
  /** JSON text of ResourceSlice specs, or "". */
  resourceSlices: string;
  /** 0: the host's own choice. */
  nextMs: number;
}

export interface DevicePreference {
  resourceName: string;
  available: string[];
  mustInclude: string[];
  count: number;
}

/** What is given to one container. */
export interface ContainerEdits {
  envs: [name: string, value: string][];
  mounts: { hostPath: string; containerPath: string; readOnly: boolean }[];
  deviceNodes: { hostPath: string; containerPath: string; permissions: string }[];
  annotations: [name: string, value: string][];
  cdiDevices: string[];
}

export interface PreparedDevice {
  requests: string[];
  pool: string;
  device: string;
  cdiDevices: string[];
}

export interface ServicePort {
  /** "NAMESPACE/NAME:PORTNAME" */
  id: string;
  tenant: string;
  protocol: string;
  port: number;
  /** 0: none. */
  nodePort: number;
  clusterIps: string[];
  externalIps: string[];
  loadBalancerIps: string[];
  sourceRanges: string[];
  /** 0: no affinity. */
  affinitySeconds: number;
  externalLocal: boolean;
  internalLocal: boolean;
  /** 0: none. */
  healthCheckNodePort: number;
}

export interface ServiceEndpoint {
  address: string;
  port: number;
  node: string;
  isLocal: boolean;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  preferred: boolean;
}

export interface ProxyDelta {
  /** Forget everything first. */
  whole: boolean;
  services: ServicePort[];
  endpoints: [id: string, endpoints: ServiceEndpoint[]][];
  removed: string[];
}

export interface PanelQuery {
  tenant: string;
  /** "": all that the person may see. */
  namespace: string;
  path: string;
  parameters: [name: string, value: string][];
  /** JSON text: {name, groups}. */
  user: string;
}
