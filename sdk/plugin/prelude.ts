/**
 * First in every TypeScript guest. Components import nothing but the contract (WASI is stubbed out at build time), so what
 * the language would ask of WASI is asked of the contract here: `Date`, `performance.now` and `console`.
 */
import clock from "capstan:plugin/clock@1.0.0";
import log from "capstan:plugin/log@1.0.0";
import { define, defineDate, defineTextCoders, lineOf } from "./language.ts";

const now = () => Math.floor(clock.now());

defineDate(now);

const line =
  (level: "debug" | "info" | "warn" | "error") =>
  (...values: unknown[]): void =>
    log.write(level, lineOf(values));

define("console", {
  debug: line("debug"),
  log: line("info"),
  info: line("info"),
  warn: line("warn"),
  error: line("error"),
});
define("performance", { now: () => clock.monotonic() });
defineTextCoders();
