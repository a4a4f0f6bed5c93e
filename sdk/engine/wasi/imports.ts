/**
 * What a component that runs as a program may import: its own arguments, environment, output and mounted directories, clocks and randomness.
 * Of the network it has what is asked of it (wasi:http/incoming-handler); outgoing requests and sockets only where its process is in a network
 * of the pod's own (GuestSpec.egress), and are refused elsewhere.
 */
import type { LogFile, LogStream } from "./log-file.ts";
import { boundedRequests } from "./outgoing.ts";
import type { Shim } from "./shim.ts";
import type { GuestSpec } from "./spec.ts";

/** As much as one write may have (wasi:io/streams check-write). */
const WRITE_BYTES_MAX = 1024n * 1024n;

export interface GuestEnds {
  /** Never returns: the process ends. */
  exit(code: number): never;
}

/** By interface, without versions. What is missing traps when it is called. */
export function importsOf(shim: Shim, spec: GuestSpec, log: LogFile, ends: GuestEnds): Record<string, object> {
  const { cli, clocks, http, io, random } = shim;
  const preopens = Object.fromEntries(spec.mounts.map(({ guest, host }) => [guest, host]));
  const files = shim.filesystem.createFilesystem({ preopens });
  const out = logStream(shim, log, "stdout");
  const err = logStream(shim, log, "stderr");
  return {
    "wasi:cli/environment": {
      getEnvironment: () => spec.env,
      getArguments: () => spec.args,
      initialCwd: () => undefined,
    },
    "wasi:cli/exit": {
      exit: (status: { tag: string }) => ends.exit(status.tag === "ok" ? 0 : 1),
      exitWithCode: (code: number) => ends.exit(code),
    },
    "wasi:cli/stdin": cli["stdin"] ?? {},
    "wasi:cli/stdout": { getStdout: () => out },
    "wasi:cli/stderr": { getStderr: () => err },
    "wasi:cli/terminal-input": cli["terminalInput"] ?? {},
    "wasi:cli/terminal-output": cli["terminalOutput"] ?? {},
    "wasi:cli/terminal-stdin": { getTerminalStdin: () => undefined },
    "wasi:cli/terminal-stdout": { getTerminalStdout: () => undefined },
    "wasi:cli/terminal-stderr": { getTerminalStderr: () => undefined },
    "wasi:clocks/wall-clock": clocks.wallClock,
    "wasi:clocks/monotonic-clock": clocks.monotonicClock,
    "wasi:filesystem/preopens": files.preopens,
    "wasi:filesystem/types": files.types,
    "wasi:http/types": http.types,
    "wasi:io/error": io.error,
    "wasi:io/poll": io.poll,
    "wasi:io/streams": io.streams,
    "wasi:random/random": random.random,
    "wasi:random/insecure": random.insecure,
    "wasi:random/insecure-seed": random.insecureSeed,
    ...(spec.egress ? reaching(shim) : REFUSED),
  };
}

/** The network of the process's namespace: the kernel says what may be reached there. */
function reaching({ http, sockets }: Shim): Record<string, object> {
  return {
    "wasi:http/outgoing-handler": boundedRequests(http.outgoingHandler),
    "wasi:sockets/tcp-create-socket": sockets.tcpCreateSocket,
    "wasi:sockets/udp-create-socket": sockets.udpCreateSocket,
    "wasi:sockets/ip-name-lookup": sockets.ipNameLookup,
    "wasi:sockets/instance-network": sockets.instanceNetwork,
    "wasi:sockets/network": sockets.network,
    "wasi:sockets/tcp": sockets.tcp,
    "wasi:sockets/udp": sockets.udp,
  };
}

/** A handle to nothing. */
class Network {}
const refused = () => {
  throw "access-denied";
};
const REFUSED: Record<string, object> = {
  "wasi:http/outgoing-handler": {
    handle: () => {
      throw { tag: "HTTP-request-denied" };
    },
  },
  "wasi:sockets/tcp-create-socket": { createTcpSocket: refused },
  "wasi:sockets/udp-create-socket": { createUdpSocket: refused },
  "wasi:sockets/ip-name-lookup": { ResolveAddressStream: class {}, resolveAddresses: refused },
  "wasi:sockets/instance-network": { instanceNetwork: () => new Network() },
  "wasi:sockets/network": { Network },
  "wasi:sockets/tcp": { TcpSocket: class {} },
  "wasi:sockets/udp": { UdpSocket: class {}, IncomingDatagramStream: class {}, OutgoingDatagramStream: class {} },
};

/** Written when it is said: nothing is lost when the guest is killed. */
function logStream({ io, clocks }: Shim, log: LogFile, name: LogStream): object {
  class LogOutput extends io.streams.OutputStream {
    override checkWrite = () => WRITE_BYTES_MAX;
    override write = (bytes: Uint8Array) => log.write(name, bytes);
    override blockingWriteAndFlush = (bytes: Uint8Array) => log.write(name, bytes);
    override flush = () => undefined;
    override blockingFlush = () => undefined;
    override writeZeroes = (length: bigint) => log.write(name, new Uint8Array(Number(length)));
    override blockingWriteZeroesAndFlush = (length: bigint) => log.write(name, new Uint8Array(Number(length)));
    override subscribe = () => clocks.monotonicClock.subscribeDuration(0n);
    override [Symbol.dispose](): void {
      // It lives as long as the guest.
    }
  }
  return new LogOutput();
}
