/**
 * The agent's own API (kubernetes/pkg/kubelet/server): TLS; who asks is authenticated and authorised by the API server (serving/auth.ts).
 *
 *   GET  /pods /runningpods /stats/summary /metrics /metrics/resource /metrics/cadvisor /configz /logs/ /healthz
 *   GET  /containerLogs/… (serving/logs.ts)   POST /exec/… /attach/… /portForward/… (serving/streams.ts)
 *   POST /run/NAMESPACE/POD[/UID]/CONTAINER?cmd=
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Duplex } from "node:stream";
import { messageOf } from "#platform/base/log.ts";
import type { Agent } from "./agent.ts";
import { createNodeAuth, type NodeAuth } from "./serving/auth.ts";
import { sendLogs } from "./serving/logs.ts";
import { sendPage, sendText } from "./serving/pages.ts";
import { HttpError, pageNotFound, podOf } from "./serving/request.ts";
import { upgrade } from "./serving/streams.ts";

/** PEM texts. */
export interface ServerCredentials {
  cert: string;
  key: string;
  /** The authority of the clients' certificates. */
  ca: string;
}

const RUN_SECONDS_MAX = 120;

export interface NodeServer {
  close(): Promise<void>;
}

/** As the API server's, which passes commands on in the path. */
const HEADER_BYTES_MAX = 1024 * 1024;

/** Rejects when the port cannot be had. */
export async function startServer(
  agent: Agent,
  credentials: ServerCredentials,
  listen: { host: string; port: number },
): Promise<NodeServer> {
  const auth = createNodeAuth(agent.context);
  const sockets = new Set<Duplex>();
  const server: Server = createServer(
    { ...credentials, requestCert: true, rejectUnauthorized: false, maxHeaderSize: HEADER_BYTES_MAX },
    (request, response) => {
      answer(agent, auth, request, response).catch((error: unknown) => {
        const code = error instanceof HttpError ? error.code : 500;
        if (response.headersSent) return void response.destroy();
        response.writeHead(code, { "content-type": "text/plain; charset=utf-8" });
        response.end(`${messageOf(error)}\n`);
      });
    },
  );
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const carry = async () => {
      await auth.authorize(request);
      await upgrade(agent, request, socket, head);
    };
    carry().catch((error: unknown) => {
      const code = error instanceof HttpError ? error.code : 500;
      const text = messageOf(error);
      socket.end(
        `HTTP/1.1 ${code} Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
      );
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.host, resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function answer(agent: Agent, auth: NodeAuth, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "https://node");
  const [, area = "", namespace = "", name = "", ...rest] = url.pathname.split("/").map(decodeURIComponent);
  if (area === "healthz") return sendText(response, "ok");
  await auth.authorize(request);
  if (area === "containerLogs") {
    const pod = podOf(agent, namespace, name, url.searchParams.get("uid"));
    return await sendLogs(agent, pod, rest[0] ?? "", url.searchParams, response);
  }
  if (area === "run" && request.method === "POST") {
    const pod = podOf(agent, namespace, name, rest.length > 1 ? (rest[0] ?? null) : null);
    return sendText(
      response,
      await runCommand(agent, pod.metadata.uid, rest.at(-1) ?? "", url.searchParams.get("cmd") ?? ""),
    );
  }
  if (!(await sendPage(agent, url, response))) throw pageNotFound();
}

/** A command's output, both streams after one another. */
async function runCommand(agent: Agent, uid: string, container: string, command: string): Promise<string> {
  const running = agent.observer
    .get(uid)
    .containers.find((one) => one.name === container && one.state === "CONTAINER_RUNNING");
  if (running === undefined) throw new HttpError(404, `container not found ("${container}")`);
  const words = command.split(" ").filter((word) => word !== "");
  const { stdout, stderr } = await agent.context.runtime.execSync(running.id, words, RUN_SECONDS_MAX);
  return Buffer.concat([stdout, stderr]).toString();
}
