/**
 * WebSockets (RFC 6455): taken over from an upgrade, and as a response that is written to like any other: a watch's events, each a message
 * of its own, and logs. Browsers, which cannot set headers, offer their bearer token as a subprotocol.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { Writable } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { unauthorized } from "#sdk/api/status.ts";
import type { AnyResponse } from "./respond.ts";

const MESSAGE_BYTES_MAX = 32 << 20;
const BUFFERED_BYTES_MAX = 1 << 20;
const BEARER = "base64url.bearer.authorization.k8s.io.";
const BASE64 = "base64.binary.k8s.io";
const READERS = ["binary.k8s.io", BASE64];

const sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false });
// Some names have a slash, which ws takes for a syntax error: the header is answered here, not by ws.
const chosen = new WeakMap<IncomingMessage, string>();
sockets.on("headers", (headers, request) => {
  const protocol = chosen.get(request);
  if (protocol) headers.push(`Sec-WebSocket-Protocol: ${protocol}`);
});

export const isWebSocket = ({ headers }: Pick<IncomingMessage, "headers">): boolean =>
  /^websocket$/i.test(headers.upgrade ?? "");

/** Subprotocols in the client's order; what carries a token is none of them. */
export const offeredProtocols = ({ headers }: Pick<IncomingMessage, "headers">): string[] =>
  (headers["sec-websocket-protocol"] ?? "")
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "" && !one.startsWith(BEARER));

/** The token that a WebSocket client offered as a subprotocol. Throws 401 for one that cannot be read or that stands alone. */
export function bearerOfProtocols(request: Pick<IncomingMessage, "headers">): string | undefined {
  if (!isWebSocket(request)) return undefined;
  const all = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  const [encoded, ...more] = all.filter((one) => one.startsWith(BEARER)).map((one) => one.slice(BEARER.length));
  if (encoded === undefined) return undefined;
  if (more.length > 0 || !/^[\w-]+$/.test(encoded) || offeredProtocols(request).length === 0) throw unauthorized();
  return Buffer.from(encoded, "base64url").toString();
}

/** `protocol`: the subprotocol that is answered; empty answers none. */
export function takeOver(request: IncomingMessage, socket: Duplex, head: Buffer, protocol: string): Promise<WebSocket> {
  chosen.set(request, protocol);
  delete request.headers["sec-websocket-protocol"];
  return new Promise((resolve) => sockets.handleUpgrade(request, socket, head, resolve));
}

/** How what is written becomes messages: a line each as text (a watch in JSON), or as it comes, binary or in base64 (logs, protobuf). */
type Framing = "lines" | "binary" | "base64";

/**
 * A response over an upgrade that has not been answered yet: the first byte of a success takes the socket over, a failure is
 * answered in plain HTTP. Has of a ServerResponse what the handlers of long answers use.
 */
export class WebSocketResponse extends Writable {
  statusCode = 200;
  headersSent = false;
  readonly #request: IncomingMessage;
  readonly #socket: Duplex;
  readonly #head: Buffer;
  readonly #headers = new Map<string, string>();
  #framing: Framing = "binary";
  #client: WebSocket | undefined;
  #refusal: Buffer[] = [];
  #rest = "";

  constructor(request: IncomingMessage, socket: Duplex, head: Buffer) {
    super({ highWaterMark: BUFFERED_BYTES_MAX, emitClose: true });
    this.#request = request;
    this.#socket = socket;
    this.#head = head;
    socket.on("close", () => this.destroy());
  }

  hasHeader(name: string): boolean {
    return this.#headers.has(name.toLowerCase());
  }

  setHeader(name: string, value: string | number): void {
    this.#headers.set(name.toLowerCase(), String(value));
  }

  writeHead(code: number, headers: Record<string, string> = {}): void {
    this.statusCode = code;
    for (const [name, value] of Object.entries(headers)) this.setHeader(name, value);
  }

  flushHeaders(): void {
    if (this.statusCode === 200) void this.#open();
  }

  async #open(): Promise<WebSocket> {
    if (this.#client) return this.#client;
    const offered = offeredProtocols(this.#request);
    const reader = offered.find((one) => READERS.includes(one));
    const json = this.#headers.get("content-type")?.startsWith("application/json") === true;
    this.#framing = json ? "lines" : reader === BASE64 ? "base64" : "binary";
    this.headersSent = true;
    this.#client = await takeOver(this.#request, this.#socket, this.#head, reader ?? offered[0] ?? "");
    this.#client.on("close", () => this.destroy());
    this.#client.on("error", () => this.destroy());
    return this.#client;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.statusCode !== 200) {
      this.#refusal.push(chunk);
      done();
    } else
      this.#open()
        .then((client) => this.#send(client, chunk))
        .then(() => done(), done);
  }

  async #send(client: WebSocket, chunk: Buffer): Promise<void> {
    const sent = (data: string | Buffer) => new Promise<void>((resolve) => client.send(data, () => resolve()));
    if (this.#framing === "binary") return sent(chunk);
    if (this.#framing === "base64") return sent(chunk.toString("base64"));
    const lines = (this.#rest + chunk.toString()).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) await sent(line);
  }

  override _final(done: (error?: Error) => void): void {
    if (this.#client) this.#client.close(1000);
    else if (this.statusCode === 200) void this.#open().then((client) => client.close(1000));
    else this.#refuse();
    done();
  }

  #refuse(): void {
    if (this.#socket.destroyed) return;
    this.headersSent = true;
    const body = Buffer.concat(this.#refusal);
    const headers = [...this.#headers].filter(([name]) => name !== "content-length").map(([n, v]) => `${n}: ${v}\r\n`);
    const head = `HTTP/1.1 ${this.statusCode} ${this.statusCode === 401 ? "Unauthorized" : "Error"}\r\n`;
    this.#socket.end(`${head}${headers.join("")}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
  }

  /** For the handlers: they use what is here and nothing else of a ServerResponse. */
  get response(): AnyResponse {
    return this as unknown as AnyResponse;
  }
}
