/** EndpointSlices that say what a hand-made Endpoints object says: pure (upstream: pkg/controller/endpointslicemirroring). */
import { isIP } from "node:net";
import type {
  DiscoveryV1EndpointPort,
  Endpoint,
  EndpointAddress,
  EndpointSlice,
  EndpointSubset,
  Endpoints,
  Service,
} from "#sdk/api/generated/types.ts";
import { MANAGED_BY, SERVICE_NAME } from "../endpointslice/reconcile.ts";
import { sameJson } from "../objects.ts";

export const MIRROR_MANAGER = "endpointslicemirroring-controller.k8s.io";
/** Addresses of one subset that are mirrored. */
export const MIRRORED_MAX = 1000;
const SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror";
const NOT_COPIED = [
  "endpoints.kubernetes.io/last-change-trigger-time",
  "kubectl.kubernetes.io/last-applied-configuration",
  "capstan.dev/tenant",
];
const LEADER = "control-plane.alpha.kubernetes.io/leader";
const NAME_MAX = 57;

/** Services with a selector have slices of their own; objects that hold a leader's record are no endpoints. */
export function isMirrored(endpoints: Endpoints, service: Service | undefined): boolean {
  if (!service || Object.keys(service.spec?.selector ?? {}).length > 0) return false;
  return endpoints.metadata.labels?.[SKIP_MIRROR] !== "true" && endpoints.metadata.annotations?.[LEADER] === undefined;
}

type Family = "IPv4" | "IPv6";
interface Group {
  type: Family;
  ports: DiscoveryV1EndpointPort[];
  endpoints: Endpoint[];
}

export interface Mirror {
  create: EndpointSlice[];
  update: EndpointSlice[];
  delete: EndpointSlice[];
  /** Addresses that are none, and addresses beyond the maximum: upstream tells of both. */
  invalid: number;
  skipped: number;
}

const familyOf = (ip: string): Family | undefined => {
  const version = isIP(ip);
  return version === 0 ? undefined : version === 4 ? "IPv4" : "IPv6";
};

const portsOf = (subset: EndpointSubset): DiscoveryV1EndpointPort[] =>
  (subset.ports ?? []).map(({ name, port, protocol, appProtocol }) => ({
    name: name ?? "",
    port,
    protocol: protocol ?? "TCP",
    ...(appProtocol ? { appProtocol } : {}),
  }));

const keyOfPorts = (type: string, ports: readonly DiscoveryV1EndpointPort[] | undefined): string =>
  JSON.stringify([type, (ports ?? []).map((p) => [p.name, p.port, p.protocol, p.appProtocol].join("/")).sort()]);

const endpointOf = ({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint => ({
  addresses: [ip],
  conditions: { ready },
  ...(hostname ? { hostname } : {}),
  ...(nodeName ? { nodeName } : {}),
  ...(targetRef ? { targetRef } : {}),
});

function groupsOf(endpoints: Endpoints): { groups: Map<string, Group>; invalid: number; skipped: number } {
  const groups = new Map<string, Group>();
  let [invalid, skipped] = [0, 0];
  for (const subset of endpoints.subsets ?? []) {
    const ports = portsOf(subset);
    let added = 0;
    const take = (address: EndpointAddress, ready: boolean) => {
      const type = familyOf(address.ip);
      if (added >= MIRRORED_MAX) skipped++;
      else if (!type) invalid++;
      else {
        const key = keyOfPorts(type, ports);
        const group = groups.get(key) ?? { type, ports, endpoints: [] };
        group.endpoints.push(endpointOf(address, ready));
        groups.set(key, group);
        added++;
      }
    };
    for (const address of subset.addresses ?? []) take(address, true);
    for (const address of subset.notReadyAddresses ?? []) take(address, false);
  }
  return { groups, invalid, skipped };
}

function metadataOf(endpoints: Endpoints): Pick<EndpointSlice["metadata"], "labels" | "annotations"> {
  const { labels, annotations, name = "" } = endpoints.metadata;
  const copied = Object.entries(annotations ?? {}).filter(([key]) => !NOT_COPIED.includes(key));
  return {
    labels: { ...labels, [SERVICE_NAME]: name, [MANAGED_BY]: MIRROR_MANAGER },
    annotations: Object.fromEntries(copied),
  };
}

function newSlice(endpoints: Endpoints, group: Group): EndpointSlice {
  const { name = "", namespace, uid = "" } = endpoints.metadata;
  const owner = { apiVersion: "v1", kind: "Endpoints", name, uid, controller: true, blockOwnerDeletion: true };
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      generateName: name.length < NAME_MAX ? `${name}-` : name,
      namespace,
      ...metadataOf(endpoints),
      ownerReferences: [owner],
    },
    addressType: group.type,
    ports: group.ports,
    endpoints: group.endpoints,
  };
}

/** `existing` are the mirrors of this object. One slice a family and set of ports. */
export function planMirror(endpoints: Endpoints, existing: readonly EndpointSlice[]): Mirror {
  const { groups, invalid, skipped } = groupsOf(endpoints);
  const plan: Mirror = { create: [], update: [], delete: [], invalid, skipped };
  for (const slice of existing) {
    const key = keyOfPorts(slice.addressType, slice.ports);
    const group = groups.get(key);
    if (!group) {
      plan.delete.push(slice);
      continue;
    }
    groups.delete(key);
    const { labels, annotations = {} } = metadataOf(endpoints);
    const { "capstan.dev/tenant": tenant, ...own } = slice.metadata.annotations ?? {};
    const same =
      sameJson(slice.endpoints ?? [], group.endpoints) &&
      sameJson(slice.metadata.labels, labels) &&
      sameJson(own, annotations);
    if (same) continue;
    const kept = tenant === undefined ? annotations : { ...annotations, "capstan.dev/tenant": tenant };
    plan.update.push({
      ...slice,
      metadata: { ...slice.metadata, labels, annotations: kept },
      endpoints: group.endpoints,
    });
  }
  for (const group of groups.values()) plan.create.push(newSlice(endpoints, group));
  return plan;
}
