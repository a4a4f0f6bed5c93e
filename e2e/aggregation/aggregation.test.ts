/** An extension server (a fake, small enough to see what reaches it) behind an APIService: discovery, identity, streams, failures. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, request as httpsRequest, type Server } from "node:https";
import { type AddressInfo, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import { after, before, describe, it } from "node:test";
import type { TLSSocket } from "node:tls";
import { selfSigned } from "#sdk/testing/certificate.ts";
import { Cluster } from "../support/cluster.ts";
import { eventually } from "../support/instance.ts";

const GROUP = "far.example.org";
/** Endpoints may not be loopback addresses. */
const address = Object.values(networkInterfaces())
  .flatMap((list) => list ?? [])
  .find((a) => isIPv4(a.address) && !a.internal)?.address;
const skip = address ? false : "this machine has no address but loopback: an endpoint must have another";

const RESOURCES = {
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: `${GROUP}/v1`,
  resources: [
    { name: "stars", singularName: "star", namespaced: false, kind: "Star", verbs: ["get", "list", "watch"] },
  ],
};

const STAR = { $ref: "#/definitions/test.Star" };
const SWAGGER = {
  swagger: "2.0",
  paths: { [`/apis/${GROUP}/v1/stars`]: { get: { responses: { 200: { schema: STAR } } } } },
  definitions: { "test.Star": { type: "object" } },
};

function answer(request: IncomingMessage, response: ServerResponse): void {
  const json = (body: unknown) => response.setHeader("content-type", "application/json").end(JSON.stringify(body));
  const url = new URL(request.url ?? "/", "https://x");
  if (url.pathname === `/apis/${GROUP}/v1`) return void json(RESOURCES);
  if (url.pathname === "/openapi/v2") return void json(SWAGGER);
  if (url.pathname === `/openapi/v3/apis/${GROUP}/v1`) return void json({ openapi: "3.0.0", paths: {} });
  if (url.searchParams.has("watch")) {
    response.setHeader("content-type", "application/json");
    response.write('{"type":"ADDED","object":{"kind":"Star","metadata":{"name":"one"}}}\n');
    return;
  }
  const peer = (request.socket as TLSSocket).getPeerCertificate();
  json({ kind: "Star", path: request.url, headers: request.headers, peer: peer.subject?.CN });
}

