/** Reading response bodies: whole texts with a bound, and the JSON lines of a watch. */
import type { Readable } from "node:stream";
import { internal } from "../api/status.ts";

/** One watch event; an object is at most 3 MiB on its way in. */
const FRAME_BYTES_MAX = 32 << 20;

export async function readText(stream: Readable, bytesMax: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw internal(`the response is larger than ${bytesMax} bytes`);
    parts.push(chunk);
  }
  return Buffer.concat(parts, bytes).toString("utf8");
}

/** The lines of a stream, without empty ones. Reads no further than its consumer, so that flow control reaches the server. */
export async function* readLines(stream: Readable): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let held = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      const line = parts.length === 1 ? parts[0]!.toString("utf8") : Buffer.concat(parts).toString("utf8");
      parts = [];
      held = 0;
      start = end + 1;
      if (line.length > 0) yield line;
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
      held += chunk.length - start;
      if (held > FRAME_BYTES_MAX) throw internal(`a watch event is larger than ${FRAME_BYTES_MAX} bytes`);
    }
  }
  if (held > 0) yield Buffer.concat(parts).toString("utf8");
}
