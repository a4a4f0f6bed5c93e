/**
 * A pod that answers HTTP: `export const incomingHandler = serve((request) => ({ status: 200, body: "hello" }))` in pod.ts. One request at a
 * time; what is thrown is a 500 and a line of the log.
 */
import types, { type IncomingRequest, type ResponseOutparam } from "wasi:http/types@0.2.12";
import { utf8Decode, utf8Encode } from "../plugin/bytes.ts";
import { readStream, writeStream } from "./streams.ts";

export interface Request {
  /** "GET" */
  method: string;
  /** Without the query. */
  path: string;
  /** "a=b&c=d" */
  query: string;
  /** By lower-case name; several values with commas. */
  headers: Record<string, string>;
  /** Read when it is asked for. */
  body(): string;
}

export interface Response {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

function requestOf(incoming: IncomingRequest): Request {
  const [path = "/", ...query] = (incoming.pathWithQuery() ?? "/").split("?");
  const { tag, val } = incoming.method();
  const headers: Record<string, string> = {};
  for (const [name, value] of incoming.headers().entries()) {
    const known = headers[name.toLowerCase()];
    const text = utf8Decode(value);
    headers[name.toLowerCase()] = known === undefined ? text : `${known}, ${text}`;
  }
  return {
    method: (val ?? tag).toUpperCase(),
    path,
    query: query.join("?"),
    headers,
    body: () => utf8Decode(readStream(incoming.consume().stream(), "the request")),
  };
}

function send(out: ResponseOutparam, { status = 200, headers = {}, body = "" }: Response): void {
  const bytes = typeof body === "string" ? utf8Encode(body) : body;
  const all = { "content-type": "text/plain; charset=utf-8", ...headers };
  const response = new types.OutgoingResponse(
    types.Fields.fromList(Object.entries(all).map(([name, value]) => [name, utf8Encode(value)])),
  );
  response.setStatusCode(status);
  const outgoing = response.body();
  types.ResponseOutparam.set(out, { tag: "ok", val: response });
  writeStream(outgoing.write(), bytes);
  types.OutgoingBody.finish(outgoing, null);
}

export function serve(answer: (request: Request) => Response): {
  handle(request: IncomingRequest, out: ResponseOutparam): void;
} {
  return {
    handle(incoming, out) {
      let response: Response;
      try {
        response = answer(requestOf(incoming));
      } catch (error) {
        console.error(error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : String(error));
        response = { status: 500, body: "the pod failed\n" };
      }
      send(out, response);
    },
  };
}
