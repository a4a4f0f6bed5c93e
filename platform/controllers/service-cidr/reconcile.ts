/** Ranges of service addresses, and the addresses taken from them: pure (upstream: pkg/controller/servicecidrs). */
import { BlockList, isIP, isIPv6 } from "node:net";
import { timeText } from "#platform/base/clock.ts";
import type { Condition, IPAddress, Service, ServiceCIDR } from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { conditionOf, isTerminating } from "../objects.ts";

export const FINALIZER = "networking.k8s.io/service-cidr-finalizer";
/** Everybody has seen by then that the range is ending, and takes no more addresses from it. */
const GRACE_MS = 10_000;
const MANAGED_BY = "ipaddress.kubernetes.io/managed-by";
const FAMILY = "ipaddress.kubernetes.io/ip-family";
const ALLOCATOR = "ipallocator.k8s.io";

const familyOf = (address: string) => (isIPv6(address) ? "ipv6" : "ipv4");

/** Whether a range holds an address; false for what is neither. */
export function contains(cidr: string, address: string): boolean {
  const [base = "", bits = ""] = cidr.split("/");
  if (isIP(base) === 0 || isIP(base) !== isIP(address)) return false;
  const list = new BlockList();
  list.addSubnet(base, Number(bits), familyOf(base));
  return list.check(address, familyOf(address));
}

function isWithin(inner: string, outer: string): boolean {
  const [base = "", bits] = inner.split("/");
  return Number(outer.split("/")[1]) <= Number(bits) && contains(outer, base);
}

const cidrsOf = ({ spec }: ServiceCIDR): readonly string[] => spec?.cidrs ?? [];
export const isAllocated = (address: IPAddress): boolean => address.metadata.labels?.[MANAGED_BY] === ALLOCATOR;

/** Every range of it lies within another's, or no address depends on it alone. */
export function mayGo(range: ServiceCIDR, others: readonly ServiceCIDR[], addresses: readonly IPAddress[]): boolean {
  const rest = others.filter((other) => other.metadata.name !== range.metadata.name).flatMap(cidrsOf);
  if (cidrsOf(range).every((cidr) => rest.some((other) => isWithin(cidr, other)))) return true;
  return !addresses.some(({ metadata }) => {
    const { name = "" } = metadata;
    return cidrsOf(range).some((cidr) => contains(cidr, name)) && !rest.some((cidr) => contains(cidr, name));
  });
}

export interface Step {
  finalizers?: string[];
  condition?: Condition;
  requeueAfterMs?: number;
}

/** What a range lacks. `others` and `addresses` are its tenant's. */
export function stepFor(
  range: ServiceCIDR,
  others: readonly ServiceCIDR[],
  addresses: readonly IPAddress[],
  now: number,
): Step {
  const finalizers = range.metadata.finalizers ?? [];
  if (!isTerminating(range)) {
    return {
      ...(finalizers.includes(FINALIZER) ? {} : { finalizers: [...finalizers, FINALIZER] }),
      ...changed(range, { status: "True", reason: "", message: "Kubernetes Service CIDR is ready" }, now),
    };
  }
  if (!mayGo(range, others, addresses.filter(isAllocated))) {
    const message =
      "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
    return changed(range, { status: "False", reason: "Terminating", message }, now);
  }
  const leftMs = Date.parse(range.metadata.deletionTimestamp ?? "") + GRACE_MS - now;
  if (leftMs > 0) return { requeueAfterMs: leftMs };
  return finalizers.includes(FINALIZER) ? { finalizers: finalizers.filter((f) => f !== FINALIZER) } : {};
}

function changed(
  range: ServiceCIDR,
  wanted: { status: string; reason: string; message: string },
  now: number,
): { condition?: Condition } {
  const old = conditionOf(range.status?.conditions, "Ready");
  if (old?.status === wanted.status && old.reason === wanted.reason && old.message === wanted.message) return {};
  return { condition: { type: "Ready", ...wanted, lastTransitionTime: timeText(now) } };
}

/** The addresses a service holds. */
export const addressesOf = ({ spec }: Service): string[] =>
  spec?.type === "ExternalName" ? [] : (spec?.clusterIPs ?? []).filter((address) => isIP(address) !== 0);

/** What shows that a service holds an address. */
export function addressObject(service: Service, address: string): IPAddress {
  const { namespace = "", name = "" } = service.metadata;
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "IPAddress",
    metadata: { name: address, labels: { [FAMILY]: isIPv6(address) ? "IPv6" : "IPv4", [MANAGED_BY]: ALLOCATOR } },
    spec: { parentRef: { group: "", resource: "services", namespace, name } },
  };
}

/** What has to happen to one address. */
export function addressStep(
  address: IPAddress | undefined,
  holder: Service | undefined,
): "make" | "remove" | undefined {
  if (!address) return holder ? "make" : undefined;
  // Somebody's own: it says nothing of services.
  if (!isAllocated(address)) return undefined;
  const parent = address.spec?.parentRef;
  const isHis = parent?.namespace === holder?.metadata.namespace && parent?.name === holder?.metadata.name;
  return holder && isHis && tenantOf(holder) === tenantOf(address) ? undefined : "remove";
}
