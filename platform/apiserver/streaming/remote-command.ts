/**
 * exec and attach for a WebSocket client, towards a node that speaks SPDY (KEP-4006). A message's first byte is its channel:
 * 0 stdin, 1 stdout, 2 stderr, 3 error (a Status as JSON), 4 resize; in v5 255 closes the channel that its next byte names.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { SpdyConnection, SpdyStream } from "./spdy.ts";

export const V5 = "v5.channel.k8s.io";
export const V4 = "v4.channel.k8s.io";
/** What the node is asked to speak: errors are a Status as JSON. */
export const NODE_PROTOCOL = "v4.channel.k8s.io";

const CHANNELS = ["stdin", "stdout", "stderr", "error", "resize"] as const;
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
export function translate(
  client: WebSocket,
  node: SpdyConnection,
  protocol: string,
  streams: CommandStreams,
): Promise<void> {
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
  // Who waits for the connection sees it on the first channel he can read.
  const first = streams.stdout ? 1 : streams.stderr ? 2 : 3;
  client.send(Buffer.from([first]));

  const send = (channel: number, data: Buffer) => {
    client.send(Buffer.concat([Buffer.from([channel]), data]), () => {
      if (client.bufferedAmount < BUFFERED_BYTES_MAX) node.resume();
    });
    if (client.bufferedAmount >= BUFFERED_BYTES_MAX) node.pause();
  };
  node.on("data", (stream, data) => {
    const channel = byStream.get(stream);
    if (channel !== undefined) send(channel, data);
  });
  node.on("drain", () => client.resume());
  client.on("message", (message: Buffer) => {
    const channel = message[0];
    if (channel === undefined) return;
    if (channel === CLOSE && protocol === V5) byChannel.get(message[1] ?? CLOSE)?.end();
    else if (channel === 0 || channel === 4) {
      if (byChannel.get(channel)?.write(message.subarray(1)) === false) client.pause();
    }
  });
  return finished(client, node, () => {
    // The error stream's end is the command's end: what comes after it is nothing.
    const error = byChannel.get(3);
    return error?.remoteClosed === true && [1, 2].every((channel) => byChannel.get(channel)?.remoteClosed !== false);
  });
}

function finished(client: WebSocket, node: SpdyConnection, done: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const ping = setInterval(() => client.ping(), PING_MS);
    const end = () => {
      clearInterval(ping);
      node.destroy();
      client.close(1000);
      resolve();
    };
    node.on("end", () => {
      if (done()) end();
    });
    node.on("close", end);
    client.on("close", end);
    client.on("error", end);
  });
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
