/**
 * What a pod asks of others over HTTP: `request({ url: "http://shop.default.svc/prices" })`. It waits for the answer. Throws where there is
 * none, and on nodes whose pods have no network of their own (`up --runtime wasm`).
 */
import handler from "wasi:http/outgoing-handler@0.2.12";
import types, { type IncomingResponse } from "wasi:http/types@0.2.12";
import { utf8Decode, utf8Encode } from "../plugin/bytes.ts";
import { readStream, writeStream } from "./streams.ts";

export interface Asked {
  /** "GET" where it is left out. */
  method?: string;
  /** "http://…" or "https://…" */
  url: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** For the connection, and for the first byte of the answer; 30,000 and 60,000 at most, which is also what they are by default. */
  timeoutMs?: number;
}

export interface Answered {
  status: number;
  /** By lower-case name; several values with commas. */
  headers: Record<string, string>;
  body: string;
}

const NANOS_IN_MS = 1_000_000;
const URL_PARTS = /^(https?):\/\/([^/?#]+)([^#]*)/;

function outgoing({ method = "GET", url, headers = {} }: Asked) {
  const [, scheme = "", authority = "", path = ""] = URL_PARTS.exec(url) ?? [];
  if (scheme === "") throw new Error(`${JSON.stringify(url)} is no address of HTTP`);
  const entries = Object.entries(headers).map(([name, value]): [string, Uint8Array] => [name, utf8Encode(value)]);
  const request = new types.OutgoingRequest(types.Fields.fromList(entries));
  const tag = method.toLowerCase();
  request.setMethod(KNOWN.has(tag) ? { tag } : { tag: "other", val: method });
  request.setScheme({ tag: scheme === "https" ? "HTTPS" : "HTTP" });
  request.setAuthority(authority);
  request.setPathWithQuery(path.startsWith("/") ? path : `/${path}`);
  return request;
}
const KNOWN = new Set(["get", "head", "post", "put", "delete", "connect", "options", "trace", "patch"]);

function answer(response: IncomingResponse): Answered {
  const headers: Record<string, string> = {};
  for (const [name, value] of response.headers().entries()) {
    const text = utf8Decode(value);
    const known = headers[name.toLowerCase()];
    headers[name.toLowerCase()] = known === undefined ? text : `${known}, ${text}`;
  }
  return {
    status: response.status(),
    headers,
    body: utf8Decode(readStream(response.consume().stream(), "the answer")),
  };
}

const wordsOf = (error: unknown): string =>
  error instanceof Error ? error.message : typeof error === "string" ? error : JSON.stringify(error);

/** What WASI throws is a value of its own; a person can read this. */
function named<T>(url: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new Error(`${url}: ${wordsOf(error instanceof Error && "payload" in error ? error.payload : error)}`);
  }
}

export function request(asked: Asked): Answered {
  return named(asked.url, () => {
    const message = outgoing(asked);
    const body = message.body();
    const options = new types.RequestOptions();
    if (asked.timeoutMs !== undefined) {
      options.setConnectTimeout(asked.timeoutMs * NANOS_IN_MS);
      options.setFirstByteTimeout(asked.timeoutMs * NANOS_IN_MS);
    }
    const future = handler.handle(message, options);
    const { body: content = "" } = asked;
    writeStream(body.write(), typeof content === "string" ? utf8Encode(content) : content);
    types.OutgoingBody.finish(body, null);
    const ready = future.subscribe();
    ready.block();
    ready[Symbol.dispose]();
    const got = future.get();
    future[Symbol.dispose]();
    if (got === null || got === undefined || got.tag === "err") throw "it was answered twice";
    if (got.val.tag === "err") throw got.val.val;
    return answer(got.val.val);
  });
}
