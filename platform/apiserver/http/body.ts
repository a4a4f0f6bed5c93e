/** Reads a request's body within its limit. */

import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { gunzipSync } from "node:zlib";
import { badRequest, tooLarge } from "#sdk/api/status.ts";

export type AnyRequest = IncomingMessage | Http2ServerRequest;

/** Upstream's --max-resource-write-bytes default. */
export const BODY_MAX_BYTES = 3 * 1024 * 1024;

const observers = new WeakMap<AnyRequest, (body: Buffer) => void>();

/** `seen` gets the request's body when it is read, inflated. */
export const observeBody = (request: AnyRequest, seen: (body: Buffer) => void): void => {
  observers.set(request, seen);
};

export async function readBody(request: AnyRequest, maxBytes = BODY_MAX_BYTES): Promise<Buffer> {
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > maxBytes) throw limitError(maxBytes);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw limitError(maxBytes);
    chunks.push(chunk);
  }
  const sent = Buffer.concat(chunks);
  const body = request.headers["content-encoding"] === "gzip" ? inflate(sent, maxBytes) : sent;
  observers.get(request)?.(body);
  return body;
}

export const readText = async (request: AnyRequest): Promise<string> => (await readBody(request)).toString("utf8");

function inflate(body: Buffer, maxBytes: number): Buffer {
  try {
    return gunzipSync(body, { maxOutputLength: maxBytes });
  } catch {
    throw badRequest("the request's body is not valid gzip or is too large");
  }
}

const limitError = (maxBytes: number) => tooLarge(`Request entity too large: limit is ${maxBytes}`);
