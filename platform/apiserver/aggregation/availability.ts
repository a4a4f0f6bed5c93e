/** Whether an extension server can be reached, in upstream's reasons (kube-aggregator's remote availability controller). */
import type { Store } from "#platform/store/port.ts";
import type { EndpointSlice, Service } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { partOf, type SwaggerPart } from "../openapi/merge.ts";
import type { ServiceResolver } from "../webhook/client.ts";
import { type Dial, dial, pathOf, type RemoteApi, remoteHeaders, resourcesOf } from "./remote.ts";

const CHECK_TIMEOUT_MS = 5_000;
const DOCUMENT_BYTES_MAX = 4 * 1024 * 1024;
/** As upstream: the aggregator itself asks, and may see everything. */
const AGGREGATOR = { name: "system:kube-aggregator", groups: ["system:masters"] };

export interface Verdict {
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  /** What the server serves, where it could be asked. */
  resources?: ResourceFacts[];
  /** What it tells of them in OpenAPI v2, where it does. */
  swagger?: SwaggerPart;
}

export interface CheckParts {
  store: Store;
  resolve: ServiceResolver;
  proxy: Dial["proxy"];
  mayDial: Dial["mayDial"];
}

const no = (reason: string, message: string): Verdict => ({ status: "False", reason, message });

/** The service and its endpoints; undefined when there is nothing to say against them. */
async function serviceProblem({ store }: CheckParts, { tenant, service }: RemoteApi): Promise<Verdict | undefined> {
  const { namespace, name, port } = service;
  const what = `service/${name} in ${JSON.stringify(namespace)}`;
  const freshness = { type: "atLeast", revision: 0 } as const;
  const stored = await store.get({ tenant, resource: "services", namespace, name }, freshness);
  if (!stored) return no("ServiceNotFound", `${what} is not present`);
  const { spec } = JSON.parse(stored.document) as Service;
  if ((spec?.type ?? "ClusterIP") !== "ClusterIP") return undefined;
  const wanted = spec?.ports?.find((p) => p.port === port);
  if (!wanted) return no("ServicePortError", `${what} is not listening on port ${port}`);
  const { objects } = await store.list({
    scope: { tenant, resource: "endpointslices.discovery.k8s.io", namespace },
    matcher: ({ labels }) => labels["kubernetes.io/service-name"] === name,
    freshness,
  });
  if (objects.length === 0) return no("EndpointsNotFound", `cannot find endpointslices for ${what}`);
  const portName = wanted.name ?? "";
  const reachable = objects.some(({ document }) => {
    const { endpoints, ports } = JSON.parse(document) as EndpointSlice;
    const ready = (endpoints ?? []).some(({ conditions }) => conditions?.ready !== false);
    return ready && ports?.some((p) => (p.name ?? "") === portName && p.port !== undefined);
  });
  if (reachable) return undefined;
  const message = `endpointslices for ${what} have no addresses with port name ${JSON.stringify(portName)}`;
  return no("MissingEndpoints", message);
}

/** The body of a GET, as the aggregator; rejects with the reason. */
export async function ask(
  parts: CheckParts,
  api: RemoteApi,
  path: string,
  accept = "application/json",
): Promise<Buffer> {
  const address = await parts.resolve(api.tenant, api.service);
  const url = `https://${address.host}:${address.port}${path}`;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const failed = (error: Error) => reject(new Error(`failing or missing response from ${url}: ${error.message}`));
  const headers = { ...remoteHeaders(AGGREGATOR), accept };
  const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
  const sent = dial({ ...parts, api, address, method: "GET", path, headers, signal });
  sent.on("error", failed);
  sent.on("response", (answer) => {
    const { statusCode = 0 } = answer;
    const chunks: Buffer[] = [];
    let bytes = 0;
    answer.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > DOCUMENT_BYTES_MAX) sent.destroy(new Error("response body too large"));
    });
    answer.on("error", failed);
    answer.on("end", () => {
      if (statusCode >= 200 && statusCode < 300) resolve(Buffer.concat(chunks));
      else failed(new Error(`bad status from ${url}: ${statusCode}`));
    });
  });
  sent.end();
  return await promise;
}

/** A server that has none, or whose document is too large, is available all the same. */
async function swaggerOf(parts: CheckParts, api: RemoteApi): Promise<SwaggerPart | undefined> {
  try {
    return partOf(JSON.parse((await ask(parts, api, "/openapi/v2")).toString("utf8")), pathOf(api));
  } catch {
    return undefined;
  }
}

/** Without `deep` the server itself is not asked: undefined when nothing speaks against it. */
export async function checkAvailability(
  parts: CheckParts,
  api: RemoteApi,
  deep: boolean,
): Promise<Verdict | undefined> {
  const problem = await serviceProblem(parts, api);
  if (problem || !deep) return problem;
  try {
    const document = await ask(parts, api, pathOf(api));
    const resources = resourcesOf(api, JSON.parse(document.toString("utf8")));
    const swagger = await swaggerOf(parts, api);
    const told = swagger ? { swagger } : {};
    return { status: "True", reason: "Passed", message: "all checks passed", resources, ...told };
  } catch (error) {
    return no("FailedDiscoveryCheck", error instanceof Error ? error.message : String(error));
  }
}
