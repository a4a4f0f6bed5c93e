/**
 * The cluster's zone, as pure questions and answers: Kubernetes' "DNS-Based Service Discovery", version 1.1.0.
 *
 *   SERVICE.NS.svc.ZONE               A    the cluster IP, or every ready endpoint of a headless service
 *   HOST.SERVICE.NS.svc.ZONE          A    one endpoint of a headless service; HOST is its hostname or "10-1-2-3"
 *   _PORT._PROTO.SERVICE.NS.svc.ZONE  SRV  a named port
 *   A-B-C-D.NS.pod.ZONE               A    the address in the name
 *   D.C.B.A.in-addr.arpa              PTR  of cluster IPs and of endpoints of headless services
 * A name that exists, but not with this type, is NODATA (NOERROR without answers), so that a resolver does not go on to the
 * next search domain for AAAA where A exists.
 */
import { isIPv4 } from "node:net";
import type { EndpointSlice, Service, SliceEndpoint } from "../objects.ts";

export const TTL_SECONDS = 5;

/** What one tenant can see. */
export interface ZoneView {
  service(namespace: string, name: string): Service | undefined;
  slices(namespace: string, name: string): EndpointSlice[];
  hasNamespace(namespace: string): boolean;
  serviceByAddress(address: string): Service | undefined;
  /** Slices with an endpoint of this address. */
  slicesByAddress(address: string): { service: Service; slices: EndpointSlice[] }[];
}

export type ZoneRecord =
  | { type: "A" | "CNAME" | "PTR" | "TXT"; name: string; data: string }
  | { type: "SRV"; name: string; data: { priority: number; weight: number; port: number; target: string } };

export type ZoneAnswer =
  /** Not ours: ask the resolvers of the host. */
  | { kind: "forward" }
  | { kind: "nxdomain" }
  /** Without records: NODATA. `additionals`: addresses of SRV targets. */
  | { kind: "records"; records: ZoneRecord[]; additionals: ZoneRecord[] };

const records = (list: ZoneRecord[], additionals: ZoneRecord[] = []): ZoneAnswer => ({
  kind: "records",
  records: list,
  additionals,
});
const nodata = records([]);
const nxdomain: ZoneAnswer = { kind: "nxdomain" };

/** `name` without a final dot, in any case; `domain` such as "cluster.local". */
export function answer(name: string, type: string, domain: string, view: ZoneView): ZoneAnswer {
  const lower = name.toLowerCase();
  if (lower.endsWith(".in-addr.arpa")) return reverse(name, lower, type, domain, view);
  if (lower === domain) return nodata;
  if (!lower.endsWith(`.${domain}`)) return { kind: "forward" };
  const labels = lower.slice(0, -domain.length - 1).split(".");
  const kind = labels.pop();
  if (kind === "dns-version" && labels.length === 0)
    return type === "TXT" ? records([{ type: "TXT", name, data: "1.1.0" }]) : nodata;
  if (kind !== "svc" && kind !== "pod") return nxdomain;
  const namespace = labels.pop();
  if (namespace === undefined) return nodata;
  if (labels.length === 0) return view.hasNamespace(namespace) ? nodata : nxdomain;
  if (kind === "pod") return podAnswer(name, labels, type, namespace, view);
  const service = labels.pop() ?? "";
  return serviceAnswer({ name, labels, type, namespace, service, domain, view });
}

function podAnswer(name: string, labels: string[], type: string, namespace: string, view: ZoneView): ZoneAnswer {
  const address = (labels[0] ?? "").replaceAll("-", ".");
  if (labels.length !== 1 || !isIPv4(address) || !view.hasNamespace(namespace)) return nxdomain;
  return type === "A" ? records([{ type: "A", name, data: address }]) : nodata;
}

interface ServiceQuestion {
  name: string;
  /** Before the service's own label: [], [host] or [_port, _protocol]. */
  labels: string[];
  type: string;
  namespace: string;
  service: string;
  domain: string;
  view: ZoneView;
}

function serviceAnswer(question: ServiceQuestion): ZoneAnswer {
  const { name, labels, type, namespace, view } = question;
  const service = view.service(namespace, question.service);
  if (!service) return nxdomain;
  if (service.spec?.type === "ExternalName") {
    if (labels.length > 0) return nxdomain;
    const target = (service.spec.externalName ?? "").replace(/\.$/, "");
    return target === "" ? nodata : records([{ type: "CNAME", name, data: target }]);
  }
  const headless = service.spec?.clusterIP === "None";
  const isPortName = labels.length === 2 && labels[0]?.startsWith("_") && labels[1]?.startsWith("_");
  if (labels.length === 0 || isPortName)
    return headless ? headlessAnswer(question, service, isPortName) : clusterIPAnswer(question, service, isPortName);
  if (labels.length > 1 || !headless) return nxdomain;
  const addresses = endpointsOf(view.slices(namespace, question.service), servesUnready(service))
    .filter(({ endpoint, address }) => hostOf(endpoint, address) === labels[0])
    .map(({ address }) => address);
  if (addresses.length === 0) return nxdomain;
  return type === "A" ? records([...new Set(addresses)].map((data) => ({ type: "A", name, data }))) : nodata;
}

