/** The fields of API objects that the network reads (core/v1 Service, Pod; discovery.k8s.io/v1 EndpointSlice). */
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";

export type Protocol = "TCP" | "UDP" | "SCTP";

export interface ServicePort {
  name?: string;
  protocol?: Protocol;
  port: number;
  targetPort?: number | string;
  nodePort?: number;
}

export interface Service extends KubeObject {
  spec?: {
    type?: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
    clusterIP?: string;
    clusterIPs?: string[];
    externalIPs?: string[];
    externalName?: string;
    ports?: ServicePort[];
    sessionAffinity?: "None" | "ClientIP";
    sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } };
    internalTrafficPolicy?: "Cluster" | "Local";
    externalTrafficPolicy?: "Cluster" | "Local";
    loadBalancerSourceRanges?: string[];
    healthCheckNodePort?: number;
    publishNotReadyAddresses?: boolean;
  };
  status?: { loadBalancer?: { ingress?: { ip?: string; hostname?: string; ipMode?: "VIP" | "Proxy" }[] } };
}

export interface SliceEndpoint {
  addresses: string[];
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  hostname?: string;
  nodeName?: string;
  hints?: { forZones?: { name: string }[]; forNodes?: { name: string }[] };
  targetRef?: { kind?: string; name?: string; namespace?: string };
}

export interface EndpointSlice extends KubeObject {
  addressType?: "IPv4" | "IPv6" | "FQDN";
  endpoints?: SliceEndpoint[] | null;
  ports?: { name?: string; protocol?: Protocol; port?: number }[] | null;
}

export interface PodContainer {
  ports?: { name?: string; protocol?: Protocol; containerPort: number }[];
}

export interface Pod extends KubeObject {
  spec?: {
    nodeName?: string;
    hostNetwork?: boolean;
    hostname?: string;
    subdomain?: string;
    containers?: PodContainer[];
    initContainers?: PodContainer[];
  };
  status?: { phase?: string; podIP?: string; podIPs?: { ip?: string }[] };
}

export const services: GroupVersionResource = { group: "", version: "v1", resource: "services" };
export const pods: GroupVersionResource = { group: "", version: "v1", resource: "pods" };
export const endpointSlices: GroupVersionResource = {
  group: "discovery.k8s.io",
  version: "v1",
  resource: "endpointslices",
};

export const nodes: GroupVersionResource = { group: "", version: "v1", resource: "nodes" };
export const ZONE_LABEL = "topology.kubernetes.io/zone";

/** A slice's service, as a key "tenant/namespace/name" needs it. */
export const SERVICE_NAME_LABEL = "kubernetes.io/service-name";
/** A service with this label is somebody else's to implement (KEP-2447 of kube-proxy). */
export const PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name";
