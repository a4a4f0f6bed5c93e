/** One TLS port for HTTP/2 and HTTP/1.1 (which carries the upgrades of exec, attach and port-forward). */

import { constants } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { Log } from "#platform/base/log.ts";
import { paceArrivals } from "./arrivals.ts";
import type { AnyRequest } from "./body.ts";
import type { AnyResponse } from "./respond.ts";

export interface ServerOptions {
  host: string;
  port: number;
  /** PEM texts of the serving certificate. */
  cert: string;
  key: string;
  /** PEM of the authority whose client certificates are asked for. */
  clientCa: string;
  log: Log;
  onRequest(request: AnyRequest, response: AnyResponse): Promise<void>;
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
}

const STREAMS_PER_SESSION_MAX = 1000;
/** As Go's servers: a command for exec is in the path, and may be long. */
const HTTP1 = { maxHeaderSize: 1024 * 1024 };
const HEADER_TIMEOUT_MS = 32_000;

export interface ListeningServer {
  port: number;
  /** No new connections; open ones may finish for `graceMs`, then they are closed. */
  close(graceMs: number): Promise<void>;
}

export async function listen(options: ServerOptions): Promise<ListeningServer> {
  const { cert, key, clientCa, log } = options;
  const server = createSecureServer({
    cert,
    key,
    ca: clientCa,
    // Asked for and not required: a bad or foreign certificate is refused by authentication, with a Status.
    requestCert: true,
    rejectUnauthorized: false,
    allowHTTP1: true,
    ...HTTP1,
    noDelay: true,
    minVersion: "TLSv1.2",
    // Clients of Kubernetes keep connections and not sessions: sealing two tickets for each was a quarter of a handshake's time.
    secureOptions: constants.SSL_OP_NO_TICKET,
    settings: { maxConcurrentStreams: STREAMS_PER_SESSION_MAX },
  });
  paceArrivals(server);
  const sessions = new Set<ServerHttp2Session>();
  /** Of HTTP/1.1. */
  const sockets = new Set<Duplex>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", (error: Error) => log.debug("HTTP/2 session failed", { error: error.message }));
  });
  server.on("secureConnection", (socket) => {
    // Who a connection's client is holds for its whole life.
    socket.disableRenegotiation();
    // A session owns its socket: taking that from under it breaks Node's heap (nodejs/node issue 49307).
    if (socket.alpnProtocol === "h2") return;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  });
  server.on("sessionError", (error: Error) => log.debug("HTTP/2 session failed", { error: error.message }));
  server.on("tlsClientError", (error: Error) => log.debug("TLS handshake failed", { error: error.message }));
  server.on("request", (request, response) => void options.onRequest(request, response));
  server.on(
    "upgrade",
    (request: IncomingMessage, socket: Duplex, head: Buffer) => void options.onUpgrade(request, socket, head),
  );
  Object.assign(server, { headersTimeout: HEADER_TIMEOUT_MS });
  await bound(server, options);
  const { port } = server.address() as AddressInfo;
  return { port, close: (graceMs) => close(server, sessions, sockets, graceMs) };
}

function bound(server: Http2SecureServer, { host, port }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function close(
  server: Http2SecureServer,
  sessions: Set<ServerHttp2Session>,
  sockets: Set<Duplex>,
  graceMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const session of sessions) session.close();
  const timer = setTimeout(() => {
    for (const session of sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
  }, graceMs);
  await closed;
  clearTimeout(timer);
}
