/** The API server put together from its parts; platform/main/roles/apiserver.ts makes the parts. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Log } from "#platform/base/log.ts";
import { ROOT_TENANT, type Store } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { Aggregation } from "./aggregation/aggregation.ts";
import type { Audit } from "./audit/audit.ts";
import type { AnonymousRule, Authenticator } from "./authn/authenticator.ts";
import type { Authorizer } from "./authz/authorizer.ts";
import type { Fairness } from "./fairness/fairness.ts";
import type { FeatureGates } from "./features/features.ts";
import { Chain, type Trace } from "./http/chain.ts";
import { type Component, serveComponents } from "./http/components.ts";
import type { Exchange } from "./http/exchange.ts";
import type { BodyDecoder, Patcher } from "./http/patches.ts";
import { type PluginLog, sendLog } from "./http/plugin-log.ts";
import { type PluginPanels, servePanel } from "./http/plugin-panel.ts";
import { methodNotAllowed, PageNotFound } from "./http/refusals.ts";
import { ResourceHandler } from "./http/resources.ts";
import { type AnyResponse, statusOf } from "./http/respond.ts";
import { type ListeningServer, listen } from "./http/server.ts";
import { type HealthCheck, type SystemDocument, serveSystem } from "./http/system.ts";
import { isWebSocket, WebSocketResponse } from "./http/websocket.ts";
import type { MetricsApi } from "./metrics/metrics.ts";
import { METRICS_GROUP } from "./metrics/served.ts";
import { locate } from "./proxy/location.ts";
import { proxyRequest, proxyUpgrade } from "./proxy/proxy.ts";
import type { Registry } from "./registry/registry.ts";
import type { ResourceEntry } from "./registry/strategy.ts";
import { notFoundResource } from "./registry/updating.ts";
import type {
  NodeCredentials,
  PodForStreaming,
  Streaming,
  StreamingSubresource,
  StreamingTarget,
} from "./streaming/port.ts";

export interface ServerParts {
  listen: { host: string; port: number; cert: string; key: string; clientCa: string };
  registry: Registry;
  store: Store;
  tenants: TenantDirectory;
  authenticator: Authenticator;
  authorizer: Authorizer;
  decoder: BodyDecoder;
  patcher: Patcher;
  /** Absent where no node can be reached: log, exec, attach and port-forward answer 503 then. */
  streaming?: Streaming;
  /** The same for pods/proxy, services/proxy and nodes/proxy. */
  proxy?: {
    credentials: NodeCredentials;
    podCIDRs: readonly string[];
    /** Where this process reaches a pod's address; left out: there. */
    reach?(address: string): string;
  };
  /** What nodes and pods use, where no other server says so. */
  metrics?: MetricsApi;
  /** Absent where no other server answers for a part of the API. */
  aggregation?: Aggregation;
  fairness: Fairness;
  /** Absent: every request without credentials is anonymous. */
  anonymous?: AnonymousRule;
  /** Absent without an audit policy. */
  audit?: Audit;
  features: FeatureGates;
  /** What componentstatuses tell of. */
  components: readonly Component[];
  liveness: readonly HealthCheck[];
  readiness: readonly HealthCheck[];
  /** Metrics of what is below the server, in the text exposition format. */
  exposition?(): string;
  /** What a plugin has said, in whole lines. */
  pluginLog?: PluginLog;
  /** Plugins' pages of the console. */
  pluginPanels?: PluginPanels;
  documents(exchange: Exchange): SystemDocument | undefined;
  fixed: Readonly<Record<string, { type?: string; body(exchange: Exchange): unknown }>>;
  log: Log;
  clock: { now(): number };
}

const BUILD_INFO = 'kubernetes_build_info{git_version="v1.36.3",major="1",minor="36"}';
const STOP_GRACE_MS = 10_000;
const STREAMING = new Set(["exec", "attach", "portforward"]);
/** What admission is shown of a connection: its options, as upstream's kinds name them. */
const CONNECT_KINDS: Readonly<Record<string, string>> = {
  exec: "PodExecOptions",
  attach: "PodAttachOptions",
  portforward: "PodPortForwardOptions",
};
const CONNECT_FLAGS = ["stdin", "stdout", "stderr", "tty"];

