/** The node's DNS server: answers this node's pods, each from its own tenant, and everybody else on the node from root. */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { canonicalAddress } from "#platform/rules/ranges.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, type Informer, keyOf, tenantOf } from "#sdk/client/port.ts";
import { cidrOf, contains } from "../host/addresses.ts";
import {
  type EndpointSlice,
  endpointSlices,
  type Pod,
  pods as podsResource,
  SERVICE_NAME_LABEL,
  type Service,
  services as servicesResource,
} from "../objects.ts";
import { cached } from "./cache.ts";
import { createForwarder, type Forwarder, hostResolvers } from "./forward.ts";
import { respond } from "./resolver.ts";
import { type DnsListener, listenDns } from "./server.ts";
import type { ZoneView } from "./zone.ts";

export interface DnsOptions {
  /** Its tenant is changed to the wildcard here. */
  client: Client;
  log: Log;
  signal: AbortSignal;
  nodeName: string;
  domain: string;
  /** The cluster's DNS address: packets to it reach `listen` by the service proxy's rules. */
  serviceAddress: string;
  /** The bridge's address. `port` is what is tried first; another free one is taken when somebody has it. */
  listen: { address: string; port: number };
  /** All pods' range: who asks from it without being a known pod gets no answer. */
  podCIDR: string;
  /** The same of the second address family: the bridge's address, and the pods' range. */
  secondary?: { address: string; podCIDR: string };
  /** What the node agent knows about its pods before the API says it. */
  tenantOfAddress?(address: string): string | undefined;
  forwarder?: Forwarder;
  /** Namespaces that have neither services nor pods here exist too. */
  hasNamespace?(tenant: string, namespace: string): boolean;
}

export interface RunningDns {
  /** Where it listens: what the proxy needs. */
  address: string;
  port: number;
  /** Resolves once services and pods are known; questions wait for it, up to a bound. */
  ready: Promise<void>;
  stopped: Promise<void>;
}

export const DNS_PORT = 10_053;
/** A pod may ask before its address has reached the API; a resolver waits 5 s. */
const UNKNOWN_POD_WAIT_MS = 2_500;
const UNKNOWN_POD_STEP_MS = 100;
const ROOT = "root";

const address = (object: Service) => {
  const { clusterIP = "", clusterIPs = [clusterIP] } = object.spec ?? {};
  return clusterIPs.filter(Boolean).map((one) => `${tenantOf(object)}/${canonicalAddress(one)}`);
};
const namespaceOf = (object: Service | Pod) => `${tenantOf(object)}/${object.metadata.namespace ?? ""}`;
const serviceKey = (slice: EndpointSlice) =>
  `${tenantOf(slice)}/${slice.metadata.namespace ?? ""}/${slice.metadata.labels?.[SERVICE_NAME_LABEL] ?? ""}`;
const sliceAddresses = (slice: EndpointSlice) =>
  [...new Set((slice.endpoints ?? []).flatMap((e) => e.addresses).map(canonicalAddress))].map(
    (a) => `${tenantOf(slice)}/${a}`,
  );
const podAddresses = (pod: Pod) =>
  pod.spec?.hostNetwork || ["Succeeded", "Failed"].includes(pod.status?.phase ?? "")
    ? []
    : (pod.status?.podIPs ?? [{ ip: pod.status?.podIP }]).flatMap(({ ip }) => (ip ? [ip] : []));

