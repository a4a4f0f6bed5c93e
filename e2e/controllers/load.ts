/**
 * A service under load without containers: each pod is a small HTTP server of this process that dies the moment it is told to stop, and requests
 * go to the endpoints as a proxy knows them, which is some time after the API does.
 */
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { EndpointSlice, Pod } from "#sdk/api/generated/types.ts";
import { createInformer } from "#sdk/client/informer.ts";
import type { Client } from "#sdk/client/port.ts";

const PODS = { group: "", version: "v1", resource: "pods" };
const NODES = { group: "", version: "v1", resource: "nodes" };
const SLICES = { group: "discovery.k8s.io", version: "v1", resource: "endpointslices" };
/** A pod takes that long to begin, a proxy to hear of a change, a request to be answered. */
const START_MS = 150;
const PROXY_MS = 250;
const ANSWER_MS = 20;
const CLIENTS = 8;
const HEARTBEAT_MS = 5000;

export interface Load {
  answered: ReadonlyMap<string, number>;
  failed: readonly string[];
  stop(): Promise<void>;
}

/** A node that says it is ready, again and again: a slow machine must not lose it. */
export async function keepNode(client: Client, name: string, signal: AbortSignal): Promise<void> {
  await client.create(NODES, { apiVersion: "v1", kind: "Node", metadata: { name } });
  const beat = async () => {
    const time = new Date().toISOString().replace(/\.\d+/, "");
    const ready = { type: "Ready", status: "True", lastHeartbeatTime: time, lastTransitionTime: time };
    const body = { status: { conditions: [ready] } };
    await client.patch(NODES, { name }, { type: "strategic", body }, { subresource: "status" });
  };
  await beat();
  const timer = setInterval(() => void beat().catch(() => undefined), HEARTBEAT_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** All pods become Running and ready as a node agent would make them, and stop at once when they are deleted. */
export function runPods(client: Client, signal: AbortSignal): void {
  const servers = new Map<string, Server>();
  const pods = createInformer<Pod>(client, PODS, {});
  const begin = async (pod: Pod) => {
    const uid = pod.metadata.uid ?? "";
    const version = pod.spec?.containers[0]?.image ?? "";
    const server = createServer((_, response) => setTimeout(() => response.end(version), ANSWER_MS));
    servers.set(uid, server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    await new Promise((done) => setTimeout(done, START_MS));
    const { port } = server.address() as AddressInfo;
    const time = new Date().toISOString().replace(/\.\d+/, "");
    const status = {
      phase: "Running",
      startTime: time,
      // The port travels in the address: endpoints may not be loopback addresses, and each pod needs one of its own.
      podIP: addressOf(port),
      podIPs: [{ ip: addressOf(port) }],
      conditions: [{ type: "Ready", status: "True", lastTransitionTime: time }],
    };
    const now = await client.get<Pod>(PODS, { namespace: pod.metadata.namespace, name: pod.metadata.name ?? "" });
    await client.update(PODS, { ...now, status }, { subresource: "status" });
  };
  const end = async (pod: Pod) => {
    const server = servers.get(pod.metadata.uid ?? "");
    if (!server) return;
    servers.delete(pod.metadata.uid ?? "");
    server.closeAllConnections();
    server.close();
    const { namespace, name = "" } = pod.metadata;
    await client.delete(PODS, { namespace, name }, { gracePeriodSeconds: 0 });
  };
  const quietly = (done: Promise<void>) => void done.catch(() => undefined);
  pods.on({
    added: (pod) => quietly(begin(pod)),
    updated: (pod) => (pod.metadata.deletionTimestamp ? quietly(end(pod)) : undefined),
    deleted: (pod) => quietly(end(pod)),
  });
  signal.addEventListener("abort", () => {
    for (const server of servers.values()) {
      server.closeAllConnections();
      server.close();
    }
  });
  void pods.start(signal);
}

const addressOf = (port: number): string => `10.200.${port >> 8}.${port & 255}`;
const portOf = (address: string): number => {
  const [, , high = "0", low = "0"] = address.split(".");
  return Number(high) * 256 + Number(low);
};

/** Asks the service's ready endpoints in turn, over and over. */
export async function startLoad(client: Client, service: string): Promise<Load> {
  const ends = new AbortController();
  const slices = createInformer<EndpointSlice>(client, SLICES, {
    labelSelector: `kubernetes.io/service-name=${service}`,
  });
  let known: number[] = [];
  const look = () => {
    const ready = slices
      .list()
      .flatMap((slice) => slice.endpoints ?? [])
      .filter((e) => e.conditions?.ready !== false);
    const ports = ready.map((endpoint) => portOf(endpoint.addresses[0] ?? ""));
    setTimeout(() => {
      known = ports;
    }, PROXY_MS);
  };
  slices.on({ added: look, updated: look, deleted: look });
  void slices.start(ends.signal);
  while (known.length === 0) await new Promise((done) => setTimeout(done, 20));
  const answered = new Map<string, number>();
  const failed: string[] = [];
  let turn = 0;
  const ask = async () => {
    while (!ends.signal.aborted) {
      turn += 1;
      try {
        const version = await get(known[turn % known.length] ?? 0);
        answered.set(version, (answered.get(version) ?? 0) + 1);
      } catch (error) {
        failed.push(error instanceof Error ? error.message : String(error));
      }
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, ask));
  return {
    answered,
    failed,
    async stop() {
      ends.abort();
      await clients;
    },
  };
}

const get = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    asked.on("error", reject);
    asked.end();
  });
