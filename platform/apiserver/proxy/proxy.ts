/** Carries a request to what a location names, and the answer back: plain requests and upgrades. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import type { Duplex, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { unavailable } from "#sdk/api/status.ts";
import type { Exchange } from "../http/exchange.ts";
import type { NodeCredentials } from "../streaming/port.ts";
import type { Location } from "./location.ts";
import { type Rewriting, rewriteHtml, rewriteUrl } from "./rewrite.ts";

const CONNECT_MS = 30_000;
/** A page that is larger goes through as it is. */
const HTML_MAX_BYTES = 8 << 20;

/** Of one connection, or of who is asked for whom: nothing of these is the proxied server's business. */
const OWN = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "authorization",
  "accept-encoding",
  "host",
]);

type Headers = Record<string, string | string[]>;

export function carried(headers: IncomingMessage["headers"]): Headers {
  const kept: Headers = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.startsWith(":") || OWN.has(name) || name.startsWith("impersonate-")) continue;
    kept[name] = value;
  }
  return kept;
}

/** Where in the request's path the proxied server's own begins. */
interface Place {
  prefix: string;
  rest: string;
  query: string;
}

export function placeOf(url: string, segments: number): Place {
  const [path = "", query] = url.split(/\?(.*)/s, 2);
  let at = 0;
  for (let i = 0; i < segments && at >= 0; i++) at = path.indexOf("/", at + 1);
  const end = at < 0 ? path.length : at;
  return { prefix: path.slice(0, end), rest: path.slice(end), query: query === undefined ? "" : `?${query}` };
}

/** Segments up to and including "proxy". */
function segmentsOf({ info }: Exchange): number {
  const tenant = info.tenant === undefined ? 0 : 2;
  const group = info.group === "" ? 2 : 3;
  return tenant + group + (info.namespace === "" || info.resource === "nodes" ? 0 : 2) + 3;
}

/** The words of Go's net package. */
function dialWords(error: NodeJS.ErrnoException, { host, port }: Location): string {
  const words: Record<string, string> = {
    ECONNREFUSED: "connect: connection refused",
    EHOSTUNREACH: "connect: no route to host",
    ENETUNREACH: "connect: network is unreachable",
    ETIMEDOUT: "i/o timeout",
    ECONNRESET: "read: connection reset by peer",
  };
  return `dial tcp ${host.includes(":") ? `[${host}]` : host}:${port}: ${words[error.code ?? ""] ?? error.message}`;
}

const unreachable = (error: NodeJS.ErrnoException, location: Location) =>
  unavailable(`error trying to reach service: ${dialWords(error, location)}`);

function open(
  location: Location,
  credentials: NodeCredentials,
  method: string,
  path: string,
  headers: Headers,
): ClientRequest {
  const { scheme, host, port, agent } = location;
  // Pods' certificates are their own affair, as upstream has it; nothing secret goes with the request.
  const options: RequestOptions = { host, port, method, path, headers, agent: false, setHost: false };
  const sent =
    scheme === "https"
      ? httpsRequest({ ...options, ...(agent ? credentials : { rejectUnauthorized: false }) })
      : httpRequest(options);
  const timer = setTimeout(
    () => sent.destroy(Object.assign(new Error("i/o timeout"), { code: "ETIMEDOUT" })),
    CONNECT_MS,
  );
  const connected = () => clearTimeout(timer);
  sent.on("socket", (socket) => {
    if (socket.connecting) socket.once(scheme === "https" ? "secureConnect" : "connect", connected);
    else connected();
  });
  sent.on("close", connected);
  return sent;
}

const hostOf = (request: { headers: IncomingMessage["headers"] }): string =>
  String(request.headers[":authority"] ?? request.headers.host ?? "");

/** Whom the request comes from, behind those it came through before. */
export function forwardedFor(request: Exchange["request"]): { "x-forwarded-for": string } {
  const before = request.headers["x-forwarded-for"];
  const address = request.socket.remoteAddress ?? "";
  return { "x-forwarded-for": before === undefined ? address : `${[before].flat().join(", ")}, ${address}` };
}

function forwarded(exchange: Exchange, place: Place): Headers {
  const { request } = exchange;
  return {
    ...carried(request.headers),
    host: hostOf(request),
    ...forwardedFor(request),
    "x-forwarded-uri": place.prefix + place.rest,
  };
}

