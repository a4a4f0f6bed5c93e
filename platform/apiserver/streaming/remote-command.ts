/**
 * exec, attach and port-forward for a WebSocket client, towards a node that speaks SPDY (KEP-4006). exec's channels: 0 stdin,
 * 1 stdout, 2 stderr, 3 error, 4 resize.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { Status } from "#sdk/api/status.ts";
import type { Channels } from "./channels.ts";
import type { SpdyConnection, SpdyStream } from "./spdy.ts";

/** What the node is asked to speak: errors are a Status as JSON. */
export const NODE_PROTOCOL = "v4.channel.k8s.io";

const CHANNELS = ["stdin", "stdout", "stderr", "error", "resize"] as const;
const ERROR = 3;
const CLOSE = 255;
/** The client is slow beyond this: reading from the node stops until it has caught up. */
const BUFFERED_BYTES_MAX = 1 << 20;
const PING_MS = 10_000;

export interface CommandStreams {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

/** Resolves when either side is done; both are closed by then. */
export function translate(client: Channels, node: SpdyConnection, streams: CommandStreams): Promise<void> {
  const { halfClose, statusErrors } = client.protocol;
  const wanted = {
    error: true,
    stdin: streams.stdin,
    stdout: streams.stdout,
    stderr: streams.stderr && !streams.tty,
    resize: streams.tty,
  };
  const byChannel = new Map<number, SpdyStream>();
  const byStream = new Map<SpdyStream, number>();
  for (const name of ["error", "stdin", "stdout", "stderr", "resize"] as const) {
    if (!wanted[name]) continue;
    const stream = node.open({ streamtype: name });
    byChannel.set(CHANNELS.indexOf(name), stream);
    byStream.set(stream, CHANNELS.indexOf(name));
  }
  const send = (channel: number, data: Buffer) => {
    if (!client.send(channel, data, () => node.resume())) node.pause();
  };
  // Who waits for the connection sees it on the first channel he can read.
  send(streams.stdout ? 1 : streams.stderr ? 2 : ERROR, Buffer.alloc(0));

  const said: Buffer[] = [];
  node.on("data", (stream, data) => {
    const channel = byStream.get(stream);
    if (channel === ERROR && !statusErrors) said.push(data);
    else if (channel !== undefined) send(channel, data);
  });
  node.on("drain", () => client.resume());
  client.onMessage((channel, data) => {
    if (channel === CLOSE && halfClose) byChannel.get(data[0] ?? CLOSE)?.end();
    else if ((channel === 0 || channel === 4) && byChannel.get(channel)?.write(data) === false) client.pause();
  });
  return finished(
    client,
    node,
    () => {
      // The error stream's end is the command's end: what comes after it is nothing.
      const error = byChannel.get(ERROR);
      return error?.remoteClosed === true && [1, 2].every((channel) => byChannel.get(channel)?.remoteClosed !== false);
    },
    () => {
      const words = inWords(Buffer.concat(said).toString());
      if (words !== "") send(ERROR, Buffer.from(words));
    },
  );
}

/** What a Status says to a client that knows none: nothing of success. */
function inWords(status: string): string {
  if (status === "") return "";
  const { status: outcome, message = "" } = JSON.parse(status) as Status;
  return outcome === "Success" ? "" : message;
}

function finished(client: Channels, node: SpdyConnection, done: () => boolean, last: () => void): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      node.destroy();
      client.close();
      resolve();
    };
    node.on("end", () => {
      if (!done()) return;
      last();
      end();
    });
    node.on("close", end);
    client.onClose(end);
  });
}

/** A pair of channels for each port, data and errors; each begins with its port in two bytes, the lower one first. */
export function forwardPorts(client: Channels, node: SpdyConnection, ports: readonly number[]): Promise<void> {
  const streams = ports.flatMap((port, i) => {
    const headers = { port: String(port), requestid: String(i) };
    const error = node.open({ ...headers, streamtype: "error" });
    return [node.open({ ...headers, streamtype: "data" }), error];
  });
  const send = (channel: number, data: Buffer) => {
    if (!client.send(channel, data, () => node.resume())) node.pause();
  };
  streams.forEach((_, channel) => {
    const port = Buffer.alloc(2);
    port.writeUInt16LE(ports[channel >> 1] ?? 0);
    send(channel, port);
  });
  node.on("data", (stream, data) => send(streams.indexOf(stream), data));
  node.on("drain", () => client.resume());
  client.onMessage((channel, data) => {
    if (channel % 2 === 0 && streams[channel]?.write(data) === false) client.pause();
  });
  return finished(
    client,
    node,
    () => streams.every((stream) => stream.remoteClosed),
    () => undefined,
  );
}

/** Port-forward's tunnel (KEP-4006, SPDY/3.1+portforward.k8s.io): the messages' bytes are the SPDY connection's. */
export function tunnel(client: WebSocket, node: { socket: Duplex; head: Buffer }): Promise<void> {
  const { socket, head } = node;
  const forward = (data: Buffer) => {
    client.send(data, () => {
      if (client.bufferedAmount < BUFFERED_BYTES_MAX) socket.resume();
    });
    if (client.bufferedAmount >= BUFFERED_BYTES_MAX) socket.pause();
  };
  if (head.length > 0) forward(head);
  socket.on("data", forward);
  socket.on("drain", () => client.resume());
  client.on("message", (message: Buffer) => {
    if (!socket.write(message)) client.pause();
  });
  return new Promise((resolve) => {
    const ping = setInterval(() => client.ping(), PING_MS);
    const end = () => {
      clearInterval(ping);
      socket.destroy();
      client.close(1000);
      resolve();
    };
    socket.on("close", end);
    socket.on("error", end);
    client.on("close", end);
    client.on("error", end);
  });
}
