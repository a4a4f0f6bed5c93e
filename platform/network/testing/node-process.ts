/**
 * For tests: a node's network as a process (DNS listens in the namespace of its process), in a cluster with one service, "web",
 * and its pods. Started with NodeProcess as JSON; prints "ready".
 */
import { createLog } from "#platform/base/log.ts";
import { startNetwork } from "../node.ts";
import { endpointSlices, pods, services } from "../objects.ts";
import { createObjectApi } from "./objects.ts";

export interface NodeProcess {
  instance: string;
  node: { name: string; podCIDR: string };
  podCIDR: string;
  serviceCIDR: string;
  dnsAddress: string;
  /** The cluster IP of "web", port 80. */
  webAddress: string;
  /** Its pods, port 8080. */
  webPods: { address: string; nodeName: string }[];
}

/** The text of a program that runs it. */
export const nodeProcess = (o: NodeProcess): string =>
  `process.argv = [process.argv[0], ${JSON.stringify(import.meta.filename)}, ${JSON.stringify(JSON.stringify(o))}];
   import(${JSON.stringify(import.meta.filename)});`;

async function run(o: NodeProcess): Promise<void> {
  const api = createObjectApi();
  const metadata = (name: string, labels = {}) => ({ name, namespace: "default", labels });
  const declared = { spec: { clusterIP: o.webAddress, ports: [{ port: 80, protocol: "TCP" }] } };
  await api.put(services, { metadata: metadata("web"), ...declared });
  const endpoints = o.webPods.map(({ address, nodeName }) => ({ addresses: [address], nodeName }));
  const slice = { addressType: "IPv4", ports: [{ port: 8080, protocol: "TCP" }], endpoints };
  await api.put(endpointSlices, { metadata: metadata("web-1", { "kubernetes.io/service-name": "web" }), ...slice });
  for (const { address, nodeName } of o.webPods) {
    const running = { spec: { nodeName }, status: { podIP: address } };
    await api.put(pods, { metadata: metadata(`web-${address.replaceAll(".", "-")}`), ...running });
  }
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
    dns: { domain: "cluster.local", address: o.dnsAddress },
  });
  await network.ready;
  process.stdout.write("ready\n");
  await network.stopped;
}

if (process.argv[1] === import.meta.filename) await run(JSON.parse(process.argv[2] ?? "{}") as NodeProcess);
