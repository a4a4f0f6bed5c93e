/**
 * Calls out to webhooks: over TLS only, to a URL or to a service of the tenant, checked against the configuration's own authority, within a
 * deadline and a size. The errors read as Go's client writes them, since upstream hands them to the API's user.
 */
import { type Agent, request as httpsRequest } from "node:https";
import { isIP, type Socket } from "node:net";
import type { TenantId } from "#platform/store/port.ts";
import type { Json } from "#sdk/api/object.ts";
import { type PooledOptions, WebhookConnections } from "./connections.ts";

export interface ServiceReference {
  namespace: string;
  name: string;
  path?: string;
  port?: number;
}

export interface WebhookClientConfig {
  url?: string;
  service?: ServiceReference;
  /** PEM in base64, as the API carries it. */
  caBundle?: string;
}

export interface WebhookCall {
  tenant: TenantId;
  config: WebhookClientConfig;
  body: Json;
  timeoutMs: number;
  signal?: AbortSignal;
}

/** Where connections to a service go. Throws Error with upstream's words when there is no way. */
export type ServiceResolver = (
  tenant: TenantId,
  service: { namespace: string; name: string; port: number },
) => Promise<{ host: string; port: number }>;

export interface WebhookClientOptions {
  resolve: ServiceResolver;
  /** False refuses a connection a tenant may not make; asked about the address that is really dialled. */
  mayDial?(tenant: TenantId, address: string): boolean;
}

export type WebhookClient = (call: WebhookCall) => Promise<unknown>;

const RESPONSE_BYTES_MAX = 3 * 1024 * 1024;

interface Target {
  /** As the configuration names it: for the Host header and error messages. */
  url: URL;
  host: string;
  port: number;
  serverName: string;
}

