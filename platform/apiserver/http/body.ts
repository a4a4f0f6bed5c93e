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
  const sent = await collect(request, maxBytes);
  const body = request.headers["content-encoding"] === "gzip" ? inflate(sent, maxBytes) : sent;
  observers.get(request)?.(body);
  return body;
}

/** By events: an iterator over the request costs several times as much. */
function collect(request: AnyRequest, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const cutShort = () => reject(badRequest("the request's body was not sent to its end"));
    // Who went away while the request waited for its turn: nothing is told of that any more.
    if (request.destroyed) return cutShort();
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) return void chunks.push(chunk);
      chunks.length = 0;
      reject(limitError(maxBytes));
      // So much more is read and forgotten that who sends a little too much gets to read why.
      if (bytes > 2 * maxBytes) request.destroy();
    });
    request.on("end", () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
    request.on("error", reject);
    request.on("close", () => {
      if (!request.readableEnded) cutShort();
    });
  });
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
