/** pods/log, exec, attach and portforward: from the client's protocol to the node agent's. See port.ts. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { type WebSocket, WebSocketServer } from "ws";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import { createNodeConnections, type NodeConnections } from "./node-connection.ts";
import { logPath, nodeOf, nodePath, streamsOf } from "./options.ts";
import type { NodeCredentials, Streaming, StreamingSubresource, StreamingTarget } from "./port.ts";
import { NODE_PROTOCOL, translate, tunnel, V4, V5 } from "./remote-command.ts";
import { SpdyConnection } from "./spdy.ts";

const TUNNEL = "SPDY/3.1+portforward.k8s.io";
const PORT_FORWARD = "portforward.k8s.io";
const MESSAGE_BYTES_MAX = 32 << 20;

export function createStreaming(credentials: NodeCredentials): Streaming {
  const nodes = createNodeConnections(credentials);
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
  });
  // The tunnel's name has a slash, which ws takes for a syntax error: the header is answered here, not by ws.
  const chosen = new WeakMap<IncomingMessage, string>();
  sockets.on("headers", (headers, request) => headers.push(`Sec-WebSocket-Protocol: ${chosen.get(request) ?? ""}`));

  const accept = (request: IncomingMessage, socket: Duplex, head: Buffer, protocol: string): Promise<WebSocket> => {
    chosen.set(request, protocol);
    delete request.headers["sec-websocket-protocol"];
    return new Promise((resolve) => sockets.handleUpgrade(request, socket, head, resolve));
  };

  return {
    async handleUpgrade(request, socket, head, subresource, target) {
      const node = nodeOf(target);
      const path = nodePath(subresource === "portforward" ? "portForward" : subresource, target);
      socket.on("error", () => socket.destroy());
      if (/^websocket$/i.test(request.headers.upgrade ?? "")) {
        const protocol = chooseProtocol(request, subresource);
        const wanted = protocol === TUNNEL ? PORT_FORWARD : NODE_PROTOCOL;
        const answer = await upgradeNode(nodes, node, path, { "x-stream-protocol-version": wanted });
        const client = await accept(request, socket, head, protocol);
        if (protocol === TUNNEL) await tunnel(client, answer);
        else {
          const streams = streamsOf(target.query, subresource === "attach");
          await translate(client, new SpdyConnection(answer.socket, answer.head), protocol, streams);
        }
        return;
      }
      await passThrough(nodes, request, socket, head, path, target);
    },

    async proxyLog(target, out) {
      // HTTP/1.1's response and HTTP/2's compatible one share these methods, and TypeScript cannot call their union.
      const response = out as ServerResponse;
      const path = logPath(target);
      const ending = new AbortController();
      response.on("close", () => ending.abort());
      if (target.node === undefined && !target.pod.spec.nodeName) {
        response.writeHead(200, { "content-type": "text/plain" });
        response.end();
        return;
      }
      const answer = await nodes.get(nodeOf(target), path, ending.signal);
      if (answer.statusCode !== 200) throw await refusal(answer);
      response.writeHead(200, { "content-type": "text/plain" });
      try {
        for await (const chunk of answer as AsyncIterable<Buffer>) {
          if (!response.write(chunk)) await drained(response, ending.signal);
        }
      } catch (error) {
        // The client went, or the node did: either way there is nobody to tell but by the end of the stream.
        if (!ending.signal.aborted) response.destroy(error instanceof Error ? error : undefined);
        return;
      }
      response.end();
    },
  };
}

const drained = (
  response: { once(event: "drain", listener: () => void): unknown },
  signal: AbortSignal,
): Promise<void> =>
  new Promise((resolve) => {
    response.once("drain", resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

function chooseProtocol(request: IncomingMessage, subresource: StreamingSubresource): string {
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  const known = subresource === "portforward" ? [TUNNEL] : [V5, V4];
  const chosen = known.find((one) => offered.includes(one));
  if (chosen === undefined)
    throw badRequest(`unable to upgrade: the WebSocket must offer one of the subprotocols ${known.join(", ")}`);
  return chosen;
}

async function upgradeNode(
  nodes: NodeConnections,
  node: { host: string; port: number },
  path: string,
  headers: Record<string, string>,
): Promise<{ socket: Duplex; head: Buffer; response: IncomingMessage }> {
  const answer = await nodes.upgrade(node, path, headers);
  if ("refused" in answer) {
    const why = await refusal(answer.refused);
    throw new StatusError(why.code, why.reason, `unable to upgrade connection: ${why.message}`);
  }
  return answer;
}

/** The node's words under its code. */
async function refusal(answer: IncomingMessage): Promise<StatusError> {
  const message = (await text(answer)).trim();
  const code = answer.statusCode ?? 500;
  if (code === 400) return badRequest(message);
  if (code === 404) return new StatusError(404, "NotFound", message);
  return new StatusError(500, "InternalError", `Internal error occurred: ${message}`);
}

/** A client that speaks SPDY/3.1 itself: its bytes go to the node as they are. */
async function passThrough(
  nodes: NodeConnections,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  path: string,
  target: StreamingTarget,
): Promise<void> {
  if (!/^spdy\/3\.1$/i.test(request.headers.upgrade ?? ""))
    throw badRequest(`unable to upgrade: unknown protocol ${JSON.stringify(request.headers.upgrade ?? "")}`);
  const versions = request.headers["x-stream-protocol-version"];
  const offered: Record<string, string> = {};
  if (versions !== undefined) offered["x-stream-protocol-version"] = [versions].flat().join(", ");
  const node = await upgradeNode(nodes, nodeOf(target), path, offered);
  const chosen = node.response.headers["x-stream-protocol-version"];
  const lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: SPDY/3.1"];
  if (chosen !== undefined) lines.push(`X-Stream-Protocol-Version: ${[chosen].flat().join(", ")}`);
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  if (node.head.length > 0) socket.write(node.head);
  if (head.length > 0) node.socket.write(head);
  node.socket.pipe(socket);
  socket.pipe(node.socket);
  await new Promise<void>((resolve) => {
    const end = () => {
      socket.destroy();
      node.socket.destroy();
      resolve();
    };
    for (const one of [socket, node.socket]) {
      one.on("close", end);
      one.on("error", end);
    }
  });
}