/** Throws StatusError 503 before anything was answered; ends the connection when the other side breaks off later. */
export async function proxyRequest(
  exchange: Exchange,
  location: Location,
  credentials: NodeCredentials,
): Promise<void> {
  const { request, response, method, signal } = exchange;
  const place = placeOf(request.url ?? "/", segmentsOf(exchange));
  if (place.rest === "" && (method === "GET" || method === "HEAD")) {
    response.statusCode = 301;
    response.setHeader("Location", `${place.prefix}/${place.query}`);
    response.end();
    return;
  }
  const sent = open(location, credentials, method, (place.rest || "/") + place.query, forwarded(exchange, place));
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.on("response", resolve);
    sent.on("error", (error) => reject(unreachable(error, location)));
  });
  answered.catch(() => request.unpipe?.(sent));
  signal.addEventListener("abort", () => sent.destroy(), { once: true });
  request.pipe(sent);
  await giveBack(exchange, await answered, { prefix: place.prefix, hosts: hostsOf(exchange, location) });
}

const hostsOf = ({ request }: Exchange, { host, port }: Location) => [`${host}:${port}`, host, hostOf(request)];

async function giveBack(exchange: Exchange, answer: IncomingMessage, rewriting: Rewriting): Promise<void> {
  const { response } = exchange;
  const headers: Headers = carried(answer.headers);
  if (typeof headers["location"] === "string") headers["location"] = rewriteUrl(headers["location"], rewriting);
  const page = /^text\/html\b/i.test(String(headers["content-type"] ?? "")) && !headers["content-encoding"];
  response.statusCode = answer.statusCode ?? 502;
  const whole = page ? await wholePage(answer) : undefined;
  if (whole && exchange.method !== "HEAD") {
    const text = Buffer.from(rewriteHtml(whole.toString("utf8"), rewriting));
    headers["content-length"] = String(text.length);
    setHeaders(exchange, headers);
    response.end(text);
    return;
  }
  setHeaders(exchange, headers);
  // Either side may go at any time; then so does the other.
  await pipeline(answer, response as unknown as Writable).catch(() => answer.destroy());
}

function setHeaders({ response }: Exchange, headers: Headers): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

/** Undefined: larger than what is rewritten; nothing was read then. */
async function wholePage(answer: IncomingMessage): Promise<Buffer | undefined> {
  const length = Number(answer.headers["content-length"] ?? Number.NaN);
  if (!(length <= HTML_MAX_BYTES)) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** An upgrade: the bytes of both sides go through as they are, and so does a refusal. Resolves when the stream is over. */
export async function proxyUpgrade(
  exchange: Exchange,
  socket: Duplex,
  head: Buffer,
  location: Location,
  credentials: NodeCredentials,
): Promise<void> {
  const { request, method } = exchange;
  const place = placeOf(request.url ?? "/", segmentsOf(exchange));
  const upgrade = String(request.headers.upgrade ?? "");
  const headers = { ...forwarded(exchange, place), connection: "Upgrade", upgrade };
  const sent = open(location, credentials, method, (place.rest || "/") + place.query, headers);
  await joinStreams(sent, socket, head, (error) => unreachable(error, location));
}

/** Sends an upgrade that is opened already and ties both sides together; rejects with what `refusal` makes of a failed connection. */
export async function joinStreams(
  sent: ClientRequest,
  socket: Duplex,
  head: Buffer,
  refusal: (error: NodeJS.ErrnoException) => Error,
): Promise<void> {
  const { answer, other, rest } = await new Promise<{ answer: IncomingMessage; other?: Duplex; rest?: Buffer }>(
    (resolve, reject) => {
      sent.on("upgrade", (message, duplex, first) => resolve({ answer: message, other: duplex, rest: first }));
      sent.on("response", (message) => resolve({ answer: message }));
      sent.on("error", (error) => reject(refusal(error)));
      socket.on("close", () => sent.destroy());
      sent.end();
    },
  );
  socket.write(statusLines(answer));
  if (!other) return void (await pipeline(answer, socket).catch(() => socket.destroy()));
  if (rest?.length) socket.write(rest);
  if (head.length > 0) other.write(head);
  await Promise.all([pipeline(other, socket), pipeline(socket, other)]).catch(() => {
    socket.destroy();
    other.destroy();
  });
}

function statusLines({ statusCode = 502, statusMessage = "", rawHeaders }: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`];
  const chunked = (name: string) => /^(transfer-encoding|connection|upgrade)$/i.test(name) && statusCode !== 101;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? "";
    if (!chunked(name)) lines.push(`${name}: ${rawHeaders[i + 1]}`);
  }
  if (statusCode !== 101) lines.push("Connection: close");
  return `${lines.join("\r\n")}\r\n\r\n`;
}
