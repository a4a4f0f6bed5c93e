/** What the preludes of plugins and pods give to the language alike; where time comes from and texts go to is theirs. */
import { utf8Decode, utf8Encode } from "./bytes.ts";

export const define = (name: string, value: unknown) =>
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

/** `Date` by a clock of milliseconds since the epoch. */
export function defineDate(now: () => number): void {
  const NativeDate = Date;
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
}

/** A line of console's: texts as they are, the rest as JSON. */
export const lineOf = (values: readonly unknown[]): string =>
  values.map((v) => (typeof v === "string" ? v : (JSON.stringify(v) ?? String(v)))).join(" ");

export function defineTextCoders(): void {
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
}
