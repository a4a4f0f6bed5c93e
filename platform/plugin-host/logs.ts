/**
 * What plugins say, kept as pods' logs are: a file a plugin and role, DIRECTORY/TENANT/NAME/ROLE.log, each line
 * `TIME STREAM F TEXT` (the format of CRI's container logs). A file that has grown to its bound becomes ROLE.log.1, once. Lines beyond a
 * plugin's rate are counted and left out: a flood fills no disk and hides nobody else's words.
 */
import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Log, messageOf } from "#platform/base/log.ts";

const FILE_BYTES_MAX = 1024 * 1024;
const LINES_A_SECOND = 100;
const LINES_AT_ONCE = 1000;
const FLUSH_MS = 100;

interface Sink {
  path: string;
  /** undefined: not looked at yet. */
  bytes: number | undefined;
  pending: string[];
  /** Lines that may still come at once; refilled with time. */
  allowed: number;
  refilledAt: number;
  dropped: number;
}

export class PluginLogs {
  readonly #directory: string;
  readonly #role: string;
  readonly #log: Log;
  readonly #sinks = new Map<string, Sink>();
  #timer: NodeJS.Timeout | undefined;

  constructor(directory: string, role: string, log: Log) {
    this.#directory = directory;
    this.#role = role;
    this.#log = log;
  }

  write(tenant: string, plugin: string, level: string, message: string): void {
    const sink = this.#sink(tenant, plugin);
    const now = performance.now();
    sink.allowed = Math.min(LINES_AT_ONCE, sink.allowed + ((now - sink.refilledAt) / 1000) * LINES_A_SECOND);
    sink.refilledAt = now;
    if (sink.allowed < 1) {
      sink.dropped++;
      return;
    }
    sink.allowed--;
    if (sink.dropped > 0) sink.pending.push(line("stderr", `${sink.dropped} lines were left out: too many a second`));
    sink.dropped = 0;
    const stream = level === "error" || level === "warn" ? "stderr" : "stdout";
    for (const text of message.split("\n")) sink.pending.push(line(stream, text));
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS).unref();
  }

  /** Writes what is pending. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const sink of this.#sinks.values()) {
      if (sink.pending.length === 0) continue;
      const text = sink.pending.splice(0).join("");
      try {
        append(sink, text);
      } catch (error) {
        this.#log.debug("a plugin's log could not be written", { path: sink.path, error: messageOf(error) });
      }
    }
  }

  #sink(tenant: string, plugin: string): Sink {
    const path = join(this.#directory, tenant, plugin, `${this.#role}.log`);
    let sink = this.#sinks.get(path);
    if (!sink) {
      const refilledAt = performance.now();
      sink = { path, bytes: undefined, pending: [], allowed: LINES_AT_ONCE, refilledAt, dropped: 0 };
      this.#sinks.set(path, sink);
    }
    return sink;
  }
}

const line = (stream: "stdout" | "stderr", text: string): string => `${new Date().toISOString()} ${stream} F ${text}\n`;

function append(sink: Sink, text: string): void {
  if (sink.bytes === undefined) {
    mkdirSync(dirname(sink.path), { recursive: true, mode: 0o700 });
    sink.bytes = statSync(sink.path, { throwIfNoEntry: false })?.size ?? 0;
  }
  if (sink.bytes + text.length > FILE_BYTES_MAX && sink.bytes > 0) {
    renameSync(sink.path, `${sink.path}.1`);
    sink.bytes = 0;
  }
  appendFileSync(sink.path, text, { mode: 0o600 });
  sink.bytes += Buffer.byteLength(text);
}
