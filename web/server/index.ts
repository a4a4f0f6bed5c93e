/**
 * The web console's server: static files, tRPC over HTTP for signing in, and live connections. It holds no privilege: every
 * call to the API server carries the signed-in user's own credential, kept in memory for the session only.
 */
import type { AddressInfo } from "node:net";
import fastifyStatic from "@fastify/static";
import { type FastifyTRPCPluginOptions, fastifyTRPCPlugin } from "@trpc/server/adapters/fastify";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Context } from "./context.ts";
import { serveLive } from "./live-connections.ts";
import type { ConsoleLog } from "./port.ts";
import { type AppRouter, appRouter } from "./router.ts";
import { isSameOrigin, SECURITY_HEADERS, sessionCookie, sessionIdOf } from "./security.ts";
import { type Connect, connector, limited } from "./session/connect.ts";
import { createSessions } from "./session/sessions.ts";

export interface ConsoleOptions {
  /** "https://host:6443" */
  apiUrl: string;
  /** PEM of the cluster's authority. */
  ca: string;
  host: string;
  /** 0: any free port. */
  port: number;
  log: ConsoleLog;
  /** The built client (web/build.ts). */
  staticDir: string;
  /** How a credential becomes a connection; tests put an API of their own here. */
  connect?: Connect;
}

export interface Console {
  /** "http://host:port" */
  url: string;
  close(): Promise<void>;
}

const BODY_BYTES_MAX = 512 * 1024;
const SWEEP_MS = 60_000;
const YEAR_S = 365 * 24 * 60 * 60;

/** Listening when it resolves. */
export async function createConsole(options: ConsoleOptions): Promise<Console> {
  const { log } = options;
  const sessions = createSessions(() => performance.now());
  const connect = limited(options.connect ?? connector(options));
  const app = fastify({ bodyLimit: BODY_BYTES_MAX, routerOptions: { maxParamLength: 500 } });

  app.addHook("onRequest", async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    if (request.url.startsWith("/api/")) reply.header("cache-control", "no-store");
    if (request.method !== "GET" && !isSameOrigin(request.raw)) {
      return reply.code(403).send({ message: "The request does not come from the console's own page." });
    }
  });
  app.get("/healthz", () => "ok");
  await app.register(fastifyTRPCPlugin, {
    prefix: "/api/trpc",
    trpcOptions: {
      router: appRouter,
      createContext: ({ req, res }) => contextOf(req, res),
      onError: ({ error, path }) => {
        if (error.code === "INTERNAL_SERVER_ERROR") log.error("a call failed", { path, error: error.message });
      },
    },
  } satisfies FastifyTRPCPluginOptions<AppRouter>);
  await serveFiles(app, options.staticDir);

  function contextOf(request: FastifyRequest, reply: FastifyReply): Context {
    return {
      sessions,
      connect,
      log,
      session: sessions.get(sessionIdOf(request.raw)),
      setSession: (id) => void reply.header("set-cookie", sessionCookie(id)),
    };
  }

  const closeLive = serveLive({
    server: app.server,
    sessions,
    log,
    context: (session) => ({ sessions, connect, log, session }),
  });
  const sweeping = setInterval(() => sessions.sweep(), SWEEP_MS);
  await app.listen({ host: options.host, port: options.port });
  const { port } = app.server.address() as AddressInfo;
  return {
    url: `http://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    async close() {
      clearInterval(sweeping);
      closeLive();
      sessions.close();
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

/** Files by name; every other path is a page of the client, which finds its way by the URL itself. */
async function serveFiles(app: FastifyInstance, root: string): Promise<void> {
  await app.register(fastifyStatic, {
    root,
    setHeaders: (reply: FastifyReply, path: string) => {
      const named = path.includes("/assets/");
      reply.header("cache-control", named ? `public, max-age=${YEAR_S}, immutable` : "no-cache");
    },
  });
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const page = request.method === "GET" && !request.url.startsWith("/api/") && !request.url.startsWith("/assets/");
    return page ? reply.sendFile("index.html") : reply.code(404).send({ message: "There is nothing here." });
  });
}