describe("an aggregated API", { skip }, () => {
  let cluster: Cluster;
  let server: Server;
  const url = (path: string) => `${cluster.servers[0]?.url}${path}`;
  const send = (method: string, path: string, body?: unknown) => cluster.client.send(method, url(path), body);
  const available = async () => {
    const { body } = await send("GET", `/apis/apiregistration.k8s.io/v1/apiservices/v1.${GROUP}`);
    const { status } = body as { status?: { conditions?: { status: string; reason: string }[] } };
    return status?.conditions?.[0];
  };

  before(async () => {
    const { cert, key } = await selfSigned("far.default.svc");
    server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, answer);
    await new Promise<void>((done) => server.listen(0, address, done));
    const { port } = server.address() as AddressInfo;
    cluster = await Cluster.start({ servers: 1, engine: "jco" });
    const spec = {
      group: GROUP,
      version: "v1",
      groupPriorityMinimum: 2000,
      versionPriority: 10,
      service: { namespace: "default", name: "far", port: 443 },
      caBundle: Buffer.from(cert).toString("base64"),
    };
    const service = { metadata: { name: `v1.${GROUP}` }, spec };
    assert.equal((await send("POST", "/apis/apiregistration.k8s.io/v1/apiservices", service)).code, 201);
    await eventually("no service yet", async () => (await available())?.reason === "ServiceNotFound");
    const ports = [{ name: "https", port: 443, targetPort: port }];
    await send("POST", "/api/v1/namespaces/default/services", { metadata: { name: "far" }, spec: { ports } });
    await eventually("no endpoints yet", async () => (await available())?.reason === "EndpointsNotFound");
    const slice = {
      metadata: { name: "far", labels: { "kubernetes.io/service-name": "far" } },
      addressType: "IPv4",
      endpoints: [{ addresses: [address] }],
      ports: [{ name: "https", port }],
    };
    await send("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice);
    await eventually("available", async () => (await available())?.reason === "Passed");
  });
  after(async () => {
    server?.closeAllConnections();
    server?.close();
    await cluster?.remove();
  });

  it("is in discovery, and its schemas are found", async () => {
    const groups = (await send("GET", "/apis")).body as { groups: { name: string }[] };
    assert.ok(groups.groups.some(({ name }) => name === GROUP));
    assert.deepEqual((await send("GET", `/apis/${GROUP}/v1`)).body, RESOURCES);
    const index = (await send("GET", "/openapi/v3")).body as { paths: Record<string, { serverRelativeURL: string }> };
    const where = index.paths[`apis/${GROUP}/v1`]?.serverRelativeURL ?? "";
    assert.deepEqual((await send("GET", where)).body, { openapi: "3.0.0", paths: {} });
    const whole = (await send("GET", "/openapi/v2")).body as { paths: object; definitions: object };
    assert.ok(
      `/apis/${GROUP}/v1/stars` in whole.paths && "/api/v1/pods" in whole.paths && "test.Star" in whole.definitions,
    );
  });

  it("is told who asks, by this server's own certificate, and believes no headers of the client's", async () => {
    const { body } = await send("GET", `/apis/${GROUP}/v1/stars/one?x=1`);
    const { path, headers, peer } = body as { path: string; headers: Record<string, string>; peer: string };
    assert.equal(path, `/apis/${GROUP}/v1/stars/one?x=1`);
    assert.equal(headers["x-remote-user"], "kubernetes-admin");
    assert.match(headers["x-remote-group"] ?? "", /system:masters/);
    assert.equal(headers["authorization"], undefined);
    assert.equal(peer, "front-proxy-client");
  });

  it("streams", async () => {
    const ends = new AbortController();
    for await (const line of cluster.client.lines(url(`/apis/${GROUP}/v1/stars?watch=true`), ends.signal)) {
      assert.equal((JSON.parse(line) as { type: string }).type, "ADDED");
      break;
    }
    ends.abort();
  });

  it("tells extension servers of its authorities", async () => {
    const { body } = await send("GET", "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication");
    const { data } = body as { data: Record<string, string> };
    assert.match(data["client-ca-file"] ?? "", /BEGIN CERTIFICATE/);
    assert.match(data["requestheader-client-ca-file"] ?? "", /BEGIN CERTIFICATE/);
    assert.equal(data["requestheader-allowed-names"], '["front-proxy-client"]');
  });

  it("that cannot be reached is 503, stays in discovery, and the rest of the API is as before", async () => {
    await send("DELETE", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/far");
    await eventually("unavailable", async () => (await available())?.status === "False");
    const { code } = await send("GET", "/api/v1/namespaces/default");
    assert.equal(code, 200);
    const refused = await fetchText(cluster, `/apis/${GROUP}/v1/stars`);
    assert.deepEqual(refused, { code: 503, text: "service unavailable\n" });
    const groups = (await send("GET", "/apis")).body as { groups: { name: string }[] };
    assert.ok(groups.groups.some(({ name }) => name === GROUP));
  });
});

/** What is no JSON. */
async function fetchText(cluster: Cluster, path: string): Promise<{ code: number; text: string }> {
  const { cert, key } = cluster.credentialFiles;
  const pems = { cert: readFileSync(cert), key: readFileSync(key), rejectUnauthorized: false };
  return new Promise((done, failed) => {
    httpsRequest(`${cluster.servers[0]?.url}${path}`, pems, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => done({ code: response.statusCode ?? 0, text }));
    })
      .on("error", failed)
      .end();
  });
}
