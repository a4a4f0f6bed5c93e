/**
 * First in every TypeScript guest. Components import nothing but the contract (WASI is stubbed out at build time), so what
 * the language would ask of WASI is asked of the contract here: `Date`, `performance.now` and `console`.
 */
import clock from "capstan:plugin/clock@1.0.0";
import log from "capstan:plugin/log@1.0.0";
import { utf8Decode, utf8Encode } from "./bytes.ts";

const NativeDate = Date;
const now = () => Math.floor(clock.now());

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

const line =
  (level: "debug" | "info" | "warn" | "error") =>
  (...values: unknown[]): void =>
    log.write(level, values.map((v) => (typeof v === "string" ? v : (JSON.stringify(v) ?? String(v)))).join(" "));

const define = (name: string, value: unknown) =>
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

define("console", {
  debug: line("debug"),
  log: line("info"),
  info: line("info"),
  warn: line("warn"),
  error: line("error"),
});
define("performance", { now: () => clock.monotonic() });
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
