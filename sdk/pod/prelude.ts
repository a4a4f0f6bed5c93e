/** First in every pod in TypeScript: what the language asks of its machine is asked of WASI. `console` is the container's output. */

import stderr from "wasi:cli/stderr@0.2.12";
import stdout from "wasi:cli/stdout@0.2.12";
import monotonicClock from "wasi:clocks/monotonic-clock@0.2.12";
import wallClock from "wasi:clocks/wall-clock@0.2.12";
import random from "wasi:random/random@0.2.12";
import { utf8Decode, utf8Encode } from "../plugin/bytes.ts";

const NativeDate = Date;
const now = () => {
  const { seconds, nanoseconds } = wallClock.now();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
};

globalThis.Date = new Proxy(NativeDate, {
  construct: (_target, args: unknown[], newTarget) =>
    Reflect.construct(
      NativeDate,
      args.length === 0 ? [now()] : args,
      newTarget === globalThis.Date ? NativeDate : newTarget,
    ),
  apply: () => new NativeDate(now()).toString(),
  get: (target, property) => (property === "now" ? now : Reflect.get(target, property, target)),
});

/** One write takes at most this much (wasi:io/streams). */
const WRITE_BYTES_MAX = 4096;

const line =
  (stream: "stdout" | "stderr") =>
  (...values: unknown[]): void => {
    const text = values.map((v) => (typeof v === "string" ? v : (JSON.stringify(v) ?? String(v)))).join(" ");
    const bytes = utf8Encode(`${text}\n`);
    const out = stream === "stdout" ? stdout.getStdout() : stderr.getStderr();
    for (let at = 0; at < bytes.length; at += WRITE_BYTES_MAX)
      out.blockingWriteAndFlush(bytes.slice(at, at + WRITE_BYTES_MAX));
  };

const define = (name: string, value: unknown) =>
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

define("console", {
  debug: line("stdout"),
  log: line("stdout"),
  info: line("stdout"),
  warn: line("stderr"),
  error: line("stderr"),
});
define("performance", { now: () => monotonicClock.now() / 1e6 });
const BITS = 2 ** 32;
Math.random = () => {
  const bytes = random.getRandomBytes(4);
  return ((bytes[0] ?? 0) * 2 ** 24 + (bytes[1] ?? 0) * 2 ** 16 + (bytes[2] ?? 0) * 2 ** 8 + (bytes[3] ?? 0)) / BITS;
};
define(
  "TextEncoder",
  class {
    encode(text = ""): Uint8Array {
      return utf8Encode(text);
    }
  },
);
define(
  "TextDecoder",
  class {
    decode(bytes?: Uint8Array): string {
      return bytes ? utf8Decode(bytes) : "";
    }
  },
);
