/** Passes questions about the rest of the world to the host's own resolvers: bounded in number and time, answers unchanged. */
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { connect, isIP } from "node:net";

export interface Forwarder {
  /** The resolver's answer with the question's id. Rejects when no resolver answers in time. */
  ask(query: Buffer, viaTcp: boolean): Promise<Buffer>;
}

export interface Resolver {
  address: string;
  port: number;
}

const IN_FLIGHT_MAX = 512;
const TIMEOUT_MS = 2_000;
const ROUNDS = 2;
const RESOLVERS_MAX = 3;
const RELOAD_MS = 10_000;
const MESSAGE_BYTES_MAX = 65_535;

/** systemd-resolved's stub listens on the host's loopback only; its real servers stand in the second file. */
const RESOLV_FILES = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/** `nameserver` lines, without those that are no use to us: our own address, and a stub where better is known. */
export function resolversOf(texts: readonly string[], own: ReadonlySet<string>): Resolver[] {
  const all = texts.flatMap((text) =>
    text.split("\n").flatMap((line) => {
      const [word, address] = line.trim().split(/\s+/);
      return word === "nameserver" && address && isIP(address) && !own.has(address) ? [{ address, port: 53 }] : [];
    }),
  );
  const unique = [...new Map(all.map((r) => [r.address, r])).values()];
  const real = unique.filter((r) => !r.address.startsWith("127.0.0.53"));
  return (real.length > 0 ? real : unique).slice(0, RESOLVERS_MAX);
}

/** The host's resolvers, read again now and then: networks change under a running node. */
export function hostResolvers(own: ReadonlySet<string>): () => Resolver[] {
  let known: Resolver[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - readAt > RELOAD_MS) {
      readAt = performance.now();
      const texts = RESOLV_FILES.flatMap((file) => {
        try {
          return [readFileSync(file, "utf8")];
        } catch {
          return [];
        }
      });
      known = resolversOf(texts, own);
    }
    return known;
  };
}

export function createForwarder(resolvers: () => Resolver[]): Forwarder {
  let inFlight = 0;
  return {
    async ask(query, viaTcp) {
      if (inFlight >= IN_FLIGHT_MAX) throw new Error(`${IN_FLIGHT_MAX} questions are waiting for the host's resolvers`);
      const all = resolvers();
      if (all.length === 0) throw new Error("the host has no resolver (nameserver lines of /etc/resolv.conf)");
      inFlight++;
      try {
        let last: unknown;
        for (let round = 0; round < ROUNDS; round++)
          for (const resolver of all) {
            try {
              return await (viaTcp ? askTcp(query, resolver) : askUdp(query, resolver));
            } catch (error) {
              last = error;
            }
          }
        throw last;
      } finally {
        inFlight--;
      }
    },
  };
}

/** A fresh socket (and so a fresh port) for each question: an answer cannot be guessed by who does not see it. */
function askUdp(query: Buffer, resolver: Resolver): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIP(resolver.address) === 6 ? "udp6" : "udp4");
    const finish = (act: () => void) => {
      clearTimeout(timer);
      socket.close();
      act();
    };
    const timer = setTimeout(() => finish(() => reject(new Error(`${resolver.address} did not answer`))), TIMEOUT_MS);
    socket.once("error", (error) => finish(() => reject(error)));
    socket.on("message", (message, from) => {
      const expected = from.address === resolver.address && from.port === resolver.port;
      if (expected && message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0))
        finish(() => resolve(message));
    });
    socket.send(query, resolver.port, resolver.address);
  });
}

function askTcp(query: Buffer, resolver: Resolver): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(resolver.port, resolver.address);
    let received = Buffer.alloc(0);
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(TIMEOUT_MS, () => fail(new Error(`${resolver.address} did not answer`)));
    socket.once("error", fail);
    socket.once("close", () => reject(new Error(`${resolver.address} closed the connection`)));
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length > MESSAGE_BYTES_MAX + 2) return fail(new Error(`${resolver.address} answered too much`));
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      resolve(received.subarray(2, 2 + received.readUInt16BE(0)));
      socket.destroy();
    });
    socket.write(framed(query));
  });
}

/** A message as TCP carries it: its length in two bytes before it (RFC 1035, 4.2.2). */
export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}
