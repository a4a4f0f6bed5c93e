/** For guests: HTTP to the servers that the manifest names. Needs the capability "http". Blocks; any status is an answer. */
import http from "capstan:plugin/http@1.0.0";
import { utf8Decode, utf8Encode } from "./bytes.ts";
import { calling } from "./failure.ts";

export interface HttpRequest {
  /** "GET" where it is left out. */
  method?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** Left out: until the deadline of the call into the component. */
  timeoutMs?: number;
}

export interface HttpResponse {
  status: number;
  /** Names in lower case. */
  headers: [name: string, value: string][];
  bytes: Uint8Array;
  text(): string;
}

/** Throws a PluginFailure where no answer came. Redirects are answered, not followed. */
export function send(url: string, request: HttpRequest = {}): HttpResponse {
  const { method = "GET", headers = {}, body = "", timeoutMs = 0 } = request;
  const bytes = typeof body === "string" ? utf8Encode(body) : body;
  const answer = calling(() => http.send({ method, url, headers: Object.entries(headers), body: bytes, timeoutMs }));
  return { status: answer.status, headers: answer.headers, bytes: answer.body, text: () => utf8Decode(answer.body) };
}