function connectOptions(subresource: string, query: URLSearchParams): DynamicObject {
  const flags = CONNECT_FLAGS.filter((flag) => ["1", "true"].includes(query.get(flag) ?? ""));
  const container = query.get("container");
  const [command, ports] = [query.getAll("command"), query.getAll("ports").map(Number)];
  return {
    kind: CONNECT_KINDS[subresource] ?? "",
    apiVersion: "v1",
    metadata: {},
    ...Object.fromEntries(flags.map((flag) => [flag, true])),
    ...(container ? { container } : {}),
    ...(command.length > 0 ? { command } : {}),
    ...(ports.length > 0 ? { ports } : {}),
  };
}

export async function startServer(parts: ServerParts): Promise<ListeningServer> {
  const stopping = new AbortController();
  const resources = new ResourceHandler(parts);
  const { registry, log } = parts;

  const entryOf = async (exchange: Exchange): Promise<ResourceEntry> => {
    const { group, version, resource, subresource, namespace } = exchange.info;
    const entry = await registry.catalog.resolve(exchange.scope, group, version, resource);
    if (!entry) throw registry.catalog.serves(exchange.scope, group, version) ? notFoundResource() : new PageNotFound();
    if (!entry.facts.namespaced && namespace !== "" && resource !== "namespaces") throw notFoundResource();
    if (subresource !== "" && !entry.facts.subresources.some((s) => s.name === subresource)) throw notFoundResource();
    exchange.served = true;
    return entry;
  };

  const target = async (exchange: Exchange, entry: ResourceEntry): Promise<StreamingTarget> => {
    const { info, context, query } = exchange;
    const pod = (await registry.toVersion(
      context,
      entry,
      await registry.get(context, entry, info.namespace, info.name),
    )) as unknown as PodForStreaming;
    await registry.validateAction(context, entry, {
      operation: "CONNECT",
      subresource: info.subresource,
      kind: { group: "", version: "v1", kind: CONNECT_KINDS[info.subresource] ?? "Pod" },
      namespace: info.namespace,
      name: info.name,
      object: connectOptions(info.subresource, query),
      dryRun: false,
    });
    return { tenant: context.tenantName, pod, query, node: await nodeAddress(parts.store, pod.spec.nodeName) };
  };

  const streaming = (): Streaming => {
    if (!parts.streaming) throw new StatusError(503, "ServiceUnavailable", "no node can be reached from this server");
    return parts.streaming;
  };

  const dispatch = async (exchange: Exchange): Promise<void> => {
    const remote = parts.aggregation?.find(exchange.scope, exchange.info.path);
    if (remote) return await parts.aggregation?.forward(exchange, remote);
    if (!exchange.info.isResource) return await serveSystem(exchange, system);
    if (parts.metrics && exchange.info.group === METRICS_GROUP) return await parts.metrics.handle(exchange);
    const entry = await entryOf(exchange);
    const { info } = exchange;
    checkVerb(entry, exchange);
    if (entry.storeResource === "pods" && info.subresource === "log") {
      return await streaming().proxyLog(await target(exchange, entry), exchange.response as ServerResponse);
    }
    if (entry.storeResource === "plugins.capstan.dev" && info.subresource === "log") {
      await registry.get(exchange.context, entry, "", info.name);
      return await sendLog(exchange, parts.pluginLog);
    }
    if (entry.storeResource === "plugins.capstan.dev" && info.subresource === "panel") {
      await registry.get(exchange.context, entry, "", info.name);
      return await servePanel(exchange, parts.pluginPanels);
    }
    if (entry.storeResource === "pods" && STREAMING.has(info.subresource)) {
      throw new StatusError(400, "BadRequest", "Upgrade request required");
    }
    if (entry.storeResource === "componentstatuses") return await serveComponents(exchange, entry, parts.components);
    if (info.subresource === "proxy") {
      const { location, credentials } = await proxied(exchange, entry);
      return await proxyRequest(exchange, location, credentials);
    }
    await resources.handle(exchange, entry);
  };

  const proxied = async (exchange: Exchange, entry: ResourceEntry) => {
    const { info, context } = exchange;
    if (!parts.proxy) throw new StatusError(503, "ServiceUnavailable", "nothing can be reached from this server");
    const { credentials, podCIDRs, reach = (address) => address } = parts.proxy;
    const { storeResource } = entry;
    const location = await locate({ ...parts, podCIDRs }, context, storeResource, info.namespace, info.name);
    return { location: location.agent ? location : { ...location, host: reach(location.host) }, credentials };
  };

  const chain = new Chain({ ...parts, dispatch, stopping: stopping.signal });
  const system = {
    ...parts,
    metrics: chain.metrics,
    samples: () =>
      new Map([
        ["capstan_store_revision", parts.store.revision()],
        ...(parts.audit?.metrics() ?? [["apiserver_audit_event_total", 0] as const]),
        ["process_resident_memory_bytes", process.memoryUsage.rss()],
        ["process_cpu_seconds_total", (process.cpuUsage().user + process.cpuUsage().system) / 1e6],
        ["process_start_time_seconds", Math.round(performance.timeOrigin / 1000)],
        [BUILD_INFO, 1],
        ...parts.features.samples(),
        ...parts.fairness.metrics(),
      ]),
  };

  const onUpgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    socket.on("error", () => socket.destroy());
    const requestId = crypto.randomUUID();
    const trace: Trace = {};
    const { signal, gone } = chain.begin();
    socket.on("close", gone);
    const answer = isWebSocket(request) ? new WebSocketResponse(request, socket, head) : undefined;
    try {
      const exchange = await chain.admit(request, answer?.response as AnyResponse, requestId, signal, trace);
      trace.audit?.stage("ResponseStarted", 101);
      const remote = parts.aggregation?.find(exchange.scope, exchange.info.path);
      if (remote) return await parts.aggregation?.forwardUpgrade(exchange, remote, socket, head);
      const entry = exchange.info.isResource ? await entryOf(exchange) : undefined;
      if (entry && exchange.info.subresource === "proxy") {
        checkVerb(entry, exchange);
        const { location, credentials } = await proxied(exchange, entry);
        return await proxyUpgrade(exchange, socket, head, location, credentials);
      }
      const { verb, subresource: of } = exchange.info;
      if (entry && answer && (verb === "watch" || of === "log")) return await dispatch(exchange);
      if (entry?.storeResource !== "pods" || !STREAMING.has(exchange.info.subresource)) throw notFoundResource();
      await chain.alsoMay(exchange, "create");
      const subresource = exchange.info.subresource as StreamingSubresource;
      await streaming().handleUpgrade(request, socket, head, subresource, await target(exchange, entry));
    } catch (error) {
      refuseUpgrade(
        socket,
        JSON.stringify(statusOf(error, requestId, log)),
        error instanceof StatusError ? error.code : 500,
      );
    } finally {
      trace.audit?.stage("ResponseComplete", 101);
    }
  };

  const server = await listen({
    ...parts.listen,
    log,
    onRequest: (request, response) => chain.serve(request, response),
    onUpgrade,
  });
  return {
    port: server.port,
    close: async (graceMs = STOP_GRACE_MS) => {
      stopping.abort();
      await server.close(graceMs);
    },
  };
}

