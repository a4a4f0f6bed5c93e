/** WASI 0.2 as a guest in TypeScript sees it, as much as the modules beside this one use. Calls block; what WIT gives as an error is thrown. */
declare module "wasi:cli/environment@0.2.12" {
  const environment: { getEnvironment(): [string, string][]; getArguments(): string[] };
  export default environment;
}

declare module "wasi:io/streams@0.2.12" {
  export class InputStream {
    blockingRead(length: number): Uint8Array;
    [Symbol.dispose](): void;
  }
  export class OutputStream {
    blockingWriteAndFlush(bytes: Uint8Array): void;
    [Symbol.dispose](): void;
  }
}

declare module "wasi:cli/stdout@0.2.12" {
  import type { OutputStream } from "wasi:io/streams@0.2.12";

  const stdout: { getStdout(): OutputStream };
  export default stdout;
}

declare module "wasi:cli/stderr@0.2.12" {
  import type { OutputStream } from "wasi:io/streams@0.2.12";

  const stderr: { getStderr(): OutputStream };
  export default stderr;
}

declare module "wasi:cli/exit@0.2.12" {
  const exit: { exitWithCode?(code: number): never; exit(status: { tag: "ok" | "err" }): never };
  export default exit;
}

declare module "wasi:clocks/wall-clock@0.2.12" {
  const clock: { now(): { seconds: number; nanoseconds: number } };
  export default clock;
}

declare module "wasi:clocks/monotonic-clock@0.2.12" {
  const clock: { now(): number };
  export default clock;
}

declare module "wasi:random/random@0.2.12" {
  const random: { getRandomBytes(length: number): Uint8Array; getRandomU64(): number };
  export default random;
}

declare module "wasi:filesystem/types@0.2.12" {
  interface OpenFlags {
    create?: boolean;
    directory?: boolean;
    exclusive?: boolean;
    truncate?: boolean;
  }
  export class Descriptor {
    openAt(
      pathFlags: { symlinkFollow?: boolean },
      path: string,
      openFlags: OpenFlags,
      flags: { read?: boolean; write?: boolean },
    ): Descriptor;
    /** The bytes, and whether the file ends with them. */
    read(length: number, offset: number): [Uint8Array, boolean];
    write(bytes: Uint8Array, offset: number): number;
    [Symbol.dispose](): void;
  }
}

declare module "wasi:filesystem/preopens@0.2.12" {
  import type { Descriptor } from "wasi:filesystem/types@0.2.12";

  const preopens: { getDirectories(): [Descriptor, string][] };
  export default preopens;
}

declare module "wasi:http/types@0.2.12" {
  import type { InputStream, OutputStream } from "wasi:io/streams@0.2.12";

  class Fields {
    static fromList(entries: [string, Uint8Array][]): Fields;
    entries(): [string, Uint8Array][];
  }
  class IncomingBody {
    stream(): InputStream;
    [Symbol.dispose](): void;
  }
  class IncomingRequest {
    method(): { tag: string; val?: string };
    pathWithQuery(): string | null;
    authority(): string | null;
    headers(): Fields;
    consume(): IncomingBody;
  }
  class OutgoingBody {
    write(): OutputStream;
    static finish(body: OutgoingBody, trailers: null): void;
  }
  class OutgoingRequest {
    constructor(headers: Fields);
    setMethod(method: { tag: string; val?: string }): void;
    setScheme(scheme: { tag: "HTTP" | "HTTPS" }): void;
    setAuthority(authority: string): void;
    setPathWithQuery(path: string): void;
    body(): OutgoingBody;
  }
  class RequestOptions {
    setConnectTimeout(nanoseconds: number): void;
    setFirstByteTimeout(nanoseconds: number): void;
  }
  class IncomingResponse {
    status(): number;
    headers(): Fields;
    consume(): IncomingBody;
  }
  class OutgoingResponse {
    constructor(headers: Fields);
    setStatusCode(code: number): void;
    body(): OutgoingBody;
  }
  interface ResponseOutparam {
    [Symbol.dispose](): void;
  }
  const types: {
    Fields: typeof Fields;
    OutgoingRequest: typeof OutgoingRequest;
    RequestOptions: typeof RequestOptions;
    OutgoingResponse: typeof OutgoingResponse;
    OutgoingBody: typeof OutgoingBody;
    ResponseOutparam: {
      set(out: ResponseOutparam, answer: { tag: "ok"; val: OutgoingResponse } | { tag: "err"; val: unknown }): void;
    };
  };
  export default types;
  export type {
    Fields,
    IncomingRequest,
    IncomingResponse,
    OutgoingRequest,
    OutgoingResponse,
    RequestOptions,
    ResponseOutparam,
  };
}

declare module "wasi:http/outgoing-handler@0.2.12" {
  import type { IncomingResponse, OutgoingRequest, RequestOptions } from "wasi:http/types@0.2.12";

  type Result<T> = { tag: "ok"; val: T } | { tag: "err"; val: unknown };
  class FutureIncomingResponse {
    subscribe(): { block(): void; [Symbol.dispose](): void };
    /** Nothing until it is ready; an error when it was taken before. */
    get(): Result<Result<IncomingResponse>> | null | undefined;
    [Symbol.dispose](): void;
  }
  const handler: { handle(request: OutgoingRequest, options: RequestOptions | null): FutureIncomingResponse };
  export default handler;
}

declare module "wasi:sockets/network@0.2.12" {
  export type Ipv4 = [number, number, number, number];
  export type Ipv6 = [number, number, number, number, number, number, number, number];
  export type Address = { tag: "ipv4"; val: Ipv4 } | { tag: "ipv6"; val: Ipv6 };
  export type SocketAddress =
    | { tag: "ipv4"; val: { port: number; address: Ipv4 } }
    | { tag: "ipv6"; val: { port: number; flowInfo: number; address: Ipv6; scopeId: number } };
  export class Network {
    [Symbol.dispose](): void;
  }
}

declare module "wasi:sockets/instance-network@0.2.12" {
  import type { Network } from "wasi:sockets/network@0.2.12";

  const network: { instanceNetwork(): Network };
  export default network;
}

declare module "wasi:sockets/ip-name-lookup@0.2.12" {
  import type { Address, Network } from "wasi:sockets/network@0.2.12";

  interface Addresses {
    /** Throws "would-block" before the next one is known; nothing after the last. */
    resolveNextAddress(): Address | null | undefined;
    subscribe(): { block(): void; [Symbol.dispose](): void };
    [Symbol.dispose](): void;
  }
  const lookup: { resolveAddresses(network: Network, name: string): Addresses };
  export default lookup;
}

declare module "wasi:sockets/tcp@0.2.12" {
  import type { InputStream, OutputStream } from "wasi:io/streams@0.2.12";
  import type { Network, SocketAddress } from "wasi:sockets/network@0.2.12";

  /** What is started is finished by the method of that name, which throws "would-block" until it is done. */
  export class TcpSocket {
    startBind(network: Network, address: SocketAddress): void;
    finishBind(): void;
    startConnect(network: Network, address: SocketAddress): void;
    finishConnect(): [InputStream, OutputStream];
    startListen(): void;
    finishListen(): void;
    accept(): [TcpSocket, InputStream, OutputStream];
    subscribe(): { block(): void; [Symbol.dispose](): void };
    [Symbol.dispose](): void;
  }
}

declare module "wasi:sockets/tcp-create-socket@0.2.12" {
  import type { TcpSocket } from "wasi:sockets/tcp@0.2.12";

  const create: { createTcpSocket(family: "ipv4" | "ipv6"): TcpSocket };
  export default create;
}
