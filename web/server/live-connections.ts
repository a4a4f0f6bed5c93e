/**
 * Live connections: one WebSocket for each browser tab, however many subscriptions it has (event streams would each take
 * one of the six connections that a browser allows to a host over HTTP/1.1). Signed-in pages of our own origin only.
 */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { getWSConnectionHandler } from "@trpc/server/adapters/ws";
import { type WebSocket, WebSocketServer } from "ws";
import type { Context } from "./context.ts";
import type { ConsoleLog } from "./port.ts";
import { type AppRouter, appRouter } from "./router.ts";
import { isSameOrigin, sessionIdOf } from "./security.ts";
import type { Session, Sessions } from "./session/sessions.ts";

export const LIVE_PATH = "/api/live";
const MESSAGE_BYTES_MAX = 64 * 1024;
/** A tab with more than this unread holds up its subscriptions. */
const UNREAD_BYTES_MAX = 1 << 20;
const DRAIN_POLL_MS = 25;
const PING_MS = 20_000;
const PONG_WAIT_MS = 20_000;

export interface LiveOptions {
  server: Server;
  sessions: Sessions;
  log: ConsoleLog;
  context(session: Session): Context;
}

/** Returns how to end every live connection. */
export function serveLive({ server, sessions, log, context }: LiveOptions): () => void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX });
  const sessionOf = new WeakMap<IncomingMessage, Session>();
  const serve = getWSConnectionHandler<AppRouter>({
    wss: sockets,
    router: appRouter,
    keepAlive: { enabled: true, pingMs: PING_MS, pongWaitMs: PONG_WAIT_MS },
    createContext: ({ req, res }) => {
      const session = sessionOf.get(req);
      if (!session) throw new Error("a live connection without a session");
      return { ...context(session), drained: () => drained(res) };
    },
    onError: ({ error, path }) => {
      if (error.code === "INTERNAL_SERVER_ERROR") log.error("a live call failed", { path, error: error.message });
    },
  });

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const path = request.url?.split("?", 1)[0];
    const session = sessions.get(sessionIdOf(request));
    if (path !== LIVE_PATH) return refuse(socket, "404 Not Found");
    if (!isSameOrigin(request)) return refuse(socket, "403 Forbidden");
    if (!session) return refuse(socket, "401 Unauthorized");
    const leave = sessions.openTab(session);
    if (!leave) return refuse(socket, "429 Too Many Requests");
    socket.once("close", leave);
    sockets.handleUpgrade(request, socket, head, (ws) => {
      sessionOf.set(request, session);
      attach(session, ws);
      serve(ws, request);
    });
  };
  server.on("upgrade", upgrade);
  return () => {
    server.off("upgrade", upgrade);
    for (const ws of sockets.clients) ws.terminate();
    sockets.close();
  };
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** Closes the connection when the session ends (4401: sign in again). */
function attach(session: Session, ws: WebSocket): void {
  const close = () => ws.close(4401, "signed out");
  session.ended.addEventListener("abort", close, { once: true });
  ws.on("error", () => ws.terminate());
  ws.once("close", () => session.ended.removeEventListener("abort", close));
}

async function drained(ws: WebSocket): Promise<void> {
  while (ws.readyState === ws.OPEN && ws.bufferedAmount > UNREAD_BYTES_MAX) {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
  }
}
