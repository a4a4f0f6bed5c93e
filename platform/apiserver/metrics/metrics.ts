/**
 * What nodes and pods use (metrics.k8s.io/v1beta1: `kubectl top`, HorizontalPodAutoscaler). Nothing is kept: each question is put to the
 * agents of the nodes it is about, a few at a time, and what one of them answers goes out before the next is read.
 */
import type { Writable } from "node:stream";
import { type Log, messageOf } from "#platform/base/log.ts";
import { ALL_TENANTS, ROOT_TENANT, type Store, type StoredObject } from "#platform/store/port.ts";
import { matchesLabels, parseLabelSelector } from "#sdk/api/labels.ts";
import { badRequest, notFound, StatusError } from "#sdk/api/status.ts";
import type { Exchange } from "../http/exchange.ts";
import { methodNotAllowed } from "../http/refusals.ts";
import { notFoundResource } from "../registry/updating.ts";
import { createNodeConnections, type NodeConnections } from "../streaming/node-connection.ts";
import type { NodeAddress, NodeCredentials } from "../streaming/port.ts";
import { type AgentSummary, nodeMetrics, podMetrics, readSummary } from "./values.ts";

const NODES_AT_ONCE = 8;
const NODE_MS = 10_000;

export interface MetricsParts {
  store: Store;
  credentials: NodeCredentials;
  /** Where a node's agent listens; undefined for a node that has said nothing yet. */
  addressOf(node: string): Promise<NodeAddress | undefined>;
  log: Pick<Log, "warn">;
}

type Labelled = Pick<StoredObject, "labels" | "fields" | "key" | "uid">;

export class MetricsApi {
  readonly #parts: MetricsParts;
  readonly #nodes: NodeConnections;

  constructor(parts: MetricsParts) {
    this.#parts = parts;
    this.#nodes = createNodeConnections(parts.credentials);
  }

  /** Throws StatusError before anything was answered. */
  async handle(exchange: Exchange): Promise<void> {
    const { info, method } = exchange;
    if (info.version !== "v1beta1" || info.subresource !== "") throw notFoundResource();
    if (info.resource !== "nodes" && info.resource !== "pods") throw notFoundResource();
    if ((method !== "GET" && method !== "HEAD") || info.verb === "watch") throw methodNotAllowed();
    exchange.served = true;
    if (info.resource === "nodes") await this.#serveNodes(exchange);
    else await this.#servePods(exchange);
  }

  async #serveNodes(exchange: Exchange): Promise<void> {
    const { info, scope } = exchange;
    // Nodes are root's, and what runs on them is everybody's: a tenant is told of its own pods only.
    const seen = scope === ROOT_TENANT || scope === ALL_TENANTS;
    const wanted = seen ? await this.#select(exchange, { tenant: ROOT_TENANT, resource: "nodes" }) : [];
    const [one] = wanted;
    if (info.name !== "") {
      const summary = one && (await this.#summaryOf(one.key.name, exchange.signal));
      const item = one && summary && nodeMetrics(one, summary);
      if (!item) throw notFound({ group: "metrics.k8s.io", resource: "nodemetrics" }, info.name);
      return send(exchange, JSON.stringify(item));
    }
    const nodes = new Map(wanted.map((node) => [node.key.name, [node]]));
    await this.#stream(exchange, "NodeMetricsList", nodes, ([node], summary) => {
      const item = node && nodeMetrics(node, summary);
      return item ? [item] : [];
    });
  }

  async #servePods(exchange: Exchange): Promise<void> {
    const { info, scope } = exchange;
    if (info.name !== "" && info.namespace === "") throw badRequest("a pod is named with its namespace");
    const where = { tenant: scope, resource: "pods", ...(info.namespace ? { namespace: info.namespace } : {}) };
    const byNode = new Map<string, Labelled[]>();
    for (const pod of await this.#select(exchange, where)) {
      const node = pod.fields["spec.nodeName"] ?? "";
      if (node === "") continue;
      const others = byNode.get(node);
      if (others) others.push(pod);
      else byNode.set(node, [pod]);
    }
    const items = (pods: Labelled[], summary: AgentSummary) => podMetrics(pods, summary);
    if (info.name === "") return await this.#stream(exchange, "PodMetricsList", byNode, items);
    for (const [node, pods] of byNode) {
      const summary = await this.#summaryOf(node, exchange.signal);
      const [item] = summary ? items(pods, summary) : [];
      if (item) return send(exchange, JSON.stringify(item));
    }
    throw notFound({ group: "metrics.k8s.io", resource: "podmetrics" }, `${info.namespace}/${info.name}`);
  }

  /** By the request's name and label selector. */
  async #select(
    { info, query }: Exchange,
    scope: { tenant: typeof ALL_TENANTS | number; resource: string; namespace?: string },
  ): Promise<readonly Labelled[]> {
    const selector = parseLabelSelector(query.get("labelSelector") ?? "");
    const named = info.name === "" ? scope : { ...scope, name: info.name };
    const matcher = (object: { labels: Readonly<Record<string, string>> }) => matchesLabels(selector, object.labels);
    const { objects } = await this.#parts.store.list({
      scope: named,
      freshness: { type: "atLeast", revision: 0 },
      matcher,
    });
    return objects;
  }

  /** Undefined for a node that cannot be asked: what it runs is left out of lists, as upstream does. */
  async #summaryOf(node: string, signal: AbortSignal): Promise<AgentSummary | undefined> {
    const address = await this.#parts.addressOf(node);
    if (!address) return undefined;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(NODE_MS)]);
    try {
      const answer = await this.#nodes.get(address, "/stats/summary?only_cpu_and_memory=true", limit);
      return await readSummary(answer);
    } catch (error) {
      if (!signal.aborted) this.#parts.log.warn("a node's usage could not be read", { node, error: messageOf(error) });
      return undefined;
    }
  }

  async #stream<T>(
    exchange: Exchange,
    kind: string,
    byNode: ReadonlyMap<string, T>,
    items: (of: T, summary: AgentSummary) => object[],
  ): Promise<void> {
    const { signal } = exchange;
    begin(exchange);
    const response = exchange.response as unknown as Writable;
    response.write(`{"kind":"${kind}","apiVersion":"metrics.k8s.io/v1beta1","metadata":{},"items":[`);
    let separator = "";
    const left = [...byNode];
    const worker = async () => {
      for (let next = left.shift(); next && !signal.aborted; next = left.shift()) {
        const summary = await this.#summaryOf(next[0], signal);
        if (!summary) continue;
        for (const item of items(next[1], summary)) {
          response.write(`${separator}${JSON.stringify(item)}`);
          separator = ",";
        }
      }
    };
    await Promise.all(Array.from({ length: NODES_AT_ONCE }, worker));
    response.end("]}\n");
  }
}

function begin({ response, request, context }: Exchange): void {
  const accept = String(request.headers.accept ?? "*/*");
  if (!/json|\*\/\*/.test(accept))
    throw new StatusError(406, "NotAcceptable", "only the following media types are accepted: application/json");
  response.statusCode = 200;
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Cache-Control", "no-cache, private");
  response.setHeader("Audit-Id", context.requestId);
}

function send(exchange: Exchange, body: string): void {
  begin(exchange);
  exchange.response.end(`${body}\n`);
}
