/** The structure of our own kinds (capstan.dev/v1), in the same facts as upstream's, so that they take the same way. */
import type { GroupFacts, ResourceFacts, Schema } from "../schema.ts";

const PREFIX = "dev.capstan.v1.";
const string: Schema = { type: "string" };
const boolean: Schema = { type: "boolean" };
const integer: Schema = { type: "integer", format: "int64" };
const number: Schema = { type: "number", format: "double" };
const time: Schema = { ref: "io.k8s.apimachinery.pkg.apis.meta.v1.Time" };
const ref = (name: string): Schema => ({ ref: PREFIX + name });
const set = (items: Schema): Schema => ({ type: "array", items, listType: "set" });
const list = (items: Schema): Schema => ({ type: "array", items, listType: "atomic" });
const object = (properties: Record<string, Schema>, required: string[] = []): Schema => ({
  type: "object",
  properties,
  ...(required.length > 0 ? { required } : {}),
});
const conditions: Schema = {
  type: "array",
  items: { ref: "io.k8s.apimachinery.pkg.apis.meta.v1.Condition" },
  listType: "map",
  listMapKeys: ["type"],
  patchStrategy: "merge",
  patchMergeKey: "type",
};

function kind(name: string): Record<string, Schema> {
  const typed = { apiVersion: string, kind: string };
  return {
    [PREFIX + name]: {
      ...object({
        ...typed,
        metadata: { ref: "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", default: {} },
        spec: { ...ref(`${name}Spec`), default: {} },
        status: { ...ref(`${name}Status`), default: {} },
      }),
      gvks: [{ group: "capstan.dev", version: "v1", kind: name }],
    },
    [`${PREFIX}${name}List`]: {
      ...object(
        {
          ...typed,
          metadata: { ref: "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", default: {} },
          items: { type: "array", items: ref(name) },
        },
        ["items"],
      ),
      gvks: [{ group: "capstan.dev", version: "v1", kind: `${name}List` }],
    },
  };
}

