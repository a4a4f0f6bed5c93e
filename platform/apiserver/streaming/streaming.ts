/** pods/log, exec, attach and portforward: from the client's protocol to the node agent's. See port.ts. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import { isWebSocket, offeredProtocols, takeOver } from "../http/websocket.ts";
import { type ChannelProtocol, COMMAND_PROTOCOLS, channelsOf, chooseChannels, FORWARD_PROTOCOLS } from "./channels.ts";
import { createNodeConnections, type NodeConnections } from "./node-connection.ts";
import { logPath, nodeOf, nodePath, portsOf, streamsOf } from "./options.ts";
import type { NodeCredentials, Streaming, StreamingSubresource, StreamingTarget } from "./port.ts";
import { forwardPorts, NODE_PROTOCOL, translate, tunnel } from "./remote-command.ts";
import { SpdyConnection } from "./spdy.ts";

const TUNNEL = "SPDY/3.1+portforward.k8s.io";
const PORT_FORWARD = "portforward.k8s.io";

export function createStreaming(credentials: NodeCredentials): Streaming {
  const nodes = createNodeConnections(credentials);
  return {
    async handleUpgrade(request, socket, head, subresource, target) {
      const node = nodeOf(target);
      const path = nodePath(subresource === "portforward" ? "portForward" : subresource, target);
      socket.on("error", () => socket.destroy());
      if (!isWebSocket(request)) return await passThrough(nodes, request, socket, head, path, target);
      const protocol = chooseProtocol(request, subresource);
      const forwards = subresource === "portforward";
      const ports = forwards && protocol !== TUNNEL ? portsOf(target.query) : [];
      const wanted = forwards ? PORT_FORWARD : NODE_PROTOCOL;
      const answer = await upgradeNode(nodes, node, path, { "x-stream-protocol-version": wanted });
      if (protocol === TUNNEL) return await tunnel(await takeOver(request, socket, head, TUNNEL), answer);
      const client = channelsOf(await takeOver(request, socket, head, protocol.name), protocol);
      const connection = new SpdyConnection(answer.socket, answer.head);
      if (forwards) await forwardPorts(client, connection, ports);
      else await translate(client, connection, streamsOf(target.query, subresource === "attach"));
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

function chooseProtocol(request: IncomingMessage, subresource: StreamingSubresource): ChannelProtocol | typeof TUNNEL {
  const offered = offeredProtocols(request);
  const forwards = subresource === "portforward";
  if (forwards && offered.includes(TUNNEL)) return TUNNEL;
  const known = forwards ? FORWARD_PROTOCOLS : COMMAND_PROTOCOLS;
  const chosen = chooseChannels(offered, known);
  if (chosen) return chosen;
  const names = [...(forwards ? [TUNNEL] : []), ...known.flatMap(({ name }) => name || [])];
  throw badRequest(`unable to upgrade: the WebSocket must offer one of the subprotocols ${names.join(", ")}`);
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
