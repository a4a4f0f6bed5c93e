/** The Endpoints object of a service: pure (upstream: pkg/controller/endpoint and pkg/api/v1/endpoints). */
import type { EndpointAddress, EndpointSubset, Endpoints, Pod, Service } from "#sdk/api/generated/types.ts";
import {
  addressesOf,
  addressTypes,
  familyOf,
  hostnameOf,
  isHeadless,
  isReachable,
  portsOn,
} from "../endpointslice/pods.ts";
import { HEADLESS } from "../endpointslice/reconcile.ts";
import { isLeaving, isReady } from "../objects.ts";

const ADDRESSES_MAX = 1000;
const OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity";
export const MANAGED_BY = "endpoints.kubernetes.io/managed-by";

export function subsetsOf(service: Service, pods: readonly Pod[]): { subsets: EndpointSubset[]; truncated: boolean } {
  const type = addressTypes(service)[0];
  const publish = service.spec?.publishNotReadyAddresses === true;
  const groups = new Map<
    string,
    EndpointSubset & { addresses: EndpointAddress[]; notReadyAddresses: EndpointAddress[] }
  >();
  let count = 0;
  let truncated = false;
  const sorted = pods
    .filter((pod) => isReachable(pod) && (publish || !isLeaving(pod)))
    // Where there are too many, the ready ones are kept.
    .toSorted((a, b) => Number(isReady(b)) - Number(isReady(a)));
  for (const pod of sorted) {
    const ip = addressesOf(pod).find((address) => familyOf(address) === type);
    if (!ip) continue;
    if (++count > ADDRESSES_MAX) {
      truncated = true;
      break;
    }
    const ports = portsOn(service, pod).map(({ name, ...port }) => ({
      ...(name ? { name } : {}),
      ...port,
      port: port.port ?? 0,
    }));
    if (ports.length === 0 && !isHeadless(service)) continue;
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { addresses: [], notReadyAddresses: [], ...(ports.length > 0 ? { ports } : {}) };
    groups.set(key, group);
    (publish || isReady(pod) ? group.addresses : group.notReadyAddresses).push(addressOf(service, pod, ip));
  }
  const subsets = [...groups.values()].map(({ addresses, notReadyAddresses, ports }) => ({
    ...(addresses.length > 0 ? { addresses: addresses.toSorted(byIP) } : {}),
    ...(notReadyAddresses.length > 0 ? { notReadyAddresses: notReadyAddresses.toSorted(byIP) } : {}),
    ...(ports ? { ports } : {}),
  }));
  return { subsets, truncated };
}

const byIP = (a: EndpointAddress, b: EndpointAddress): number => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : 0);

function addressOf(service: Service, pod: Pod, ip: string): EndpointAddress {
  const hostname = hostnameOf(service, pod);
  const { namespace, name, uid } = pod.metadata;
  return {
    ip,
    ...(hostname ? { hostname } : {}),
    ...(pod.spec?.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: { kind: "Pod", namespace, name, uid },
  };
}

export function endpointsFor(service: Service, pods: readonly Pod[], present: Endpoints | undefined): Endpoints {
  const { subsets, truncated } = subsetsOf(service, pods);
  const { [OVER_CAPACITY]: _, ...annotations } = present?.metadata.annotations ?? {};
  const { [HEADLESS]: __, ...labels } = service.metadata.labels ?? {};
  return {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: {
      ...present?.metadata,
      name: service.metadata.name,
      namespace: service.metadata.namespace,
      labels: { ...labels, [MANAGED_BY]: "endpoint-controller", ...(isHeadless(service) ? { [HEADLESS]: "" } : {}) },
      ...(truncated
        ? { annotations: { ...annotations, [OVER_CAPACITY]: "truncated" } }
        : Object.keys(annotations).length > 0
          ? { annotations }
          : {}),
    },
    subsets,
  };
}