async function targetOf({ tenant, config, timeoutMs }: WebhookCall, resolve: ServiceResolver): Promise<Target> {
  const { service } = config;
  const url = new URL(
    service
      ? `https://${service.name}.${service.namespace}.svc:${service.port ?? 443}${service.path ? `/${service.path.replace(/^\//, "")}` : ""}`
      : (config.url ?? ""),
  );
  url.searchParams.set("timeout", `${Math.max(1, Math.ceil(timeoutMs / 1000))}s`);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || "443");
  if (!service) return { url, host, port, serverName: host };
  try {
    const { namespace, name } = service;
    return { url, ...(await resolve(tenant, { namespace, name, port: service.port ?? 443 })), serverName: host };
  } catch (error) {
    throw failure(url, error instanceof Error ? error.message : String(error));
  }
}

/** Go leaves the default port in a service's URL, which URL drops. */
const shown = (url: URL): string => url.href.replace(`//${url.host}`, `//${url.port ? url.host : `${url.host}:443`}`);
const failure = (url: URL, why: string): Error => new Error(`Post ${JSON.stringify(shown(url))}: ${why}`);

function goError(error: NodeJS.ErrnoException, target: Target): string {
  const address = `${isIP(target.host) === 6 ? `[${target.host}]` : target.host}:${target.port}`;
  switch (error.code) {
    case "ECONNREFUSED":
      return `dial tcp ${address}: connect: connection refused`;
    case "EHOSTUNREACH":
      return `dial tcp ${address}: connect: no route to host`;
    case "ENETUNREACH":
      return `dial tcp ${address}: connect: network is unreachable`;
    case "ENOTFOUND":
      return `dial tcp: lookup ${target.host}: no such host`;
    case "ECONNRESET":
      return "EOF";
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    case "CERT_HAS_EXPIRED":
      return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `tls: failed to verify certificate: x509: certificate is not valid for ${target.serverName}`;
    default:
      return error.message;
  }
}

/** Resolves with the parsed JSON of a 2xx answer; rejects with an Error whose message is upstream's. */
export function createWebhookClient(options: WebhookClientOptions): WebhookClient {
  const kept = new WebhookConnections();
  return async (call) => {
    const target = await targetOf(call, options.resolve);
    const deadline = AbortSignal.timeout(call.timeoutMs);
    const signal = call.signal ? AbortSignal.any([deadline, call.signal]) : deadline;
    const ask = (agent: Agent | false) => exchange(call, target, { ...options, agent, signal });
    try {
      return await ask(kept).catch((error: unknown) => {
        if (error instanceof ConnectionEnded) return ask(false);
        throw error;
      });
    } catch (error) {
      if (error instanceof AnswerError) throw error.cause;
      if (deadline.aborted) throw failure(target.url, "context deadline exceeded");
      if (signal.aborted) throw failure(target.url, "context canceled");
      throw failure(target.url, goError(error as NodeJS.ErrnoException, target));
    }
  };
}

/** What answers on a kept connection ended it before it said anything: it may have done so before it was asked. */
class ConnectionEnded extends Error {}
/** There was an answer, and `cause` is what is wrong with it. */
class AnswerError extends Error {}

interface Way extends WebhookClientOptions {
  agent: Agent | false;
  signal: AbortSignal;
}

function exchange(call: WebhookCall, target: Target, { agent, signal, mayDial = () => true }: Way): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const text = JSON.stringify(call.body);
  const outgoing = httpsRequest({ ...requestOptions(call, target), headers: headersOf(target, text), agent, signal });
  outgoing.on("response", (response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > RESPONSE_BYTES_MAX) outgoing.destroy(new Error("http: response body too large"));
    });
    response.on("error", reject);
    response.on("end", () => {
      try {
        resolve(parseAnswer(response.statusCode ?? 0, Buffer.concat(chunks).toString("utf8")));
      } catch (cause) {
        reject(new AnswerError("the answer is of no use", { cause }));
      }
    });
  });
  const refuse = (socket: Socket): void => {
    if (!mayDial(call.tenant, socket.remoteAddress ?? "")) outgoing.destroy(new Error("the address is not allowed"));
  };
  outgoing.on("socket", (socket) => {
    // Refused before a byte is sent: the address is known only once the name is resolved.
    if (outgoing.reusedSocket) refuse(socket);
    else socket.once("connect", () => refuse(socket));
  });
  outgoing.on("error", (error: NodeJS.ErrnoException) => {
    const ended = error.code === "ECONNRESET" || error.code === "EPIPE";
    reject(outgoing.reusedSocket && ended && !signal.aborted ? new ConnectionEnded() : error);
  });
  outgoing.end(text);
  return promise;
}

const headersOf = (target: Target, text: string): Record<string, string | number> => ({
  host: target.url.host,
  accept: "application/json, */*",
  "content-type": "application/json",
  "content-length": Buffer.byteLength(text),
  "user-agent": "kube-apiserver-admission",
});

function requestOptions(
  { tenant, config: { caBundle } }: WebhookCall,
  { url, host, port, serverName }: Target,
): PooledOptions {
  return {
    method: "POST",
    path: `${url.pathname}${url.search}`,
    tenant,
    host,
    port,
    ...(isIP(serverName) ? {} : { servername: serverName }),
    ...(caBundle ? { ca: Buffer.from(caBundle, "base64").toString("utf8") } : {}),
  };
}

function parseAnswer(code: number, text: string): unknown {
  if (code >= 200 && code < 300) {
    try {
      return JSON.parse(text);
    } catch {
      throw new Error("couldn't get version/kind; json parse error: invalid character looking for beginning of value");
    }
  }
  const told = statusMessage(text);
  if (told) throw new Error(told);
  if (code === 404) throw new Error("the server could not find the requested resource");
  throw new Error(
    code >= 500
      ? `an error on the server (${JSON.stringify(text.slice(0, 1024))}) has prevented the request from succeeding`
      : `the server responded with the status code ${code} but did not return more information`,
  );
}

/** The message of a Status; undefined for what is none. */
function statusMessage(text: string): string | undefined {
  try {
    const status = JSON.parse(text) as { kind?: string; message?: string } | null;
    return status?.kind === "Status" ? status.message : undefined;
  } catch {
    return undefined;
  }
}
