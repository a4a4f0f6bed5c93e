/** Which endpoints a service port sends to (KEP-1669 for terminating endpoints, KEP-2086 for internalTrafficPolicy, KEP-3015 for hints). */
import { canonicalAddress, type Family, familyOf } from "#platform/rules/ranges.ts";
import type { EndpointSlice, ServicePort } from "../objects.ts";

export interface Backend {
  address: string;
  port: number;
  /** On this node. */
  local: boolean;
}

export interface PortBackends {
  /** Sorted by address and port, each once. */
  cluster: Backend[];
  local: Backend[];
}

const byAddress = (a: Backend, b: Backend) =>
  a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port;

interface Candidate extends Backend {
  ready: boolean;
  /** Not ready any more, but still answering while it ends. */
  ending: boolean;
  zoneHints: readonly string[];
  nodeHints: readonly string[];
}

/** Where a node is, as far as endpoints are chosen by it. */
export interface Place {
  nodeName: string;
  /** Label topology.kubernetes.io/zone; "" where it has none. */
  zone: string;
}

/** Whether an endpoint may be used at all; one that may not is as if it were not there. */
export type Usable = (address: string) => boolean;

/** Ready endpoints; when there are none, those that end but still serve. */
export function backendsOf(
  port: ServicePort,
  slices: readonly EndpointSlice[],
  place: Place,
  usable: Usable,
  family: Family = "IPv4",
): PortBackends {
  const all = candidates(port, slices, place.nodeName, usable, family);
  const pick = (wanted: (c: Candidate) => boolean, fallback: (c: Candidate) => boolean) => {
    const live = all.filter((c) => c.ready && wanted(c));
    const chosen = live.length > 0 ? live : all.filter((c) => c.ending && fallback(c));
    return chosen.sort(byAddress).map(({ address, port: number, local }) => ({ address, port: number, local }));
  };
  const near = nearest(all, place);
  const isLocal = (c: Candidate) => c.local;
  return { cluster: pick(near, () => true), local: pick(isLocal, isLocal) };
}

/**
 * What hints ask for (trafficDistribution, topology-mode): endpoints for this node, or for its zone. Hints count only where every ready
 * endpoint has one and one of them is for here: otherwise a part of the traffic would go nowhere.
 */
function nearest(all: readonly Candidate[], { nodeName, zone }: Place): (candidate: Candidate) => boolean {
  const ready = all.filter((c) => c.ready);
  const forNode = (c: Candidate) => c.nodeHints.includes(nodeName);
  const forZone = (c: Candidate) => c.zoneHints.includes(zone);
  if (ready.every((c) => c.nodeHints.length > 0) && ready.some(forNode)) return forNode;
  if (ready.every((c) => c.zoneHints.length > 0) && ready.some(forZone)) return forZone;
  return () => true;
}

function candidates(
  port: ServicePort,
  slices: readonly EndpointSlice[],
  nodeName: string,
  usable: Usable,
  family: Family,
): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const slice of slices) {
    if (slice.addressType !== family) continue;
    for (const slicePort of slice.ports ?? []) {
      if ((slicePort.name ?? "") !== (port.name ?? "")) continue;
      if ((slicePort.protocol ?? "TCP") !== (port.protocol ?? "TCP") || !isPort(slicePort.port)) continue;
      for (const endpoint of slice.endpoints ?? []) {
        const address = canonicalAddress(endpoint.addresses[0] ?? "");
        if (familyOf(address) !== family || !usable(address)) continue;
        const { ready = true, serving, terminating } = endpoint.conditions ?? {};
        const key = `${address} ${slicePort.port}`;
        // While an endpoint moves from one slice to another it is in both.
        if (!found.get(key)?.ready)
          found.set(key, {
            address,
            port: slicePort.port,
            local: endpoint.nodeName === nodeName,
            ready,
            ending: !ready && serving === true && terminating === true,
            zoneHints: (endpoint.hints?.forZones ?? []).map(({ name }) => name),
            nodeHints: (endpoint.hints?.forNodes ?? []).map(({ name }) => name),
          });
      }
    }
  }
  return [...found.values()];
}

export const isPort = (port: number | undefined): port is number =>
  port !== undefined && Number.isInteger(port) && port > 0 && port < 65536;
