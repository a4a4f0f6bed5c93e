/** HAProxy's configuration: a global file, and one file for each service (HAProxy reads a folder in order). Pure. */

import { type Family, familyOf, isAddress, isRange } from "./ranges.ts";

export interface ServicePort {
  name?: string;
  protocol?: string;
  port: number;
}

export interface Service {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name?: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    deletionTimestamp?: string;
    finalizers?: string[];
  };
  spec?: {
    type?: string;
    ports?: ServicePort[];
    ipFamilies?: string[];
    loadBalancerClass?: string;
    loadBalancerIP?: string;
    loadBalancerSourceRanges?: string[];
    sessionAffinity?: string;
  };
  status?: { loadBalancer?: { ingress?: Ingress[] } };
}

export interface Ingress {
  ip?: string;
  ipMode?: string;
  ports?: { port: number; protocol: string }[];
}

export interface EndpointSlice {
  metadata: { name?: string; namespace?: string };
  addressType?: string;
  ports?: { name?: string; protocol?: string; port?: number }[] | null;
  endpoints?:
    | { addresses: string[]; conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean } }[]
    | null;
}

/** As HAProxy and people write an address with a port. */
const withPort = (address: string, port: number): string =>
  familyOf(address) === "IPv4" ? `${address}:${port}` : `[${address}]:${port}`;

/** A backend is "address:port", of one family; ready endpoints, or, when there are none, those that end but still serve. Sorted. */
export function backendsOf(port: ServicePort, slices: readonly EndpointSlice[], family: Family): string[] {
  const ready = new Set<string>();
  const ending = new Set<string>();
  for (const slice of slices) {
    if (slice.addressType !== family) continue;
    const ports = (slice.ports ?? []).filter(
      (p) => (p.name ?? "") === (port.name ?? "") && (p.protocol ?? "TCP") === "TCP",
    );
    for (const { port: number } of ports)
      for (const { addresses, conditions = {} } of slice.endpoints ?? []) {
        const [address] = addresses;
        if (number === undefined || address === undefined || !isAddress(address, family)) continue;
        if (conditions.ready ?? true) ready.add(withPort(address, number));
        else if (conditions.serving && conditions.terminating) ending.add(withPort(address, number));
      }
  }
  return [...(ready.size > 0 ? ready : ending)].sort();
}

/** HAProxy carries TCP; a port of another protocol is left out, and the caller says so. */
export const carried = (service: Service): ServicePort[] =>
  (service.spec?.ports ?? []).filter((port) => (port.protocol ?? "TCP") === "TCP");

/** Whom a service lets in by an address of this family; undefined: everybody. */
function rejection({ spec }: Service, family: Family): string | undefined {
  const ranges = (spec?.loadBalancerSourceRanges ?? []).map((range) => range.trim());
  const [mine, others] = [family, family === "IPv4" ? "IPv6" : "IPv4"].map((one) =>
    ranges.filter((range) => isRange(range, one as Family)),
  );
  if (mine?.length) return `  tcp-request connection reject unless { src ${mine.join(" ")} }`;
  return others?.length ? "  tcp-request connection reject" : undefined;
}

/** HAProxy takes a server's name without brackets. */
const nameOf = (backend: string): string => backend.replace(/[[\]]/g, "");

/** The file of one service, which has an address of each of its families. `key` is "tenant:namespace:name". */
export function serviceFile(
  key: string,
  service: Service,
  addresses: readonly string[],
  slices: readonly EndpointSlice[],
): string {
  const sticky = service.spec?.sessionAffinity === "ClientIP";
  const section = (address: string, port: ServicePort): string => {
    const family = familyOf(address);
    const name = `${key}:${port.port}${family === "IPv4" ? "" : ":6"}`;
    const rejected = rejection(service, family);
    return [
      `frontend ${name}`,
      `  bind ${withPort(address, port.port)}`,
      ...(rejected === undefined ? [] : [rejected]),
      `  default_backend ${name}`,
      `backend ${name}`,
      // A client's endpoint follows from its address: no table that a reload would lose.
      ...(sticky ? ["  balance source", "  hash-type consistent"] : ["  balance roundrobin"]),
      ...backendsOf(port, slices, family).map((backend) => `  server ${nameOf(backend)} ${backend}`),
      "",
    ].join("\n");
  };
  return carried(service)
    .flatMap((port) => addresses.map((address) => section(address, port)))
    .join("\n");
}

/** `directory`: absolute, where the sockets are. */
export const globalFile = (
  directory: string,
): string => `# Written by Capstan; services are in the files beside this one.
global
  user haproxy
  group haproxy
  # The next process takes the listening sockets from here, so that no connection is refused while it starts.
  stats socket ${directory}/${STATS_SOCKET} mode 600 level admin expose-fd listeners
  # The process before it goes on with its connections, but not for ever.
  hard-stop-after 10m
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout client-fin 30s
  timeout server-fin 30s
  # An endpoint that does not answer any more: the connection is tried at another one.
  retries 3
  option redispatch 1
`;

export const STATS_SOCKET = "stats.sock";
export const MASTER_SOCKET = "master.sock";