const servesUnready = (service: Service) => service.spec?.publishNotReadyAddresses === true;
const hostOf = (endpoint: SliceEndpoint, address: string): string => endpoint.hostname ?? address.replaceAll(".", "-");
const matchesPort = (labels: string[], port: { name?: string; protocol?: string }): boolean =>
  labels.length === 0 ||
  (labels[0] === `_${port.name ?? ""}` && labels[1] === `_${(port.protocol ?? "TCP").toLowerCase()}`);

function clusterIPAnswer(
  { name, labels, type, namespace, service, domain }: ServiceQuestion,
  object: Service,
  isPortName: boolean | undefined,
): ZoneAnswer {
  const address = object.spec?.clusterIP ?? "";
  const ports = (object.spec?.ports ?? []).filter((port) => matchesPort(labels, port));
  if (isPortName && ports.length === 0) return nxdomain;
  if (!isIPv4(address)) return nodata;
  if (type === "A" && !isPortName) return records([{ type: "A", name, data: address }]);
  if (type !== "SRV") return nodata;
  const target = `${service}.${namespace}.svc.${domain}`;
  const list = ports.map((port): ZoneRecord => srv(name, port.port, target, ports.length));
  return records(list, list.length > 0 ? [{ type: "A", name: target, data: address }] : []);
}

const srv = (name: string, port: number, target: string, count: number): ZoneRecord => ({
  type: "SRV",
  name,
  data: { priority: 0, weight: Math.max(1, Math.floor(100 / count)), port, target },
});

interface SliceAddress {
  slice: EndpointSlice;
  endpoint: SliceEndpoint;
  address: string;
}

function endpointsOf(slices: EndpointSlice[], unready: boolean): SliceAddress[] {
  return slices
    .filter((slice) => slice.addressType === "IPv4")
    .flatMap((slice) =>
      (slice.endpoints ?? [])
        .filter((endpoint) => unready || (endpoint.conditions?.ready ?? true))
        .flatMap((endpoint) =>
          endpoint.addresses.filter((a) => isIPv4(a)).map((address) => ({ slice, endpoint, address })),
        ),
    );
}

function headlessAnswer(
  { name, labels, type, namespace, service, domain, view }: ServiceQuestion,
  object: Service,
  isPortName: boolean | undefined,
): ZoneAnswer {
  const endpoints = endpointsOf(view.slices(namespace, service), servesUnready(object));
  if (type === "SRV" || isPortName) {
    const found = endpoints.flatMap(({ slice, endpoint, address }) =>
      (slice.ports ?? [])
        .filter((port) => port.port !== undefined && matchesPort(labels, port))
        .map((port) => ({
          port: port.port ?? 0,
          address,
          target: `${hostOf(endpoint, address)}.${service}.${namespace}.svc.${domain}`,
        })),
    );
    if (found.length === 0) return nxdomain;
    if (type !== "SRV") return nodata;
    return records(
      found.map(({ port, target }) => srv(name, port, target, found.length)),
      found.map(({ target, address }) => ({ type: "A", name: target, data: address })),
    );
  }
  // A headless service that nothing backs does not exist for a resolver, as with CoreDNS.
  if (endpoints.length === 0) return nxdomain;
  if (type !== "A") return nodata;
  return records([...new Set(endpoints.map((e) => e.address))].map((data) => ({ type: "A", name, data })));
}

function reverse(name: string, lower: string, type: string, domain: string, view: ZoneView): ZoneAnswer {
  const address = lower.slice(0, -".in-addr.arpa".length).split(".").reverse().join(".");
  if (!isIPv4(address)) return { kind: "forward" };
  const service = view.serviceByAddress(address);
  const suffix = (s: Service) => `${s.metadata.name}.${s.metadata.namespace}.svc.${domain}`;
  const targets = service
    ? [suffix(service)]
    : view.slicesByAddress(address).flatMap(({ service: headless, slices }) =>
        endpointsOf(slices, servesUnready(headless))
          .filter((e) => e.address === address)
          .map((e) => `${hostOf(e.endpoint, address)}.${suffix(headless)}`),
      );
  if (targets.length === 0) return { kind: "forward" };
  return type === "PTR" ? records([...new Set(targets)].map((data) => ({ type: "PTR", name, data }))) : nodata;
}
