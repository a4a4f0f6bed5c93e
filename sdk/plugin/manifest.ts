/**
 * The manifest: `capstan.plugin.json` in the author's tree, and (with the component's digest) the spec of an object of kind
 * Plugin (capstan.dev/v1). Parsed once where it enters. Guests never import this file.
 */
import { z } from "zod";
import type { ObjectMeta } from "../api/object.ts";

export const WORLDS = [
  "filter",
  "score",
  "admission",
  "authorizer",
  "authenticator",
  "controller",
  "runtime",
  "network",
  "permit",
  "offers",
  "volume",
  "device",
  "proxy",
  "panel",
] as const;
export type World = (typeof WORLDS)[number];

/** Hooks that a world's component may leave out by not listing them under `hooks`. */
export const WORLD_HOOKS: Record<World, readonly string[]> = {
  filter: ["sync", "evaluate", "update"],
  score: ["sync", "score", "normalize", "update"],
  admission: ["mutate", "validate"],
  authorizer: ["authorize"],
  authenticator: ["authenticate"],
  controller: ["watches", "reconcile"],
  runtime: ["*"],
  network: ["add", "del", "check", "status", "gc"],
  permit: ["permit", "unreserve"],
  offers: ["offer", "rescind"],
  volume: ["*"],
  device: ["inventory", "preferred", "allocate", "pre-start", "prepare", "unprepare"],
  proxy: ["render", "addresses", "remove"],
  panel: ["render", "act"],
};

const reason = z.string().min(1).max(500).describe("shown to the person who approves");
const word = z.string().regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);

/** As in a ClusterRole (rbac.authorization.k8s.io/v1 PolicyRule). */
const policyRuleSchema = z.object({
  apiGroups: z.array(z.string()).min(1),
  resources: z.array(z.string().min(1)).min(1),
  resourceNames: z.array(z.string()).optional(),
  verbs: z.array(z.string().min(1)).min(1),
});
export type PluginRule = z.infer<typeof policyRuleSchema>;

/** One granted capability. Paths may contain {dataDir}, {runDir} and what else the role defines ({containerdSocket} …). */
export const capabilitySchema = z.discriminatedUnion("name", [
  /** What the plugin's own user may do, in every tenant it is called for; without rules that is nothing. */
  z.object({
    name: z.literal("api"),
    reason,
    access: z.enum(["read", "write"]).default("read"),
    rules: z.array(policyRuleSchema).max(100).optional(),
  }),
  z.object({ name: z.literal("grpc"), reason, sockets: z.record(word, z.string().min(1)) }),
  /** Programs: a name to an absolute path, or to a bare program name that is looked for in the system's directories. */
  z.object({ name: z.literal("exec"), reason, programs: z.record(word, z.string().min(1)) }),
  z.object({ name: z.literal("files"), reason, trees: z.record(word, z.string().min(1)) }),
  /** Scheme, host and port of each server: "https://metrics.example:8443". */
  z.object({
    name: z.literal("http"),
    reason,
    origins: z
      .array(z.string().regex(/^https?:\/\/[^/\s]+$/))
      .min(1)
      .max(50),
  }),
  /** The plugin's own nftables table, and what the names of links that it makes begin with. */
  z.object({ name: z.literal("net"), reason, table: word, links: z.array(z.string().min(1).max(15)).default([]) }),
  /** Directories below which it mounts, and what the paths of devices that it uses begin with. */
  z.object({
    name: z.literal("mount"),
    reason,
    trees: z.record(word, z.string().min(1)),
    devices: z.array(z.string().startsWith("/dev/")).default([]),
  }),
]);
export type Capability = z.infer<typeof capabilitySchema>;

const matchSchema = z.object({
  /** "" is the core group; "*" any. */
  groups: z.array(z.string()).default(["*"]),
  resources: z.array(z.string()).min(1).describe('"pods", "pods/status", "*"'),
  operations: z.array(z.enum(["CREATE", "UPDATE", "DELETE", "CONNECT"])).min(1),
  namespaces: z.array(z.string()).optional(),
  /** Label keys: only where the object, or the one before it, has one of them. */
  labels: z.array(z.string()).optional(),
  /** Only requests of users in one of these groups. */
  userGroups: z.array(z.string()).optional(),
  /** Dotted paths ("spec.runtimeClassName"): only where the object has one of them. */
  fields: z.array(z.string()).optional(),
});
export type MatchRule = z.infer<typeof matchSchema>;

