/**
 * Which slices a service should have: pure. Slices are changed as little as possible: everybody who routes reads them all
 * (upstream: staging/src/k8s.io/endpointslice/reconciler.go).
 */
import type { DiscoveryV1EndpointPort, Endpoint, EndpointSlice, Node, Pod, Service } from "#sdk/api/generated/types.ts";
import { controllerRef, sameJson } from "../objects.ts";
import { type AddressType, addressTypes, endpointOf, isHeadless, isReachable, portsOn } from "./pods.ts";

export const SERVICE_NAME = "kubernetes.io/service-name";
export const MANAGED_BY = "endpointslice.kubernetes.io/managed-by";
export const MANAGER = "endpointslice-controller.k8s.io";
export const HEADLESS = "service.kubernetes.io/headless";
export const ENDPOINTS_MAX = 100;

export interface SlicePlan {
  create: EndpointSlice[];
  update: EndpointSlice[];
  delete: EndpointSlice[];
}

interface Group {
  type: AddressType;
  ports: DiscoveryV1EndpointPort[];
  endpoints: Endpoint[];
}

const groupKey = (type: string, ports: readonly DiscoveryV1EndpointPort[] | undefined): string =>
  JSON.stringify([
    type,
    (ports ?? []).map((p) => [p.name ?? "", p.port ?? 0, p.protocol ?? "TCP", p.appProtocol ?? ""].join("/")).sort(),
  ]);
const uidOf = (endpoint: Endpoint): string => endpoint.targetRef?.uid ?? endpoint.addresses.join();

/** Pods whose named ports have other numbers are in slices of their own. */
function groupsOf(
  service: Service,
  pods: readonly Pod[],
  nodeOf: (name: string) => Node | undefined,
): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const type of addressTypes(service)) {
    const before = groups.size;
    for (const pod of pods.filter(isReachable)) {
      const endpoint = endpointOf(service, pod, nodeOf(pod.spec?.nodeName ?? ""), type);
      if (!endpoint) continue;
      const ports = portsOn(service, pod);
      const key = groupKey(type, ports);
      const group = groups.get(key) ?? { type, ports, endpoints: [] };
      group.endpoints.push(endpoint);
      groups.set(key, group);
    }
    // A service without pods still has one slice, so that readers know that it was looked at.
    if (groups.size === before) groups.set(groupKey(type, []), { type, ports: [], endpoints: [] });
  }
  return groups;
}

export function planSlices(
  service: Service,
  pods: readonly Pod[],
  existing: readonly EndpointSlice[],
  nodeOf: (name: string) => Node | undefined,
): SlicePlan {
  const groups = groupsOf(service, pods, nodeOf);
  const plan: SlicePlan = { create: [], update: [], delete: [] };
  const byGroup = Map.groupBy(existing, (slice) => groupKey(slice.addressType, slice.ports));
  for (const [key, slices] of byGroup) if (!groups.has(key)) plan.delete.push(...slices);
  for (const [key, group] of groups) planGroup(service, group, byGroup.get(key) ?? [], plan);
  return plan;
}

function planGroup(service: Service, group: Group, slices: readonly EndpointSlice[], plan: SlicePlan): void {
  const wanted = new Map(group.endpoints.map((e) => [uidOf(e), e]));
  const filled = slices.map((slice) => {
    const kept = (slice.endpoints ?? []).flatMap((old) => {
      const next = wanted.get(uidOf(old));
      wanted.delete(uidOf(old));
      return next ? [next] : [];
    });
    return { slice, kept };
  });
  const rest = [...wanted.values()];
  // The fullest first: what is new fits into as few changed slices as possible.
  for (const entry of filled.toSorted((a, b) => b.kept.length - a.kept.length)) {
    entry.kept.push(...rest.splice(0, Math.max(0, ENDPOINTS_MAX - entry.kept.length)));
  }
  let keptOne = false;
  for (const { slice, kept } of filled) {
    if (kept.length === 0 && (keptOne || group.endpoints.length > 0)) {
      plan.delete.push(slice);
      continue;
    }
    keptOne = true;
    const next = { ...slice, ...contentOf(service, slice, group, kept) };
    if (!sameSlice(slice, next)) plan.update.push(next);
  }
  while (rest.length > 0 || !keptOne) {
    plan.create.push(newSlice(service, group, rest.splice(0, ENDPOINTS_MAX)));
    keptOne = true;
  }
}

const sameSlice = (a: EndpointSlice, b: EndpointSlice): boolean =>
  sameJson(a.endpoints ?? [], b.endpoints ?? []) && sameJson(a.metadata.labels, b.metadata.labels);

function labelsOf(service: Service): Record<string, string> {
  const { [HEADLESS]: _, ...own } = service.metadata.labels ?? {};
  return {
    ...own,
    ...(isHeadless(service) ? { [HEADLESS]: "" } : {}),
    [SERVICE_NAME]: service.metadata.name ?? "",
    [MANAGED_BY]: MANAGER,
  };
}

const contentOf = (service: Service, slice: EndpointSlice, group: Group, endpoints: Endpoint[]): EndpointSlice => ({
  ...slice,
  metadata: { ...slice.metadata, labels: labelsOf(service) },
  ports: group.ports,
  endpoints,
});

const newSlice = (service: Service, group: Group, endpoints: Endpoint[]): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    generateName: `${service.metadata.name}-`,
    namespace: service.metadata.namespace,
    labels: labelsOf(service),
    ownerReferences: [controllerRef(service)],
  },
  addressType: group.type,
  ports: group.ports,
  endpoints,
});