function checkVerb(entry: ResourceEntry, { info }: Exchange): void {
  const { facts } = entry;
  const subresource = facts.subresources.find((s) => s.name === info.subresource);
  // A proxy passes on whatever method there is.
  if (subresource?.name === "proxy") return;
  const verbs = info.subresource === "" ? facts.verbs : (subresource?.verbs ?? []);
  if (verbs.includes(info.verb)) return;
  if (facts.verbs.length === 0 && info.subresource === "") throw notFoundResource();
  throw methodNotAllowed();
}

interface NodeStatus {
  status?: {
    addresses?: { type: string; address: string }[];
    daemonEndpoints?: { kubeletEndpoint?: { Port?: number } };
  };
}

/** Nodes belong to root, whoever's the pod is. */
export async function nodeAddress(store: Store, name: string | undefined): Promise<StreamingTarget["node"]> {
  if (!name) return undefined;
  const stored = await store.get(
    { tenant: ROOT_TENANT, resource: "nodes", namespace: "", name },
    { type: "atLeast", revision: 0 },
  );
  if (!stored) return undefined;
  const { status } = JSON.parse(stored.document) as NodeStatus;
  const host = status?.addresses?.find((a) => a.type === "InternalIP")?.address;
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
  return host && port ? { host, port } : undefined;
}

function refuseUpgrade(socket: Duplex, body: string, code: number): void {
  if (socket.destroyed) return;
  const head = `HTTP/1.1 ${code} ${code === 401 ? "Unauthorized" : "Error"}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`;
  socket.end(head + body);
}
