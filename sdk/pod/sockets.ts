/**
 * TCP for pods: `connect({ host: "queue.default.svc", port: 5672 })`, `listen(9000)`. Calls wait. They throw where there is nobody, and on nodes whose
 * pods have no network of their own (`up --runtime wasm`), with WASI's word for it: "connection-refused", "access-denied" …
 */
import type { InputStream, OutputStream } from "wasi:io/streams@0.2.12";
import instance from "wasi:sockets/instance-network@0.2.12";
import lookup from "wasi:sockets/ip-name-lookup@0.2.12";
import type { Address, SocketAddress } from "wasi:sockets/network@0.2.12";
import type { TcpSocket } from "wasi:sockets/tcp@0.2.12";
import create from "wasi:sockets/tcp-create-socket@0.2.12";
import { utf8Encode } from "../plugin/bytes.ts";

const READ_BYTES = 64 * 1024;
const WRITE_BYTES_MAX = 4096;

export interface Connection {
  /** What has come, at least a byte; undefined at the end. */
  read(): Uint8Array | undefined;
  write(data: string | Uint8Array): void;
  close(): void;
}

export interface Listener {
  /** The next one who connects. */
  accept(): Connection;
  close(): void;
}

const wordOf = (thrown: unknown): string => {
  const word = thrown instanceof Error && "payload" in thrown ? thrown.payload : thrown;
  return typeof word === "string" ? word : thrown instanceof Error ? thrown.message : JSON.stringify(word);
};

interface Pollable {
  block(): void;
  [Symbol.dispose](): void;
}

/** Asks again whenever there may be something new. */
function finished<T>(what: { subscribe(): Pollable }, ask: () => T): T {
  for (;;) {
    try {
      return ask();
    } catch (thrown) {
      if (wordOf(thrown) !== "would-block") throw thrown;
    }
    const ready = what.subscribe();
    ready.block();
    ready[Symbol.dispose]();
  }
}

function named<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw new Error(`${what}: ${wordOf(thrown)}`);
  }
}

const socketAddress = (address: Address, port: number): SocketAddress =>
  address.tag === "ipv4"
    ? { tag: "ipv4", val: { port, address: address.val } }
    : { tag: "ipv6", val: { port, flowInfo: 0, address: address.val, scopeId: 0 } };

function connection(socket: TcpSocket, input: InputStream, output: OutputStream): Connection {
  return {
    read() {
      try {
        const bytes = input.blockingRead(READ_BYTES);
        return bytes.length > 0 ? bytes : this.read();
      } catch {
        // The stream says its end by an error.
        return undefined;
      }
    },
    write(data) {
      const bytes = typeof data === "string" ? utf8Encode(data) : data;
      for (let at = 0; at < bytes.length; at += WRITE_BYTES_MAX)
        output.blockingWriteAndFlush(bytes.slice(at, at + WRITE_BYTES_MAX));
    },
    close() {
      for (const one of [input, output, socket]) one[Symbol.dispose]();
    },
  };
}

/** Of the addresses that a name has, the first. */
export function connect({ host, port }: { host: string; port: number }): Connection {
  return named(`${host}:${port}`, () => {
    const network = instance.instanceNetwork();
    const addresses = lookup.resolveAddresses(network, host);
    const address = finished(addresses, () => addresses.resolveNextAddress());
    if (!address) throw "name-unresolvable";
    const socket = create.createTcpSocket(address.tag);
    socket.startConnect(network, socketAddress(address, port));
    const [input, output] = finished(socket, () => socket.finishConnect());
    return connection(socket, input, output);
  });
}

/** On all of the pod's addresses of IPv4. */
export function listen(port: number): Listener {
  return named(`port ${port}`, () => {
    const socket = create.createTcpSocket("ipv4");
    socket.startBind(instance.instanceNetwork(), socketAddress({ tag: "ipv4", val: [0, 0, 0, 0] }, port));
    finished(socket, () => socket.finishBind());
    socket.startListen();
    finished(socket, () => socket.finishListen());
    return {
      accept: () => connection(...finished(socket, () => socket.accept())),
      close: () => socket[Symbol.dispose](),
    };
  });
}
