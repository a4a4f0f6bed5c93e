/** Requests of the API server to a node agent: TLS with the API server's client certificate, answers and upgrades. */
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import type { Duplex } from "node:stream";
import { unavailable } from "#sdk/api/status.ts";
import type { NodeAddress, NodeCredentials } from "./port.ts";

const CONNECT_MS = 10_000;

export interface NodeConnections {
  /** Rejects with StatusError 503 when the node cannot be reached. */
  get(node: NodeAddress, path: string, signal: AbortSignal): Promise<IncomingMessage>;
  /** `head` is what came behind the 101; another answer than 101 resolves with `refused`. */
  upgrade(
    node: NodeAddress,
    path: string,
    headers: Record<string, string>,
  ): Promise<{ socket: Duplex; head: Buffer; response: IncomingMessage } | { refused: IncomingMessage }>;
}

export function createNodeConnections(credentials: NodeCredentials): NodeConnections {
  const agent = new Agent({ ...credentials, keepAlive: true, maxFreeSockets: 16, timeout: 0 });
  const open = (node: NodeAddress, method: string, path: string, headers: Record<string, string>) => {
    const upgrade = headers["upgrade"] !== undefined;
    const sent = request({
      host: node.host,
      port: node.port,
      method,
      path,
      headers,
      agent: upgrade ? false : agent,
      ...(upgrade ? credentials : {}),
    });
    const timer = setTimeout(() => sent.destroy(new Error("i/o timeout")), CONNECT_MS);
    sent.on("socket", (socket) => {
      if (!socket.connecting) clearTimeout(timer);
      else socket.once("secureConnect", () => clearTimeout(timer));
    });
    sent.on("close", () => clearTimeout(timer));
    return sent;
  };
  const broken = (node: NodeAddress, error: Error) =>
    unavailable(
      `error dialing backend: the node agent at ${node.host}:${node.port} cannot be reached: ${error.message}`,
    );
  return {
    get: (node, path, signal) =>
      new Promise((resolve, reject) => {
        const sent = open(node, "GET", path, {});
        sent.on("response", resolve);
        sent.on("error", (error) => reject(broken(node, error)));
        signal.addEventListener("abort", () => sent.destroy(), { once: true });
        sent.end();
      }),
    upgrade: (node, path, headers) =>
      new Promise((resolve, reject) => {
        const sent = open(node, "POST", path, { connection: "Upgrade", upgrade: "SPDY/3.1", ...headers });
        sent.on("upgrade", (response, socket, head) => resolve({ response, socket, head }));
        sent.on("response", (refused) => resolve({ refused }));
        sent.on("error", (error) => reject(broken(node, error)));
        sent.end();
      }),
  };
}
