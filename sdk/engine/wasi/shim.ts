/** WASI 0.2 for components on V8: the shim that jco's own version was made for, as much of its types as is used here. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** Resources are classes; a guest takes an object for a resource when it is an instance of the class that its import has. */
type Class<T> = new (...args: never[]) => T;

export interface Stream {
  checkWrite(): bigint;
  write(bytes: Uint8Array): void;
  blockingWriteAndFlush(bytes: Uint8Array): void;
  flush(): void;
  blockingFlush(): void;
  writeZeroes(length: bigint): void;
  blockingWriteZeroesAndFlush(length: bigint): void;
  subscribe(): unknown;
  [Symbol.dispose](): void;
}
export interface OutgoingResponse {
  setStatusCode(code: number): void;
  body(): { write(): Stream };
}
export type HttpAnswer = { tag: "ok"; val: OutgoingResponse } | { tag: "err"; val: unknown };
export interface HttpTypes {
  Fields: { new (): object; fromList(entries: [string, Uint8Array][]): object };
  OutgoingResponse: new (headers: object) => OutgoingResponse;
  OutgoingBody: { finish(body: object, trailers: undefined): void };
  ResponseOutparam: Class<object> & { set(param: object, answer: HttpAnswer): void };
}
export interface IncomingHandler {
  handle(request: object, out: object): void;
}
/** Nanoseconds; undefined: as long as it takes. */
export interface RequestOptions {
  connectTimeout(): bigint | undefined;
  firstByteTimeout(): bigint | undefined;
  betweenBytesTimeout(): bigint | undefined;
}
export interface OutgoingHandler {
  /** Answers wasi:http's future-incoming-response. Throws its error-code. */
  handle(request: object, options: RequestOptions | undefined): Disposable;
}
export interface HttpServer {
  listen(port: number, host: string): void;
  stop(): void;
}

export interface Shim {
  cli: Record<string, object> & { environment: object };
  clocks: { wallClock: object; monotonicClock: { subscribeDuration(nanos: bigint): unknown } };
  filesystem: { createFilesystem(o: { preopens: Record<string, string> }): { preopens: object; types: object } };
  http: {
    types: HttpTypes;
    outgoingHandler: OutgoingHandler;
    HTTPServer: new (handler: IncomingHandler) => HttpServer;
  };
  io: { error: object; poll: object; streams: { OutputStream: new () => Stream } };
  random: Record<"random" | "insecure" | "insecureSeed", object>;
  sockets: Record<
    "tcpCreateSocket" | "udpCreateSocket" | "ipNameLookup" | "instanceNetwork" | "network" | "tcp" | "udp",
    object
  >;
}

/** It starts a thread for what it waits for: to be loaded by whoever runs a guest, and nobody else. */
export async function loadShim(): Promise<Shim> {
  const jco = createRequire(createRequire(import.meta.url).resolve("@bytecodealliance/jco"));
  const part = async (name: string) =>
    (await import(pathToFileURL(jco.resolve(`@bytecodealliance/preview2-shim/${name}`)).href)) as object;
  const names = ["cli", "clocks", "filesystem", "http", "io", "random", "sockets"] as const;
  const parts = await Promise.all(names.map(part));
  return Object.fromEntries(names.map((name, i) => [name, parts[i]])) as unknown as Shim;
}