const contextSchema = z.object({
  group: z.string(),
  version: z.string(),
  resource: z.string(),
  /** There are none in the namespace: the hook is not called. */
  skipWhenEmpty: z.boolean().default(false),
  /** Left out: all objects of the namespace. "namespace", "name" or "object.PATH": the one object that this names. */
  named: z
    .string()
    .regex(/^(namespace|name|object(\.\w+)+)$/)
    .optional(),
  /** Only with reviews of these resources ("pods", "pods/eviction"); with others it neither crosses nor skips. */
  resources: z.array(z.string()).optional(),
  /** Label keys: only objects that have one of them. */
  labels: z.array(z.string()).optional(),
  /** Dotted paths of what is handed over; whole objects where it is left out. */
  fields: z.array(z.string()).optional(),
  /** With one of these keys in the configuration, skipWhenEmpty does not hold. */
  unlessConfigured: z.array(z.string()).optional(),
});
export type ContextRule = z.infer<typeof contextSchema>;

const limitsSchema = z.object({
  memoryMiB: z.number().int().min(4).max(1024).default(64),
  /** The host's own waiting inside the call (capability calls) counts. */
  deadlineMs: z.number().int().min(1).max(600_000).default(1000),
  /** What a call may cost, about one an instruction, the same on every machine. Counted where it is set, by the engine wasmtime alone. */
  fuel: z.number().int().min(1000).max(Number.MAX_SAFE_INTEGER).optional(),
  /** By hook, where one needs longer ("pullImage"). */
  hookDeadlinesMs: z.record(z.string(), z.number().int().min(1).max(3_600_000)).default({}),
  instances: z.number().int().min(1).max(64).default(1),
  queue: z.number().int().min(1).max(100_000).default(1000),
});

/**
 * How long an answer of a filter or score holds, for pods of which it is shown the same:
 * - "call": it is asked each time;
 * - "object": until the Node object changes;
 * - "objects": until any Node object changes;
 * - "node": until the Node object, or something about the pods there, changes;
 * - "cluster": it says itself what has changed (hook `update`).
 * Of an admission hook: "object": as long as operation, kind, the projections of both objects and the context are the same. Such a hook looks
 * neither at user, names nor time, but at what was declared alone. With any other scope it is asked each time.
 */
export const SCOPES = ["call", "object", "objects", "node", "cluster"] as const;

/** From the component's scale to 0–100, of scores s with the least a and the greatest b among a pod's candidates. */
export const NORMALIZATIONS = [
  /** The hook `normalize` does it, where it is listed. */
  "hook",
  /** 100 s / b */
  "maximum",
  /** 100 − 100 s / b */
  "reversed",
  /** 100 (a + b − s) / b */
  "mirrored",
  /** 100 (s − a) / (b − a) */
  "range",
] as const;
export type Normalization = (typeof NORMALIZATIONS)[number];

/** A filter or score is asked about a pod that has something at one of these paths ("PATH=TEXT": this text), or when some pod on a node has. */
const concernSchema = z.object({ pod: z.array(z.string()).default([]), pods: z.array(z.string()).default([]) });

/**
 * Of a filter or score with scope "cluster": which pods of one class may be placed several at a time. What such a pod changes for the others
 * of its class stays within the values of the node labels that the pod names at `domains`; a pod that has something at `alone` is placed alone.
 */
const togetherSchema = z.object({ domains: z.array(z.string()).default([]), alone: z.array(z.string()).default([]) });

