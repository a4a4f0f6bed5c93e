/**
 * For tests: a node's network as a process (DNS listens in the namespace of its process), in a cluster with one service, "web",
 * and its pods. Started with NodeProcess as JSON; prints "ready".
 */
import { createLog } from "#platform/base/log.ts";
import { startNetwork } from "../node.ts";
import { endpointSlices, pods, services } from "../objects.ts";
import { networkPolicies } from "../policy/policies.ts";
import { createObjectApi } from "./objects.ts";

export interface NodeProcess {
  instance: string;
  node: { name: string; podCIDR: string };
  podCIDR: string;
  serviceCIDR: string;
  dnsAddress: string;
  /** The cluster IP of "web", port 80. */
  webAddress: string;
  /** Its pods, port 8080. `second`: the address of the second family. */
  webPods: { address: string; nodeName: string; second?: string }[];
  /** The second family's ranges, and the address of it that "web" has. */
  secondary?: { podCIDR: string; serviceCIDR: string; nodePodCIDR: string; webAddress: string };
  /** Whether a policy lets nobody reach the pods of "web". */
  closed?: boolean;
}

/** The text of a program that runs it. */
export const nodeProcess = (o: NodeProcess): string =>
  `process.argv = [process.argv[0], ${JSON.stringify(import.meta.filename)}, ${JSON.stringify(JSON.stringify(o))}];
   import(${JSON.stringify(import.meta.filename)});`;

async function run(o: NodeProcess): Promise<void> {
  const api = createObjectApi();
  const metadata = (name: string, labels = {}) => ({ name, namespace: "default", labels });
  const clusterIPs = [o.webAddress, ...(o.secondary ? [o.secondary.webAddress] : [])];
  const declared = { spec: { clusterIP: o.webAddress, clusterIPs, ports: [{ port: 80, protocol: "TCP" }] } };
  await api.put(services, { metadata: metadata("web"), ...declared });
  const endpoints = o.webPods.map(({ address, nodeName }) => ({ addresses: [address], nodeName }));
  const slice = { addressType: "IPv4", ports: [{ port: 8080, protocol: "TCP" }], endpoints };
  await api.put(endpointSlices, { metadata: metadata("web-1", { "kubernetes.io/service-name": "web" }), ...slice });
  if (o.secondary) {
    const second = o.webPods.flatMap((pod) =>
      pod.second ? [{ addresses: [pod.second], nodeName: pod.nodeName }] : [],
    );
    const labels = { "kubernetes.io/service-name": "web" };
    const ofSecond = { ...slice, addressType: "IPv6", endpoints: second };
    await api.put(endpointSlices, { metadata: metadata("web-2", labels), ...ofSecond });
  }
  for (const { address, nodeName, second } of o.webPods) {
    const podIPs = [{ ip: address }, ...(second ? [{ ip: second }] : [])];
    const running = { spec: { nodeName }, status: { podIP: address, podIPs } };
    await api.put(pods, { metadata: metadata(`web-${address.replaceAll(".", "-")}`), ...running });
  }
  const nobody = { spec: { podSelector: {}, policyTypes: ["Ingress"] } };
  if (o.closed) await api.put(networkPolicies, { metadata: metadata("closed"), ...nobody });
  const stopping = new AbortController();
  process.once("SIGTERM", () => stopping.abort());
  const network = await startNetwork({
    client: api.client,
    log: createLog("error"),
    signal: stopping.signal,
    instance: o.instance,
    node: o.node,
    podCIDR: o.podCIDR,
    serviceCIDR: o.serviceCIDR,
    ...(o.secondary ? { secondary: o.secondary } : {}),
    dns: { domain: "cluster.local", address: o.dnsAddress },
  });
  await network.ready;
  process.stdout.write("ready\n");
  await network.stopped;
}

if (process.argv[1] === import.meta.filename) await run(JSON.parse(process.argv[2] ?? "{}") as NodeProcess);
