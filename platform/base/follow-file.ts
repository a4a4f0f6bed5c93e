/** A file that an operator may change while the server runs: looked at now and then, since a watch of it is lost when it is replaced. */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { delay } from "./clock.ts";
import { type Log, messageOf } from "./log.ts";

const LOOK_MS = 5_000;

export interface FollowedFile {
  path: string;
  /** What it is, for the log: "the encryption configuration". */
  what: string;
  /** Called with each new text. What it throws is told, and the text before stays in force. */
  onChange(text: string): void | Promise<void>;
  log: Log;
  lookMs?: number;
}

/** The text now. The changes after it are followed until the signal aborts. Throws when the file cannot be read now. */
export function followFile(file: FollowedFile, signal: AbortSignal): string {
  const first = readFileSync(file.path, "utf8");
  void follow(file, first, signal);
  return first;
}

async function follow(file: FollowedFile, first: string, signal: AbortSignal): Promise<void> {
  const { path, what, onChange, log, lookMs = LOOK_MS } = file;
  for (let known = first; ; ) {
    await delay(lookMs, signal);
    if (signal.aborted) return;
    try {
      const text = await readFile(path, "utf8");
      if (text === known) continue;
      known = text;
      await onChange(text);
      log.info(`${what} was loaded anew`, { path });
    } catch (error) {
      log.error(`${what} cannot be loaded; the one before stays`, { path, error: messageOf(error) });
    }
  }
}
