/** First in every pod in TypeScript: what the language asks of its machine is asked of WASI. `console` is the container's output. */

import stderr from "wasi:cli/stderr@0.2.12";
import stdout from "wasi:cli/stdout@0.2.12";
import monotonicClock from "wasi:clocks/monotonic-clock@0.2.12";
import wallClock from "wasi:clocks/wall-clock@0.2.12";
import random from "wasi:random/random@0.2.12";
import { utf8Encode } from "../plugin/bytes.ts";
import { define, defineDate, defineTextCoders, lineOf } from "../plugin/language.ts";

const now = () => {
  const { seconds, nanoseconds } = wallClock.now();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
};

defineDate(now);

/** One write takes at most this much (wasi:io/streams). */
const WRITE_BYTES_MAX = 4096;

const line =
  (stream: "stdout" | "stderr") =>
  (...values: unknown[]): void => {
    const text = lineOf(values);
    const bytes = utf8Encode(`${text}\n`);
    const out = stream === "stdout" ? stdout.getStdout() : stderr.getStderr();
    for (let at = 0; at < bytes.length; at += WRITE_BYTES_MAX)
      out.blockingWriteAndFlush(bytes.slice(at, at + WRITE_BYTES_MAX));
  };

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
defineTextCoders();
