/** The API in memory (fake-api.ts) behind real HTTP/2 and TLS, for tests of the client itself. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import {
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DynamicObject, GroupVersionResource, JsonObject } from "../api/object.ts";
import { internal, StatusError } from "../api/status.ts";
import type { Client, Patch } from "../client/port.ts";
import type { FakeApi } from "./fake-api.ts";

export interface FakeServer {
  url: string;
  ca: string;
  /** "GET /api/v1/pods?watch=true" */
  readonly requests: string[];
  sessions(): number;
  /** Answers before the API does; undefined lets it. */
  respond(
    hook:
      | ((
          method: string,
          path: string,
        ) => { code: number; headers?: Record<string, string>; body?: string } | undefined)
      | undefined,
  ): void;
  /** Cuts every connection without a word. */
  cut(): void;
  close(): Promise<void>;
}

function certificate(): { key: string; cert: string } {
  const dir = mkdtempSync(join(tmpdir(), "fake-server-"));
  try {
    const [key, cert] = [join(dir, "key"), join(dir, "cert")];
    execFileSync(
      "openssl",
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout ${key} -out ${cert}`.split(
        " ",
      ),
      { stdio: "ignore" },
    );
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export async function startFakeServer(api: FakeApi, port = 0): Promise<FakeServer> {
  const pair = certificate();
  const sessions = new Set<ServerHttp2Session>();
  const requests: string[] = [];
  let hook: Parameters<FakeServer["respond"]>[0];
  const server = createSecureServer({ ...pair, settings: { maxConcurrentStreams: 20 } }, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const canned = hook?.(request.method, request.url);
    if (canned) {
      response.writeHead(canned.code, canned.headers ?? {});
      response.end(canned.body ?? "");
    } else void serve(api.client, request, response);
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => undefined);
    session.once("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const cut = () => {
    for (const session of sessions) session.destroy();
  };
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca: pair.cert,
    requests,
    sessions: () => sessions.size,
    respond: (next) => {
      hook = next;
    },
    cut,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}

interface Target {
  client: Client;
  resource: GroupVersionResource;
  namespace?: string;
  name: string;
  subresource?: string;
}

function targetOf(client: Client, path: string): Target {
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  let at = client;
  if (parts[0] === "tenants") {
    at = client.tenant(parts[1]!);
    parts.splice(0, 2);
  }
  const group = parts.shift() === "api" ? "" : parts.shift()!;
  const version = parts.shift()!;
  const namespace = parts[0] === "namespaces" && parts.length > 2 ? parts.splice(0, 2)[1] : undefined;
  const [resource = "", name = "", subresource] = parts;
  return { client: at, resource: { group, version, resource }, namespace, name, subresource };
}

async function serve(api: Client, request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
  try {
    const url = new URL(request.url, "https://fake");
    const target = targetOf(api, url.pathname);
    if (url.searchParams.get("watch")) return await serveWatch(target, url.searchParams, response);
    let text = "";
    for await (const chunk of request) text += chunk;
    const result = await answer(target, request, url.searchParams, text ? (JSON.parse(text) as JsonObject) : {});
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(result));
  } catch (error) {
    const { status } = error instanceof StatusError ? error : internal(String(error));
    if (!response.headersSent) response.writeHead(status.code ?? 500, { "content-type": "application/json" });
    response.end(JSON.stringify(status));
  }
}

const selectionOf = (query: URLSearchParams) => ({
  labelSelector: query.get("labelSelector") ?? undefined,
  fieldSelector: query.get("fieldSelector") ?? undefined,
  resourceVersion: query.get("resourceVersion") ?? undefined,
});

async function answer(
  target: Target,
  request: Http2ServerRequest,
  query: URLSearchParams,
  body: JsonObject,
): Promise<unknown> {
  const { client, resource, namespace, name, subresource } = target;
  const object = body as unknown as DynamicObject;
  switch (request.method) {
    case "GET":
      if (name) return client.get(resource, { namespace, name });
      return client.list(resource, {
        namespace,
        ...selectionOf(query),
        limit: Number(query.get("limit") ?? 0) || undefined,
        continue: query.get("continue") ?? undefined,
      });
    case "POST":
      return client.create(resource, object, { subresource, name: name || undefined });
    case "PUT":
      return client.update(resource, object, { subresource });
    case "PATCH": {
      const type = String(request.headers["content-type"]).includes("strategic") ? "strategic" : "merge";
      return client.patch(resource, { namespace, name }, { type, body } as Patch, { subresource });
    }
    default:
      if (name) await client.delete(resource, { namespace, name }, body as object);
      else await client.deleteCollection(resource, { namespace, ...selectionOf(query) });
      return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" };
  }
}

async function serveWatch(target: Target, query: URLSearchParams, response: Http2ServerResponse): Promise<void> {
  const stop = new AbortController();
  response.once("close", () => stop.abort());
  const events = target.client.watch(target.resource, {
    namespace: target.namespace,
    ...selectionOf(query),
    sendInitialEvents: query.get("sendInitialEvents") === "true",
    signal: stop.signal,
  });
  response.writeHead(200, { "content-type": "application/json" });
  try {
    for await (const event of events) {
      if (stop.signal.aborted) return;
      response.write(`${JSON.stringify(event)}\n`);
    }
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    response.write(`${JSON.stringify({ type: "ERROR", object: error.status })}\n`);
  }
  response.end();
}