export const CAPSTAN_TYPES: Record<string, Schema> = {
  ...kind("Plugin"),
  /** The manifest (sdk/plugin/manifest.ts, which the host parses it with), the digest, and whether it is called. */
  [`${PREFIX}PluginSpec`]: object({
    enabled: { ...boolean, default: true },
    version: string,
    description: string,
    witVersion: string,
    digest: string,
    /** Where the component comes from: its signature is checked then. */
    source: ref("PluginSource"),
    /** Digests of the capabilities that a person has approved. */
    approved: set(string),
    /** Instead of the platform's engine. */
    engine: { ...string, enum: ["wasmtime", "jco"] },
    /** The WIT worlds the component implements: "filter", "score", "admission" … */
    worlds: set(string),
    /** Hooks by world, where not all of them are there. */
    hooks: { type: "object", values: list(string) },
    /** Only for the worlds that ask: which requests reach the component. */
    match: list(ref("PluginMatchRule")),
    /** The fields of objects that the component is shown, as dotted paths by subject. */
    projection: { type: "object", values: list(string) },
    /** Objects that the host hands over with each review. */
    context: list(ref("PluginContext")),
    capabilities: list(ref("PluginCapability")),
    limits: ref("PluginLimits"),
    failurePolicy: { ...string, enum: ["Fail", "Ignore"], default: "Fail" },
    /** Names of the store guards this plugin stands for, e.g. "node-capacity". */
    guards: set(string),
    /** Of several plugins of one world the lower is called first. */
    order: integer,
    /** Filter and score: how long an answer holds. */
    scope: string,
    /** Filter and score: only about pods like these. */
    filterConcern: ref("PluginConcern"),
    scoreConcern: ref("PluginConcern"),
    /** Filter and score: it is told what the pods on a node ask for in sum; true unless said. */
    usage: { ...boolean, default: true },
    /** Filter and score of scope cluster: which pods of one class are placed several at a time. */
    together: ref("PluginTogether"),
    /** Score: from its scale to 0–100. */
    normalize: string,
    /** Score: how much its scores count. */
    weight: integer,
    configSchema: { type: "object", preserveUnknownFields: true },
    config: { type: "object", preserveUnknownFields: true },
  }),
  [`${PREFIX}PluginSource`]: object({
    /** HOST[:PORT]/REPOSITORY; left out for what was imported from a file. */
    repository: string,
    /** The digest of the artifact's manifest, which its signatures are over. */
    manifest: string,
  }),
  [`${PREFIX}PluginMatchRule`]: object({
    groups: set(string),
    resources: set(string),
    operations: set(string),
    namespaces: set(string),
    /** Keys: only where the object, or the one before it, has one of them. */
    labels: set(string),
    /** Only requests of users in one of these groups. */
    userGroups: set(string),
    /** Dotted paths: only where the object has one of them. */
    fields: set(string),
  }),
  [`${PREFIX}PluginConcern`]: object({
    /** Dotted paths: pods that have something there. */
    pod: set(string),
    /** All pods, as long as some pod on a node has something there. */
    pods: set(string),
  }),
  [`${PREFIX}PluginTogether`]: object({
    /** Dotted paths to keys of node labels: pods placed together go to nodes with different values. */
    domains: set(string),
    /** Dotted paths: pods that have something there are placed one at a time. */
    alone: set(string),
  }),
  [`${PREFIX}PluginContext`]: object({
    group: string,
    version: string,
    resource: string,
    skipWhenEmpty: boolean,
    /** Left out: all of the namespace. "namespace", "name" or "object.PATH": the one object that this names. */
    named: string,
    /** Only with reviews of these resources ("pods", "pods/eviction"). */
    resources: set(string),
    /** Keys: only objects that have one of these labels. */
    labels: set(string),
    /** Dotted paths of what is handed over; whole objects where there are none. */
    fields: set(string),
    /** The hook is called, whatever skipWhenEmpty says, once the configuration has one of these keys. */
    unlessConfigured: set(string),
  }),
  [`${PREFIX}PluginCapability`]: object(
    {
      name: string,
      reason: string,
      /** api: "read" or "write". */
      access: string,
      /** api: what the plugin's own user may do. */
      rules: list({ ref: "io.k8s.api.rbac.v1.PolicyRule" }),
      /** grpc, exec, files: what stands behind each name the component uses. */
      sockets: { type: "object", values: string },
      programs: { type: "object", values: string },
      trees: { type: "object", values: string },
      /** http: scheme, host and port of each server. */
      origins: set(string),
      /** net: the plugin's own nftables table, and what the names of its links begin with. */
      table: string,
      links: set(string),
      /** mount: what the paths of devices begin with. */
      devices: set(string),
    },
    ["name"],
  ),
  [`${PREFIX}PluginLimits`]: object({
    memoryMiB: integer,
    deadlineMs: integer,
    fuel: integer,
    hookDeadlinesMs: { type: "object", values: integer },
    instances: integer,
    queue: integer,
  }),
  [`${PREFIX}PluginStatus`]: object({
    conditions,
    /** By "role/instance", e.g. "scheduler/0". */
    hosts: { type: "object", values: ref("PluginHostStatus") },
    /** The digest of the capabilities that are asked for. */
    asked: string,
    /** Versions that were approved, the newest first. */
    revisions: list(ref("PluginRevision")),
  }),
  [`${PREFIX}PluginRevision`]: object({
    revision: integer,
    time,
    spec: { type: "object", preserveUnknownFields: true },
  }),
  [`${PREFIX}PluginHookLatency`]: object({ counts: list(integer), sumSeconds: number, queueSeconds: number }),
  [`${PREFIX}PluginHostStatus`]: object({
    engine: string,
    state: string,
    reason: string,
    calls: integer,
    errors: integer,
    /** "trap", "deadline", "memory", "denied", "failure", "unavailable". */
    errorsByKind: { type: "object", values: integer },
    digest: string,
    latency: ref("PluginLatency"),
    instances: integer,
    restarts: integer,
    memoryBytes: integer,
    costMicros: number,
    hooks: { type: "object", values: ref("PluginHookLatency") },
    lastSeen: time,
  }),
  [`${PREFIX}PluginLatency`]: object({
    p50Milliseconds: number,
    p99Milliseconds: number,
    maxMilliseconds: number,
    totalMilliseconds: number,
  }),
  ...kind("Tenant"),
  [`${PREFIX}TenantSpec`]: object({
    /** Rules of the boundary (platform/apiserver/admission/boundary.ts) that root has granted this tenant exceptions from. */
    exceptions: set(string),
    /** What the tenant's own plugins may take. */
    plugins: ref("TenantPlugins"),
  }),
  [`${PREFIX}TenantPlugins`]: object({
    count: integer,
    memoryMiB: integer,
    /** Milliseconds of CPU in a second. */
    cpuMilliseconds: integer,
    /** Of an answer, and of what a host call is given. */
    crossingKiB: integer,
  }),
  [`${PREFIX}TenantStatus`]: object({ phase: string, id: integer, conditions }),
};

export const CAPSTAN_GROUP: GroupFacts = { name: "capstan.dev", versions: ["v1"] };

const resource = (name: string, plural: string, more: ResourceFacts["subresources"] = []): ResourceFacts => ({
  group: "capstan.dev",
  version: "v1",
  resource: plural,
  kind: name,
  singular: name.toLowerCase(),
  namespaced: false,
  verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
  shortNames: [],
  categories: [],
  subresources: [{ name: "status", kind: name, verbs: ["get", "patch", "update"] }, ...more],
});

export const CAPSTAN_RESOURCES: ResourceFacts[] = [
  resource("Plugin", "plugins", [
    { name: "log", kind: "Plugin", verbs: ["get"] },
    { name: "panel", kind: "Plugin", verbs: ["create", "get"] },
  ]),
  resource("Tenant", "tenants"),
];
