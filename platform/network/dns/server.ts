/** Listens for DNS over UDP and TCP on one address and port. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { framed } from "./forward.ts";

export type Respond = (query: Buffer, client: string, viaTcp: boolean) => Promise<Buffer | undefined>;

export interface DnsListener {
  address: string;
  port: number;
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 128;
const IDLE_MS = 10_000;
/** Questions being answered for all UDP clients, and for one TCP connection. More are dropped: clients ask again. */
const UDP_IN_FLIGHT_MAX = 1024;
const TCP_IN_FLIGHT_MAX = 64;
const QUERY_BYTES_MAX = 4096;

/** `port` 0: any free one. Rejects with the system's error (EADDRINUSE …). */
export async function listenDns(address: string, port: number, respond: Respond): Promise<DnsListener> {
  const server = createServer((socket) => serve(socket, respond));
  server.maxConnections = CONNECTIONS_MAX;
  server.listen(port, address);
  await once(server, "listening");
  const bound = server.address();
  const actual = typeof bound === "object" && bound ? bound.port : port;
  const udp = createSocket(address.includes(":") ? "udp6" : "udp4");
  let inFlight = 0;
  udp.on("message", (query, from) => {
    if (inFlight >= UDP_IN_FLIGHT_MAX) return;
    inFlight++;
    respond(query, from.address, false)
      .then((answer) => answer && udp.send(answer, from.port, from.address, () => undefined))
      .finally(() => inFlight--);
  });
  try {
    udp.bind(actual, address);
    await once(udp, "listening");
  } catch (error) {
    server.close();
    throw error;
  }
  // After this an error of one packet (a client that is gone) must not end the server.
  udp.on("error", () => undefined);
  return {
    address,
    port: actual,
    async close() {
      udp.close();
      server.close();
    },
  };
}

function serve(socket: Socket, respond: Respond): void {
  let received = Buffer.alloc(0);
  let inFlight = 0;
  const client = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const query = received.subarray(2, 2 + received.readUInt16BE(0));
      received = received.subarray(2 + query.length);
      if (++inFlight > TCP_IN_FLIGHT_MAX) return socket.destroy();
      respond(query, client, true)
        .then((answer) => answer && socket.writable && socket.write(framed(answer)))
        .finally(() => inFlight--);
    }
    if (received.length > QUERY_BYTES_MAX) socket.destroy();
  });
}
