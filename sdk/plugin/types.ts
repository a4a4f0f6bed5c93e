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

export interface NodeDelta {
  /** Forget everything first. */
  whole: boolean;
  nodes: NodeEntry[];
  usage: NodeUsage[];
  removed: number[];
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
