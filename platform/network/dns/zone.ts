/**
 * The cluster's zone, as pure questions and answers: Kubernetes' "DNS-Based Service Discovery", version 1.1.0.
 *
 *   SERVICE.NS.svc.ZONE               A    (AAAA for IPv6) the cluster IP, or every ready endpoint of a headless service
 *   HOST.SERVICE.NS.svc.ZONE          A    one endpoint of a headless service; HOST is its hostname, "10-1-2-3" or "fd00--3"
 *   _PORT._PROTO.SERVICE.NS.svc.ZONE  SRV  a named port
 *   A-B-C-D.NS.pod.ZONE               A    the address in the name
 *   D.C.B.A.in-addr.arpa, ….ip6.arpa  PTR  of cluster IPs and of endpoints of headless services
 * A name that exists, but not with this type, is NODATA (NOERROR without answers), so that a resolver does not go on to the
 * next search domain for AAAA where A alone exists.
 */
import { addressText, canonicalAddress, familyOf } from "#platform/rules/ranges.ts";
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
  | { type: "A" | "AAAA" | "CNAME" | "PTR" | "TXT"; name: string; data: string }
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
  if (lower.endsWith(".in-addr.arpa") || lower.endsWith(".ip6.arpa")) return reverse(name, lower, type, domain, view);
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

/** A name's addresses that a question of this type asks for. */
const addressRecords = (name: string, type: string, addresses: Iterable<string>): ZoneRecord[] =>
  [...new Set(addresses)].flatMap((data) => (typeFor(data) === type ? [addressRecord(name, data)] : []));
const typeFor = (address: string): "A" | "AAAA" => (familyOf(address) === "IPv6" ? "AAAA" : "A");
const addressRecord = (name: string, data: string): ZoneRecord => ({ type: typeFor(data), name, data });

function podAnswer(name: string, labels: string[], type: string, namespace: string, view: ZoneView): ZoneAnswer {
  const [label = ""] = labels;
  const four = label.replaceAll("-", ".");
  const address = familyOf(four) === "IPv4" ? four : canonicalAddress(label.replaceAll("-", ":"));
  if (labels.length !== 1 || !familyOf(address) || !view.hasNamespace(namespace)) return nxdomain;
  return records(addressRecords(name, type, [address]));
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
  return records(addressRecords(name, type, addresses));
}

const servesUnready = (service: Service) => service.spec?.publishNotReadyAddresses === true;
const hostOf = (endpoint: SliceEndpoint, address: string): string =>
  endpoint.hostname ?? address.replaceAll(/[.:]/g, "-");
const matchesPort = (labels: string[], port: { name?: string; protocol?: string }): boolean =>
  labels.length === 0 ||
  (labels[0] === `_${port.name ?? ""}` && labels[1] === `_${(port.protocol ?? "TCP").toLowerCase()}`);

function clusterIPAnswer(
  { name, labels, type, namespace, service, domain }: ServiceQuestion,
  object: Service,
  isPortName: boolean | undefined,
): ZoneAnswer {
  const { clusterIP = "", clusterIPs = [clusterIP] } = object.spec ?? {};
  const addresses = clusterIPs.filter((address) => familyOf(address)).map(canonicalAddress);
  const ports = (object.spec?.ports ?? []).filter((port) => matchesPort(labels, port));
  if (isPortName && ports.length === 0) return nxdomain;
  if (addresses.length === 0) return nodata;
  if (type !== "SRV") return isPortName ? nodata : records(addressRecords(name, type, addresses));
  const target = `${service}.${namespace}.svc.${domain}`;
  const list = ports.map((port): ZoneRecord => srv(name, port.port, target, ports.length));
  return records(list, list.length > 0 ? addresses.map((address) => addressRecord(target, address)) : []);
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
    .filter((slice) => slice.addressType !== "FQDN")
    .flatMap((slice) =>
      (slice.endpoints ?? [])
        .filter((endpoint) => unready || (endpoint.conditions?.ready ?? true))
        .flatMap((endpoint) =>
          endpoint.addresses
            .filter((a) => familyOf(a))
            .map((address) => ({ slice, endpoint, address: canonicalAddress(address) })),
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
      found.map(({ target, address }) => addressRecord(target, address)),
    );
  }
  // A headless service that nothing backs does not exist for a resolver, as with CoreDNS.
  if (endpoints.length === 0) return nxdomain;
  return records(
    addressRecords(
      name,
      type,
      endpoints.map((e) => e.address),
    ),
  );
}

/** The address in a name of the reverse zones; undefined for a part of one. */
function reversed(lower: string): string | undefined {
  const parts = (zone: string) => lower.slice(0, -zone.length).split(".").reverse();
  if (lower.endsWith(".in-addr.arpa")) {
    const address = parts(".in-addr.arpa").join(".");
    return familyOf(address) && address;
  }
  const digits = parts(".ip6.arpa");
  const isWhole = digits.length === 32 && digits.every((digit) => /^[0-9a-f]$/.test(digit));
  return isWhole ? addressText(6, BigInt(`0x${digits.join("")}`)) : undefined;
}

function reverse(name: string, lower: string, type: string, domain: string, view: ZoneView): ZoneAnswer {
  const address = reversed(lower);
  if (address === undefined) return { kind: "forward" };
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
