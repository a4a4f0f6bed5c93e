import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import type { Exchange } from "../http/exchange.ts";
import { parseRequest } from "../http/requestInfo.ts";
import { splitId } from "./location.ts";
import { placeOf, proxyRequest } from "./proxy.ts";
import { rewriteHtml, rewriteUrl } from "./rewrite.ts";

test("an id is a name, with a port, with a scheme", () => {
  assert.deepEqual(splitId("web"), { scheme: "http", name: "web", port: "" });
  assert.deepEqual(splitId("web:80"), { scheme: "http", name: "web", port: "80" });
  assert.deepEqual(splitId("https:web:tls"), { scheme: "https", name: "web", port: "tls" });
  assert.deepEqual(splitId("https:web:"), { scheme: "https", name: "web", port: "" });
  for (const bad of ["", ":80", "ftp:web:21", "a:b:c:d"]) assert.equal(splitId(bad), undefined, bad);
});

test("what follows the proxy's own path is the server's, escapes and query untouched", () => {
  const place = placeOf("/api/v1/namespaces/n/pods/p:80/proxy/a%2Fb/?x=1?2", 7);
  assert.deepEqual(place, { prefix: "/api/v1/namespaces/n/pods/p:80/proxy", rest: "/a%2Fb/", query: "?x=1?2" });
  assert.equal(placeOf("/api/v1/nodes/n/proxy", 5).rest, "");
});

const rewriting = { prefix: "/api/v1/namespaces/n/pods/p/proxy", hosts: ["10.0.0.1:80"] };

test("addresses of the proxied server lead through the proxy, others stay", () => {
  assert.equal(rewriteUrl("/x", rewriting), `${rewriting.prefix}/x`);
  assert.equal(rewriteUrl("http://10.0.0.1:80/x", rewriting), `${rewriting.prefix}/x`);
  assert.equal(rewriteUrl(`${rewriting.prefix}/x`, rewriting), `${rewriting.prefix}/x`);
  for (const same of ["x", "https://example.org/x", "#here"]) assert.equal(rewriteUrl(same, rewriting), same);
  assert.equal(
    rewriteHtml(`<p>/a</p><a class="/c" href="/a">t</a><img longdesc='/b' src='/c'>`, rewriting),
    `<p>/a</p><a class="/c" href="${rewriting.prefix}/a">t</a><img longdesc='${rewriting.prefix}/b' src='${rewriting.prefix}/c'>`,
  );
});

interface Answered {
  code: number;
  headers: Map<string, unknown>;
  body: string;
}

async function through(port: number, url: string, headers: Record<string, string> = {}): Promise<Answered> {
  const request = Object.assign(new PassThrough(), { url, headers, socket: { remoteAddress: "192.0.2.1" } });
  request.end();
  const seen = new Map<string, unknown>();
  const response = Object.assign(new PassThrough(), {
    statusCode: 0,
    setHeader: (name: string, value: unknown) => seen.set(name.toLowerCase(), value),
  });
  const chunks: Buffer[] = [];
  response.on("data", (chunk: Buffer) => chunks.push(chunk));
  const info = parseRequest("GET", url.split("?")[0] ?? "", new URLSearchParams());
  const exchange = { request, response, method: "GET", info, signal: new AbortController().signal };
  const location = { scheme: "http", host: "127.0.0.1", port, agent: false } as const;
  await proxyRequest(exchange as unknown as Exchange, location, { ca: "", cert: "", key: "" });
  return { code: response.statusCode, headers: seen, body: Buffer.concat(chunks).toString() };
}

test("a request arrives without credentials, and its answer comes back as it was", async (t) => {
  const arrived: { url?: string | undefined; headers: NodeJS.Dict<string | string[]> }[] = [];
  const server = createServer((request, response) => {
    arrived.push({ url: request.url, headers: request.headers });
    response.writeHead(418, { "x-own": "1", location: "/there" }).end("short and stout");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const path = "/api/v1/namespaces/n/pods/p/proxy";
  const answer = await through(port, `${path}/x?y=1`, { authorization: "Bearer secret", host: "api", accept: "a/b" });
  assert.deepEqual([answer.code, answer.body], [418, "short and stout"]);
  assert.equal(answer.headers.get("x-own"), "1");
  assert.equal(answer.headers.get("location"), `${path}/there`);
  assert.equal(arrived[0]?.url, "/x?y=1");
  assert.equal(arrived[0]?.headers["authorization"], undefined);
  assert.equal(arrived[0]?.headers["accept"], "a/b");
  assert.equal(arrived[0]?.headers["x-forwarded-uri"], `${path}/x`);
  const redirected = await through(port, `${path}?y=1`);
  assert.deepEqual([redirected.code, redirected.headers.get("location")], [301, `${path}/?y=1`]);
});

test("a server that nobody runs is told in upstream's words", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(through(port, "/api/v1/namespaces/n/pods/p/proxy/"), {
    message: `error trying to reach service: dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
});