export async function startDns(options: DnsOptions): Promise<RunningDns> {
  const { log, signal, listen } = options;
  const client = options.client.tenant("*");
  const services = createInformer<Service>(client, servicesResource, {
    log,
    indexes: { address, namespace: (s) => [namespaceOf(s)] },
  });
  const slices = createInformer<EndpointSlice>(client, endpointSlices, {
    log,
    labelSelector: SERVICE_NAME_LABEL,
    indexes: { service: (s) => [serviceKey(s)], address: sliceAddresses },
  });
  const pods = createInformer<Pod>(client, podsResource, {
    log,
    fieldSelector: `spec.nodeName=${options.nodeName}`,
    indexes: { address: podAddresses, namespace: (p) => [namespaceOf(p)] },
  });
  const ready = Promise.all([services.start(signal), slices.start(signal), pods.start(signal)]).then(() => undefined);
  const tenantOfClient = clientTenants(options, pods);
  const forwarder =
    options.forwarder ?? cached(createForwarder(hostResolvers(new Set([listen.address, options.serviceAddress]))));
  const resolver = {
    domain: options.domain,
    forwarder,
    viewOf: async (from: string) => {
      await Promise.race([ready, delay(UNKNOWN_POD_WAIT_MS)]);
      const tenant = services.synced() && slices.synced() ? await tenantOfClient(from) : undefined;
      return tenant === undefined ? undefined : viewOf(tenant, services, slices, pods, options.hasNamespace);
    },
  };
  const answerQuery = (query: Buffer, from: string, viaTcp: boolean) => respond(resolver, query, from, viaTcp);
  const listener = await listenAnywhere(listen, answerQuery, log);
  const { secondary } = options;
  const second = secondary && (await listenAnywhere({ ...listen, address: secondary.address }, answerQuery, log));
  const stopped = new Promise<void>((resolve) => {
    signal.addEventListener(
      "abort",
      () => void Promise.all([listener.close(), second?.close()]).then(() => resolve()),
      { once: true },
    );
  });
  log.info("DNS is served", { address: listener.address, port: listener.port, domain: options.domain });
  return { address: listener.address, port: listener.port, ready, stopped };
}

async function listenAnywhere(
  at: { address: string; port: number },
  answerQuery: Parameters<typeof listenDns>[2],
  log: Log,
): Promise<DnsListener> {
  try {
    return await listenDns(at.address, at.port, answerQuery);
  } catch (error) {
    log.warn("the usual port for DNS is taken; another one is used", { port: at.port, error: messageOf(error) });
    return listenDns(at.address, 0, answerQuery);
  }
}

/** Whose question it is. A pod's address counts only while it is a living pod's; the node's own programs are root's. */
function clientTenants(options: DnsOptions, pods: Informer<Pod>): (client: string) => Promise<string | undefined> {
  const { secondary, listen } = options;
  const ranges = [options.podCIDR, ...(secondary ? [secondary.podCIDR] : [])].map(cidrOf);
  const own = new Set([listen.address, secondary?.address]);
  const known = (client: string) => {
    const pod = pods.byIndex("address", client)[0];
    return options.tenantOfAddress?.(client) ?? (pod && tenantOf(pod));
  };
  return async (client) => {
    const isPod = ranges.some((range) => contains(range, client)) && !own.has(client);
    if (!isPod) return ROOT;
    for (let waited = 0; waited <= UNKNOWN_POD_WAIT_MS; waited += UNKNOWN_POD_STEP_MS) {
      const tenant = known(client);
      if (tenant !== undefined) return tenant;
      await delay(UNKNOWN_POD_STEP_MS, options.signal);
    }
    return undefined;
  };
}

function viewOf(
  tenant: string,
  services: Informer<Service>,
  slices: Informer<EndpointSlice>,
  pods: Informer<Pod>,
  isNamespace: DnsOptions["hasNamespace"],
): ZoneView {
  return {
    service: (namespace, name) => services.get(`${tenant}/${namespace}/${name}`),
    slices: (namespace, name) => slices.byIndex("service", `${tenant}/${namespace}/${name}`),
    hasNamespace: (namespace) => {
      const key = `${tenant}/${namespace}`;
      if (isNamespace?.(tenant, namespace)) return true;
      return services.byIndex("namespace", key).length > 0 || pods.byIndex("namespace", key).length > 0;
    },
    serviceByAddress: (ip) => services.byIndex("address", `${tenant}/${ip}`)[0],
    slicesByAddress: (ip) =>
      slices.byIndex("address", `${tenant}/${ip}`).flatMap((slice) => {
        const service = services.get(serviceKey(slice));
        return service?.spec?.clusterIP === "None"
          ? [{ service, slices: slices.byIndex("service", keyOf(service)) }]
          : [];
      }),
  };
}
