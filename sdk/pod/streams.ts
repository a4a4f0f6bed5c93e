/** WASI's streams, from their beginning to their end. */
import type { InputStream, OutputStream } from "wasi:io/streams@0.2.12";

const READ_BYTES = 64 * 1024;
const WRITE_BYTES_MAX = 4096;
export const BODY_BYTES_MAX: number = 16 * 1024 * 1024;

/** All of it; throws where it is more than 16 MiB. */
export function readStream(stream: InputStream, what: string): Uint8Array {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const chunk = stream.blockingRead(READ_BYTES);
      size += chunk.length;
      if (size > BODY_BYTES_MAX) throw new Error(`${what} has more than ${BODY_BYTES_MAX} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof RangeError || size > BODY_BYTES_MAX) throw error;
    // The stream says its end by an error.
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Ends the stream too. */
export function writeStream(stream: OutputStream, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += WRITE_BYTES_MAX)
    stream.blockingWriteAndFlush(bytes.slice(at, at + WRITE_BYTES_MAX));
  stream[Symbol.dispose]();
}
