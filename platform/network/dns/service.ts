/** The cluster's DNS as API objects, so that clients find it where they look for it: kube-system/kube-dns. */
import { rangeFamily } from "#platform/rules/ranges.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { cidrOf, nth } from "../host/addresses.ts";
import type { EndpointSlice, Service } from "../objects.ts";
import { DNS_PORT } from "./dns.ts";

const LABELS = { "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS" };
const PORTS = [
  { name: "dns", protocol: "UDP" as const },
  { name: "dns-tcp", protocol: "TCP" as const },
];

/**
 * To be created at bootstrap by whoever may. Packets do not depend on them: every node sends what goes to the cluster's DNS
 * address to its own DNS server. Without a selector, so that no controller looks for pods.
 */
export function dnsObjects(o: {
  address: string;
  nodes: { name: string; podCIDR: string }[];
}): [Service, EndpointSlice] {
  const metadata = (name: string, labels: Record<string, string>): KubeObject["metadata"] => ({
    name,
    namespace: "kube-system",
    labels,
  });
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadata("kube-dns", LABELS),
      spec: {
        type: "ClusterIP",
        clusterIP: o.address,
        ports: PORTS.map((port) => ({ ...port, port: 53, targetPort: DNS_PORT })),
      },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: metadata("kube-dns-nodes", { ...LABELS, "kubernetes.io/service-name": "kube-dns" }),
      addressType: rangeFamily(o.address),
      ports: PORTS.map((port) => ({ ...port, port: DNS_PORT })),
      endpoints: o.nodes.map((node) => ({
        addresses: [nth(cidrOf(node.podCIDR), 1)],
        conditions: { ready: true },
        nodeName: node.name,
      })),
    },
  ];
}
