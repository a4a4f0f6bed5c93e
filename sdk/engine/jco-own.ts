/** In a worker of the engine jco: what every component may have, answered where the guest runs; and how much a value is on its way out. */
import { LINE_CHARACTERS_MAX, LINES_CHARACTERS_MAX, LINES_MAX, type OwnTexts } from "./port.ts";

type Answer = (...args: unknown[]) => unknown;

export class Own {
  readonly functions: Readonly<Record<string, Record<string, Answer>>>;
  readonly #tell: (level: string, message: string) => void;
  #lines = 0;
  #characters = 0;
  #leftOut = 0;

  /** `tell`: each line at once, since whoever is stopped tells nothing more. */
  constructor({ config, facts }: OwnTexts, tell: (level: string, message: string) => void) {
    this.#tell = tell;
    this.functions = {
      log: { write: (level, message) => this.#write(String(level), String(message)) },
      config: { get: () => config, host: () => facts },
      clock: { now: () => Date.now(), monotonic: () => performance.now() },
    };
  }

  #write(level: string, message: string): void {
    const text = message.slice(0, LINE_CHARACTERS_MAX);
    if (this.#lines >= LINES_MAX || this.#characters + text.length > LINES_CHARACTERS_MAX) {
      this.#leftOut++;
      return;
    }
    this.#lines++;
    this.#characters += text.length;
    this.#tell(level, text);
  }

  /** The call is over. */
  end(): void {
    if (this.#leftOut > 0) this.#tell("warn", `${this.#leftOut} lines were left out: too much for one call`);
    [this.#lines, this.#characters, this.#leftOut] = [0, 0, 0];
  }
}

const EACH = 8;

/** About as many bytes as there are to be copied and looked at. */
export function bytesOf(value: unknown): number {
  if (typeof value === "string") return EACH + value.length;
  if (typeof value !== "object" || value === null) return EACH;
  if (ArrayBuffer.isView(value)) return EACH + value.byteLength;
  let bytes = EACH;
  for (const part of Object.values(value)) bytes += EACH + bytesOf(part);
  return bytes;
}

export class TooMuch extends Error {}

/** Throws TooMuch. */
export function cross(what: string, value: unknown, max: number): void {
  const bytes = bytesOf(value);
  if (bytes > max) throw new TooMuch(`${what} has ${bytes} bytes, and may have ${max}`);
}
