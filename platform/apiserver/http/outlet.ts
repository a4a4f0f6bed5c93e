/**
 * Where the parts of an answer go that has no end. Over HTTP/1.1 each part is one chunk (RFC 9112, 7.1), and a chunk that a thousand readers
 * get is put into its coding once, not by each of them; over HTTP/2 and websockets a part is sent as it is.
 */
import { once } from "node:events";
import { ServerResponse } from "node:http";
import type { AnyResponse } from "./respond.ts";

const CRLF = Buffer.from("\r\n");

export interface Outlet {
  /** Names the coding: equal parts of equal codings are equal bytes. */
  coding: "" | "chunked";
  /** A part as `write` takes it; parts that follow each other may be joined. */
  encode(part: Buffer): Buffer;
  /** False when the reader is behind: wait for `drained` then. */
  write(encoded: Buffer): boolean;
  drained(signal: AbortSignal): Promise<void>;
}

/** Its headers have been sent. */
export function outletOf(response: AnyResponse): Outlet {
  const chunked = response instanceof ServerResponse && response.chunkedEncoding && response.socket;
  const to = (chunked || response) as NodeJS.EventEmitter & { write(bytes: Buffer): boolean };
  return {
    coding: chunked ? "chunked" : "",
    encode: chunked ? inChunk : (part) => part,
    write: (encoded) => to.write(encoded),
    drained: (signal) =>
      once(to, "drain", { signal }).then(
        () => undefined,
        () => undefined,
      ),
  };
}

const inChunk = (part: Buffer): Buffer =>
  part.length === 0 ? part : Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, CRLF]);
