/** HAProxy's configuration: a global file, and one file for each service (HAProxy reads a folder in order). Pure. */

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

const ADDRESS = /^(\d{1,3}\.){3}\d{1,3}$/;
const RANGE = /^(\d{1,3}\.){3}\d{1,3}\/\d{1,2}$/;

/** A backend is "address:port"; ready endpoints, or, when there are none, those that end but still serve. Sorted. */
export function backendsOf(port: ServicePort, slices: readonly EndpointSlice[]): string[] {
  const ready = new Set<string>();
  const ending = new Set<string>();
  for (const slice of slices) {
    if (slice.addressType !== "IPv4") continue;
    const ports = (slice.ports ?? []).filter(
      (p) => (p.name ?? "") === (port.name ?? "") && (p.protocol ?? "TCP") === "TCP",
    );
    for (const { port: number } of ports)
      for (const { addresses, conditions = {} } of slice.endpoints ?? []) {
        const [address] = addresses;
        if (number === undefined || address === undefined || !ADDRESS.test(address)) continue;
        if (conditions.ready ?? true) ready.add(`${address}:${number}`);
        else if (conditions.serving && conditions.terminating) ending.add(`${address}:${number}`);
      }
  }
  return [...(ready.size > 0 ? ready : ending)].sort();
}

/** HAProxy carries TCP; a port of another protocol is left out, and the caller says so. */
export const carried = (service: Service): ServicePort[] =>
  (service.spec?.ports ?? []).filter((port) => (port.protocol ?? "TCP") === "TCP");

/** The file of one service. `key` is "tenant:namespace:name". */
export function serviceFile(key: string, service: Service, address: string, slices: readonly EndpointSlice[]): string {
  const ranges = (service.spec?.loadBalancerSourceRanges ?? []).map((r) => r.trim()).filter((r) => RANGE.test(r));
  const sticky = service.spec?.sessionAffinity === "ClientIP";
  return carried(service)
    .map((port) => {
      const name = `${key}:${port.port}`;
      return [
        `frontend ${name}`,
        `  bind ${address}:${port.port}`,
        ...(ranges.length > 0 ? [`  tcp-request connection reject unless { src ${ranges.join(" ")} }`] : []),
        `  default_backend ${name}`,
        `backend ${name}`,
        // A client's endpoint follows from its address: no table that a reload would lose.
        ...(sticky ? ["  balance source", "  hash-type consistent"] : ["  balance roundrobin"]),
        ...backendsOf(port, slices).map((backend) => `  server ${backend} ${backend}`),
        "",
      ].join("\n");
    })
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
