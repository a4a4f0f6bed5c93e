/** From a service and its pods to endpoints: pure (upstream: staging/src/k8s.io/endpointslice/utils.go). */
import type { DiscoveryV1EndpointPort, Endpoint, Node, Pod, Service, ServicePort } from "#sdk/api/generated/types.ts";
import { isFinished, isLeaving, isReady } from "../objects.ts";

export type AddressType = "IPv4" | "IPv6";

export const isHeadless = (service: Service): boolean => service.spec?.clusterIP === "None";
export const familyOf = (ip: string): AddressType => (ip.includes(":") ? "IPv6" : "IPv4");

/** A service without families yet is of its address's family. */
export function addressTypes(service: Service): AddressType[] {
  const families = service.spec?.ipFamilies as AddressType[] | undefined;
  if (families?.length) return families;
  return [familyOf(service.spec?.clusterIP ?? "")];
}

export const addressesOf = (pod: Pod): string[] => {
  const all = (pod.status?.podIPs ?? []).flatMap((p) => (p.ip ? [p.ip] : []));
  return all.length > 0 ? all : pod.status?.podIP ? [pod.status.podIP] : [];
};

export const isReachable = (pod: Pod): boolean => !isFinished(pod) && addressesOf(pod).length > 0;

/** The number of a service's port on this pod; undefined when the pod has no port of that name. */
export function targetPortOn(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === "number") return target === 0 ? port.port : target;
  // Sidecars are init containers that stay.
  const sidecars = (pod.spec?.initContainers ?? []).filter((c) => c.restartPolicy === "Always");
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    for (const p of container.ports ?? []) {
      if (p.name === target && (p.protocol ?? "TCP") === (port.protocol ?? "TCP")) return p.containerPort;
    }
  }
  return undefined;
}

export function portsOn(service: Service, pod: Pod): DiscoveryV1EndpointPort[] {
  return (service.spec?.ports ?? []).flatMap((port) => {
    const number = targetPortOn(pod, port);
    if (number === undefined) return [];
    return [
      {
        name: port.name ?? "",
        port: number,
        protocol: port.protocol ?? "TCP",
        ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}),
      },
    ];
  });
}

/** Set where the pod's host name is a DNS name below the headless service. */
export const hostnameOf = (service: Service, pod: Pod): string | undefined =>
  pod.spec?.hostname && pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined;

export function endpointOf(
  service: Service,
  pod: Pod,
  node: Node | undefined,
  type: AddressType,
): Endpoint | undefined {
  const address = addressesOf(pod).find((ip) => familyOf(ip) === type);
  if (!address) return undefined;
  const serving = isReady(pod);
  const terminating = isLeaving(pod);
  const zone = node?.metadata.labels?.["topology.kubernetes.io/zone"];
  const hostname = hostnameOf(service, pod);
  return {
    addresses: [address],
    conditions: {
      ready: service.spec?.publishNotReadyAddresses === true || (serving && !terminating),
      serving,
      terminating,
    },
    ...(hostname ? { hostname } : {}),
    ...(pod.spec?.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: {
      kind: "Pod",
      namespace: pod.metadata.namespace,
      name: pod.metadata.name,
      uid: pod.metadata.uid,
    },
    ...(zone ? { zone } : {}),
  };
}