export const manifestSchema = z.object({
  name: word.max(63),
  version: z.string().regex(/^\d+\.\d+\.\d+/),
  description: z.string().max(500).default(""),
  witVersion: z.literal("v1"),
  worlds: z.array(z.enum(WORLDS)).min(1),
  /** Hooks by world; a world that is not listed has all of its hooks. What is not listed is never called. */
  hooks: z.partialRecord(z.enum(WORLDS), z.array(z.string())).default({}),
  /** Admission: which requests. */
  match: z.array(matchSchema).default([]),
  /**
   * Dotted paths by subject ("pod", "node", "object"); a subject that is not listed crosses whole. "pods", what filters and scores
   * are told of the pods on nodes, does not cross unless it is listed.
   */
  projection: z.record(z.string(), z.array(z.string())).default({}),
  /** Admission: objects of the request's namespace that the host hands over with each review. */
  context: z.array(contextSchema).default([]),
  capabilities: z.array(capabilitySchema).default([]),
  limits: limitsSchema.prefault({}),
  /** What a hook's error or absence does to its request. */
  failurePolicy: z.enum(["Fail", "Ignore"]).default("Fail"),
  /** Guards of the store that stand only while the plugin is enabled ("node-capacity"). */
  guards: z.array(z.string()).default([]),
  /** Of several plugins of one world the lower is called first. */
  order: z.number().int().min(0).max(1000).default(500),
  /** Filter, score and admission: how long an answer holds. */
  scope: z.enum(SCOPES).default("call"),
  /** Filter and permit: only pods like these; left out: every pod. */
  filterConcern: concernSchema.optional(),
  /** Score: only pods like these; left out: every pod. */
  scoreConcern: concernSchema.optional(),
  /** Filter and score: it is told what the pods on a node ask for in sum. Without, all of that is 0 for it, and changes do not cross. */
  usage: z.boolean().default(true),
  /** Scope cluster; left out: one pod at a time. */
  together: togetherSchema.optional(),
  normalize: z.enum(NORMALIZATIONS).default("hook"),
  /** Score: how much its scores count. */
  weight: z.number().int().min(1).max(100).default(1),
  /** JSON Schema of `config`. */
  configSchema: z.record(z.string(), z.unknown()).default({}),
  config: z.record(z.string(), z.unknown()).default({}),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** Plugin.spec: the manifest without its name, the digest, and whether it is called. */
export const pluginSpecSchema = manifestSchema.omit({ name: true }).extend({
  /** "sha256:HEX" of the component. */
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  /**
   * Where the component comes from; left out: what the operator has put beside the platform. A sourced component runs only when one of the
   * tenant's trusted keys has signed it (sdk/distribution).
   */
  source: z
    .object({
      /** HOST[:PORT]/REPOSITORY; left out: imported from a file. */
      repository: z.string().max(500).optional(),
      /** Of the artifact's manifest. */
      manifest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
    })
    .optional(),
  enabled: z.boolean().default(true),
  /** Digests of the capabilities that a person has approved (sdk/plugin/approval.ts). */
  approved: z.array(z.string()).max(50).default([]),
  /** Instead of the platform's. */
  engine: z.enum(["wasmtime", "jco"]).optional(),
});
export type PluginSpec = z.infer<typeof pluginSpecSchema>;

export interface HookLatency {
  counts: number[];
  sumSeconds: number;
  /** Of that, waiting for an instance. */
  queueSeconds: number;
}

/** What one process says about a plugin; Plugin.status.hosts["role/instance"]. */
export interface PluginHostStatus {
  state: string;
  /** Why, when the state is not serving; or what stopped the last instance. */
  reason: string;
  engine: string;
  digest: string;
  calls: number;
  errors: number;
  /** "trap", "deadline", "memory", "denied", "failure", "unavailable". */
  errorsByKind: Record<string, number>;
  latency: { p50Milliseconds: number; p99Milliseconds: number; maxMilliseconds: number; totalMilliseconds: number };
  instances: number;
  restarts: number;
  memoryBytes: number;
  /** Microseconds of the guest's own time, in all calls. */
  costMicros: number;
  /** By hook; counts are cumulative, one for each bound of LATENCY_BOUNDS_SECONDS and one for all. */
  hooks: Record<string, HookLatency>;
  /** RFC 3339. */
  lastSeen: string;
}

export interface Plugin {
  apiVersion: "capstan.dev/v1";
  kind: "Plugin";
  metadata: ObjectMeta;
  spec: z.input<typeof pluginSpecSchema>;
  status?: {
    hosts?: Record<string, PluginHostStatus>;
    conditions?: PluginCondition[];
    /** The digest of the capabilities that are asked for: what an approver adds to spec.approved. */
    asked?: string;
    /** Versions that were approved, the newest first. */
    revisions?: PluginRevision[];
  };
}

export interface PluginRevision {
  revision: number;
  /** RFC 3339. */
  time: string;
  spec: Plugin["spec"];
}

/** "Approved", "Ready"; as metav1.Condition. */
export interface PluginCondition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number;
}

export const PLUGINS = { group: "capstan.dev", version: "v1", resource: "plugins" } as const;

export const parseManifest = (value: unknown): Manifest => manifestSchema.parse(value);

/** Worlds whose hooks make no host calls beside config, log and clock, unless they were granted some. */
const COMPUTING: ReadonlySet<World> = new Set([
  "filter",
  "score",
  "permit",
  "admission",
  "authorizer",
  "authenticator",
]);

/** It may be called on the caller's thread, where it is root's. */
export const onlyComputes = ({ capabilities, worlds }: Pick<Manifest, "capabilities" | "worlds">): boolean =>
  capabilities.length === 0 && worlds.every((world) => COMPUTING.has(world));
