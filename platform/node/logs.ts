/** Container logs: files in CRI's format, `TIME stdout|stderr F|P TEXT` a line (design: kubelet CRI logging), read as PodLogOptions ask. */
import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { delay } from "#platform/base/clock.ts";

export interface LogOptions {
  follow: boolean;
  tailLines?: number;
  limitBytes?: number;
  /** Milliseconds since the epoch. */
  sinceMs?: number;
  timestamps: boolean;
  stream: "All" | "Stdout" | "Stderr";
}

const CHUNK_BYTES = 64 * 1024;
const FOLLOW_POLL_MS = 1_000;

/** Where the last `lines` lines begin. */
async function tailOffset(file: FileHandle, lines: number): Promise<number> {
  const { size } = await file.stat();
  if (lines <= 0) return size;
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let seen = 0;
  for (let end = size; end > 0; ) {
    const begin = Math.max(0, end - CHUNK_BYTES);
    const { bytesRead } = await file.read(chunk, 0, end - begin, begin);
    for (let i = bytesRead - 1; i >= 0; i--) {
      if (chunk[i] !== 10 || begin + i === size - 1) continue;
      if (++seen === lines) return begin + i + 1;
    }
    end = begin;
  }
  return 0;
}

/** One line of the file as it goes out; undefined when the options leave it out. A part of a long line has no line end. */
function render(line: Buffer, options: LogOptions): Buffer | undefined {
  const text = line.subarray(0, 80).toString("latin1");
  const head = /^(\S+) (stdout|stderr) ([FP])\S* /.exec(text);
  if (head === null) return undefined;
  const [whole, time = "", stream, tag] = head;
  if (options.stream !== "All" && options.stream.toLowerCase() !== stream) return undefined;
  if (options.sinceMs !== undefined && Date.parse(time) < options.sinceMs) return undefined;
  const parts = [line.subarray(whole.length)];
  if (options.timestamps) parts.unshift(Buffer.from(`${time} `));
  if (tag === "F") parts.push(Buffer.from("\n"));
  return Buffer.concat(parts);
}

/** The lines of the file as they are, and with `follow` as they come, until `running` is false and all was read. */
export async function* readLog(
  path: string,
  options: LogOptions,
  running: () => boolean,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const file = await open(path, "r");
  let changed: () => void = () => undefined;
  const watcher: FSWatcher | undefined = options.follow ? watch(path, () => changed()) : undefined;
  watcher?.on("error", () => undefined);
  try {
    let at = options.tailLines === undefined ? 0 : await tailOffset(file, options.tailLines);
    let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
    let rest = Buffer.alloc(0);
    const chunk = Buffer.alloc(CHUNK_BYTES);
    while (!signal.aborted && left > 0) {
      // Asked before reading: what was written before the container ended is read after it.
      const more = running();
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, at);
      at += bytesRead;
      if (bytesRead === 0) {
        if (!options.follow || !more) break;
        await Promise.race([
          delay(FOLLOW_POLL_MS, signal),
          new Promise<void>((resolve) => {
            changed = resolve;
          }),
        ]);
        continue;
      }
      rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      const out: Buffer[] = [];
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        const line = render(rest.subarray(0, end), options);
        rest = rest.subarray(end + 1);
        if (line !== undefined) out.push(line);
      }
      const text = Buffer.concat(out).subarray(0, left);
      left -= text.length;
      if (text.length > 0) yield text;
    }
  } finally {
    watcher?.close();
    await file.close();
  }
}
