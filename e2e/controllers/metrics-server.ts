/** A fake of metrics-server: says what it is told about the pods it is told of, behind an APIService. */
import { createServer } from "node:https";
import { type AddressInfo, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import type { Client } from "#sdk/client/port.ts";
import { selfSigned } from "#sdk/testing/certificate.ts";

/** Endpoints may not be loopback addresses. */
export const address = Object.values(networkInterfaces())
  .flatMap((list) => list ?? [])
  .find((a) => isIPv4(a.address) && !a.internal)?.address;

export interface MetricsServer {
  /** Processor time of each pod, "250m", by its name. */
  usage: Map<string, string>;
  /** External metrics: a value by the metric's name. */
  external: Map<string, string>;
  close(): void;
}

export async function serveMetrics(client: Client): Promise<MetricsServer> {
  const usage = new Map<string, string>();
  const external = new Map<string, string>();
  const { cert, key } = await selfSigned("metrics.default.svc");
  const server = createServer({ cert, key }, (request, response) => {
    const send = (body: unknown) => response.setHeader("content-type", "application/json").end(JSON.stringify(body));
    const asked = /^\/apis\/external\.metrics\.k8s\.io\/v1beta1(?:\/namespaces\/[^/]+\/([^/?]+))?/.exec(
      request.url ?? "",
    );
    if (asked) {
      const apiVersion = "external.metrics.k8s.io/v1beta1";
      const [, metricName] = asked;
      const value = external.get(metricName ?? "");
      const items = value ? [{ metricName, metricLabels: {}, timestamp: new Date().toISOString(), value }] : [];
      if (metricName) send({ kind: "ExternalMetricValueList", apiVersion, metadata: {}, items });
      else send({ kind: "APIResourceList", apiVersion: "v1", groupVersion: apiVersion, resources: [] });
      return;
    }
    if (!request.url?.includes("/namespaces/")) {
      const pods = { name: "pods", singularName: "", namespaced: true, kind: "PodMetrics", verbs: ["get", "list"] };
      send({ kind: "APIResourceList", apiVersion: "v1", groupVersion: "metrics.k8s.io/v1beta1", resources: [pods] });
      return;
    }
    const items = [...usage].map(([name, cpu]) => ({
      metadata: { name, namespace: "default" },
      timestamp: new Date().toISOString(),
      window: "10s",
      containers: [{ name: "c", usage: { cpu, memory: "1Mi" } }],
    }));
    send({ kind: "PodMetricsList", apiVersion: "metrics.k8s.io/v1beta1", metadata: {}, items });
  });
  await new Promise<void>((done) => server.listen(0, address, done));
  const { port } = server.address() as AddressInfo;
  const ports = [{ name: "https", port: 443, targetPort: port }];
  await post(client, "/api/v1/namespaces/default/services", { metadata: { name: "metrics" }, spec: { ports } });
  await post(client, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
    metadata: { name: "metrics", labels: { "kubernetes.io/service-name": "metrics" } },
    addressType: "IPv4",
    endpoints: [{ addresses: [address] }],
    ports: [{ name: "https", port }],
  });
  for (const group of ["metrics.k8s.io", "external.metrics.k8s.io"]) {
    await post(client, "/apis/apiregistration.k8s.io/v1/apiservices", {
      metadata: { name: `v1beta1.${group}` },
      spec: {
        group,
        version: "v1beta1",
        groupPriorityMinimum: 100,
        versionPriority: 100,
        service: { namespace: "default", name: "metrics", port: 443 },
        caBundle: Buffer.from(cert).toString("base64"),
      },
    });
  }
  return {
    usage,
    external,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function post(client: Client, path: string, body: unknown): Promise<void> {
  const headers = { "content-type": "application/json" };
  const answer = await client.raw("POST", path, JSON.stringify(body), headers);
  if (answer.code >= 300) throw new Error(`${path}: ${answer.code} ${answer.body}`);
}
