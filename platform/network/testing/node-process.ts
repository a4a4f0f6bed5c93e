/** For tests: a node's network as a process (DNS listens in the namespace of its process), with two services declared. */
import { createLog } from "#platform/base/log.ts";
import { startNetwork } from "../node.ts";
import { endpointSlices, pods, services } from "../objects.ts";
import { createObjectApi } from "./objects.ts";

const [instance = "", podAddress = ""] = process.argv.slice(2);
const api = createObjectApi();
const metadata = (name: string, labels = {}) => ({ name, namespace: "default", labels });
const declared = { spec: { clusterIP: "10.78.0.20", ports: [{ port: 80, protocol: "TCP" }] } };
await api.put(services, { metadata: metadata("web"), ...declared });
const slice = {
  addressType: "IPv4",
  ports: [{ port: 8080, protocol: "TCP" }],
  endpoints: [{ addresses: [podAddress], nodeName: "node-1" }],
};
await api.put(endpointSlices, { metadata: metadata("web-1", { "kubernetes.io/service-name": "web" }), ...slice });
const running = { spec: { nodeName: "node-1" }, status: { podIP: podAddress } };
await api.put(pods, { metadata: metadata("web-pod"), ...running });

const stopping = new AbortController();
process.once("SIGTERM", () => stopping.abort());
const network = await startNetwork({
  client: api.client,
  log: createLog("error"),
  signal: stopping.signal,
  instance,
  node: { name: "node-1", podCIDR: "10.77.0.0/24" },
  podCIDR: "10.77.0.0/16",
  serviceCIDR: "10.78.0.0/16",
  dns: { domain: "cluster.local", address: "10.78.0.10" },
});
await network.ready;
process.stdout.write("ready\n");
await network.stopped;
