/** metrics.k8s.io of a whole API server, which asks an agent over TLS. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TLSSocket } from "node:tls";
import { freePort, type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { type Config, paths } from "../config.ts";
import { ensurePki } from "../pki.ts";
import type { RunningRole } from "../role.ts";
import { start } from "./apiserver.ts";

const PODS = { group: "", version: "v1", resource: "pods" };
const NODES = { group: "", version: "v1", resource: "nodes" };
const METRICS = "/apis/metrics.k8s.io/v1beta1";

let database: TestDatabase;
let dataDir: string;
let role: RunningRole;
let admin: Client;
let agent: Server;
let summary: object = { node: {}, pods: [] };
const callers: string[] = [];

before(async () => {
  database = await withTestDatabase();
  dataDir = mkdtempSync(join(tmpdir(), "capstan-metrics-"));
  const config: Config = {
    dataDir,
    instance: "000000",
    api: { host: "127.0.0.1", port: await freePort() },
    console: { host: "127.0.0.1", port: 0 },
    databaseUrl: database.url,
    serviceCIDR: "10.96.0.0/24",
    podCIDR: "10.244.0.0/16",
    dns: { domain: "cluster.local", address: "10.96.0.10" },
    engine: "jco",
    nodes: [{ name: "n1", address: "127.0.0.1", kubeletPort: 10250, podCIDR: "10.244.0.0/24", containerdSocket: "" }],
  };
  await ensurePki(config);
  const pem = (name: string) => readFileSync(join(paths(dataDir).pki, name), "utf8");
  const credentials = { cert: pem("node-n1.crt"), key: pem("node-n1.key"), ca: pem("ca.crt") };
  agent = createServer({ ...credentials, requestCert: true, rejectUnauthorized: true }, (request, response) => {
    if (request.socket instanceof TLSSocket)
      callers.push(String(request.socket.getPeerCertificate().subject.CN), request.url ?? "");
    response.end(JSON.stringify(summary));
  });
  await new Promise<void>((resolve) => agent.listen(0, "127.0.0.1", resolve));
  role = await start({ config, log: silentLog });
  await role.ready;
  admin = createClient({ ...loadKubeconfig(paths(dataDir).roleKubeconfig("admin")), userAgent: "test" });
  const { port } = agent.address() as AddressInfo;
  const status = {
    addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
    daemonEndpoints: { kubeletEndpoint: { Port: port } },
  };
  await admin.create<Node>(NODES, { apiVersion: "v1", kind: "Node", metadata: { name: "n1" }, status });
  await admin.patch<Node>(NODES, { name: "n1" }, { type: "merge", body: { status } }, { subresource: "status" });
});

after(async () => {
  admin?.close();
  await role?.stop();
  agent?.closeAllConnections();
  agent?.close();
  await database?.remove();
  if (dataDir) rmSync(dataDir, { recursive: true, force: true });
});

interface Item {
  usage?: object;
  containers?: object[];
}

async function get(path: string): Promise<{ code: number; object: { items?: Item[]; message?: string } }> {
  const { code, body } = await admin.raw("GET", path);
  return { code, object: JSON.parse(body) };
}
const used = (usageNanoCores: number) => ({
  cpu: { time: "2026-01-01T00:00:00Z", usageNanoCores },
  memory: { workingSetBytes: 2048 },
});

test("what nodes and pods use is asked of their agents, with the API server's certificate", async () => {
  const accounts = { group: "", version: "v1", resource: "serviceaccounts" };
  await admin.create(accounts, { metadata: { namespace: "default", name: "default" } });
  const pod = await admin.create<Pod>(PODS, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "default", name: "web", labels: { app: "web" } },
    spec: { nodeName: "n1", containers: [{ name: "main", image: "x" }] },
  });
  summary = {
    node: used(1e9),
    pods: [{ podRef: { uid: pod.metadata.uid }, containers: [{ name: "main", ...used(5_000_000) }] }],
  };
  const { object: pods } = await get(`${METRICS}/namespaces/default/pods?labelSelector=app%3Dweb`);
  assert.equal(pods.items?.length, 1);
  assert.deepEqual(pods.items?.[0]?.containers, [{ name: "main", usage: { cpu: "5000000n", memory: "2Ki" } }]);
  assert.deepEqual((await get(`${METRICS}/pods?labelSelector=app%3Dother`)).object.items, []);
  const { object: nodes } = await get(`${METRICS}/nodes`);
  assert.deepEqual(nodes.items?.[0]?.usage, { cpu: "1000000000n", memory: "2Ki" });
  assert.equal((await get(`${METRICS}/nodes/n1`)).code, 200);
  assert.equal((await get(`${METRICS}/namespaces/default/pods/web`)).code, 200);
  const none = await get(`${METRICS}/namespaces/default/pods/none`);
  assert.deepEqual([none.code, none.object.message], [404, 'podmetrics.metrics.k8s.io "default/none" not found']);
  assert.deepEqual(
    new Set(callers),
    new Set(["kube-apiserver-kubelet-client", "/stats/summary?only_cpu_and_memory=true"]),
  );
});

test("a node that cannot be asked is left out", async () => {
  await admin.create<Node>(NODES, { apiVersion: "v1", kind: "Node", metadata: { name: "silent" } });
  assert.equal((await get(`${METRICS}/nodes`)).object.items?.length, 1);
  assert.equal((await get(`${METRICS}/nodes/silent`)).code, 404);
});

test("discovery tells of it", async () => {
  const { object } = await get(METRICS);
  const { resources } = object as unknown as { resources: { name: string; verbs: string[] }[] };
  assert.deepEqual(resources.map(({ name }) => name).sort(), ["nodes", "pods"]);
});
