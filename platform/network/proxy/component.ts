/** What a component that programs services is told: the shapes of world `proxy` (sdk/wit/v1/proxy.wit). */
import { canonicalAddress, familyOf } from "#platform/rules/ranges.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { ProxyDelta, ServiceEndpoint, ServicePort as ToldPort } from "#sdk/plugin/types.ts";
import type { EndpointSlice, Service, ServicePort } from "../objects.ts";
import { backendsOf, isPort, type Place, type Usable } from "./endpoints.ts";

/** Programs services in place of the built-in rules while there is one. */
export interface ServiceComponent {
  /** Which one, with its version; undefined: none, the built-in rules serve. */
  current(): string | undefined;
  onChange(listener: () => void): void;
  /** An instance that was just made is told everything, by what `whole` answers then. */
  startsWith(whole: () => ProxyDelta): void;
  /** Resolves when connections made from now on follow. Rejects where it said no or did not answer. */
  render(delta: ProxyDelta): Promise<void>;
  addresses(addresses: string[]): Promise<void>;
}

/** One port of a service, and its endpoints. */
export type Told = [port: ToldPort, endpoints: ServiceEndpoint[]];

const FAMILIES = ["IPv4", "IPv6"] as const;
const ROOT = "root";
const AFFINITY_SECONDS = 10_800;

export function toldOf(service: Service, slices: readonly EndpointSlice[], place: Place, usable: Usable): Told[] {
  const ports = (service.spec?.ports ?? []).filter(({ port }) => isPort(port));
  return ports.map((port) => [portOf(service, port), endpointsOf(port, slices, place, usable)]);
}

function portOf(service: Service, { name = "", protocol = "TCP", port, nodePort = 0 }: ServicePort): ToldPort {
  const { spec = {}, metadata } = service;
  const tenant = tenantOf(service);
  const id = `${metadata.namespace ?? ""}/${metadata.name ?? ""}:${name}`;
  const balancers = spec.type === "LoadBalancer" ? (service.status?.loadBalancer?.ingress ?? []) : [];
  const sticky = spec.sessionAffinity === "ClientIP";
  return {
    id: tenant === ROOT ? id : `${tenant}/${id}`,
    tenant,
    protocol,
    port,
    nodePort,
    clusterIps: (spec.clusterIPs ?? [spec.clusterIP ?? ""]).filter((ip) => familyOf(ip) !== undefined),
    externalIps: spec.externalIPs ?? [],
    loadBalancerIps: balancers.flatMap(({ ip, ipMode }) => (ip !== undefined && ipMode !== "Proxy" ? [ip] : [])),
    sourceRanges: (spec.loadBalancerSourceRanges ?? []).map((range) => range.trim()),
    affinitySeconds: sticky ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS) : 0,
    externalLocal: spec.externalTrafficPolicy === "Local",
    internalLocal: spec.internalTrafficPolicy === "Local",
    healthCheckNodePort: spec.healthCheckNodePort ?? 0,
  };
}

/** Each address and port once, sorted. */
function endpointsOf(
  port: ServicePort,
  slices: readonly EndpointSlice[],
  place: Place,
  usable: Usable,
): ServiceEndpoint[] {
  const found = new Map<string, ServiceEndpoint>();
  for (const slice of slices)
    for (const own of slice.ports ?? []) {
      if ((own.name ?? "") !== (port.name ?? "") || (own.protocol ?? "TCP") !== (port.protocol ?? "TCP")) continue;
      if (!isPort(own.port)) continue;
      for (const { addresses, nodeName = "", conditions = {} } of slice.endpoints ?? []) {
        const address = canonicalAddress(addresses[0] ?? "");
        if (familyOf(address) !== slice.addressType || !usable(address)) continue;
        const { ready = true, serving = ready, terminating = false } = conditions;
        const key = keyOf(address, own.port);
        const isLocal = nodeName === place.nodeName;
        // While an endpoint moves from one slice to another it is in both.
        if (!found.get(key)?.ready)
          found.set(key, {
            address,
            port: own.port,
            node: nodeName,
            isLocal,
            ready,
            serving,
            terminating,
            preferred: false,
          });
      }
    }
  const preferred = preferredOf(port, slices, place, usable, found);
  return [...found.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, endpoint]) => ({ ...endpoint, preferred: preferred.has(key) }));
}

const keyOf = (address: string, port: number): string => `${address} ${port}`;

/** Those that hints leave, where they leave out one that is ready. */
function preferredOf(
  port: ServicePort,
  slices: readonly EndpointSlice[],
  place: Place,
  usable: Usable,
  all: ReadonlyMap<string, ServiceEndpoint>,
): Set<string> {
  const chosen = FAMILIES.flatMap((family) => backendsOf(port, slices, place, usable, family).cluster);
  const ready = [...all.values()].filter((endpoint) => endpoint.ready).length;
  return new Set(chosen.length < ready ? chosen.map(({ address, port: number }) => keyOf(address, number)) : []);
}
