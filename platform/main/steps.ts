/** Progress for people: each step shows its name at once, what it is doing, and how long it took. */
import { messageOf } from "#platform/base/log.ts";

export interface Step {
  /** Replaces the text after the step's name while it runs. */
  progress(text: string): void;
}

/** A failure whose cause and way out are already written for a person: printed without a stack. */
export class UserError extends Error {
  /** What to type or do next. */
  readonly next: string;
  constructor(message: string, next: string) {
    super(message);
    this.name = "UserError";
    this.next = next;
  }
}

const live = process.stdout.isTTY === true;
const seconds = (since: number) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/** Runs one step; its result's text, when there is one, is shown behind its name. */
export async function step<T>(
  name: string,
  run: (step: Step) => Promise<T>,
  describe?: (value: T) => string,
): Promise<T> {
  const started = Date.now();
  let text = "";
  const draw = () =>
    live &&
    process.stdout.write(`\r\x1b[2K• ${name} … ${seconds(started)}  ${text}`.slice(0, process.stdout.columns || 120));
  if (!live) process.stdout.write(`• ${name} …\n`);
  const timer = live ? setInterval(draw, 200) : undefined;
  const done = (mark: string, after: string) => {
    clearInterval(timer);
    process.stdout.write(
      `${live ? "\r\x1b[2K" : ""}${mark} ${name}  ${seconds(started)}${after ? `  ${after}` : ""}\n`,
    );
  };
  try {
    draw();
    const value = await run({
      progress(next) {
        if (!live && next !== text) process.stdout.write(`    ${next}\n`);
        text = next;
      },
    });
    done("✓", describe?.(value) ?? "");
    return value;
  } catch (error) {
    done("✗", "");
    throw error;
  }
}

/** Prints a failure for a person and returns the exit code. */
export function reportFailure(error: unknown): number {
  if (error instanceof UserError) process.stderr.write(`\nerror: ${error.message}\n  next: ${error.next}\n`);
  else process.stderr.write(`\nerror: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`);
  return 1;
}
