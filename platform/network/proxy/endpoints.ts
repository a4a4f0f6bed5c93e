/** Which endpoints a service port sends to (KEP-1669 for terminating endpoints, KEP-2086 for internalTrafficPolicy). */
import { isIPv4 } from "node:net";
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

/** Ready endpoints; when there are none, those that end but still serve. */
export function backendsOf(port: ServicePort, slices: readonly EndpointSlice[], nodeName: string): PortBackends {
  const ready = new Map<string, Backend>();
  const ending = new Map<string, Backend>();
  for (const slice of slices) {
    if (slice.addressType !== "IPv4") continue;
    for (const slicePort of slice.ports ?? []) {
      if ((slicePort.name ?? "") !== (port.name ?? "")) continue;
      if ((slicePort.protocol ?? "TCP") !== (port.protocol ?? "TCP") || !isPort(slicePort.port)) continue;
      for (const endpoint of slice.endpoints ?? []) {
        const address = endpoint.addresses[0];
        if (address === undefined || !isIPv4(address)) continue;
        const backend = { address, port: slicePort.port, local: endpoint.nodeName === nodeName };
        const conditions = endpoint.conditions ?? {};
        if (conditions.ready ?? true) ready.set(`${address}:${slicePort.port}`, backend);
        else if (conditions.serving && conditions.terminating) ending.set(`${address}:${slicePort.port}`, backend);
      }
    }
  }
  const pick = (wanted: (b: Backend) => boolean) => {
    const live = [...ready.values()].filter(wanted);
    return (live.length > 0 ? live : [...ending.values()].filter(wanted)).sort(byAddress);
  };
  return { cluster: pick(() => true), local: pick((b) => b.local) };
}

export const isPort = (port: number | undefined): port is number =>
  port !== undefined && Number.isInteger(port) && port > 0 && port < 65536;
