/** The configuration's file: read at the start, looked at again while the server runs; what is wrong then changes nothing. */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { parseConfiguration } from "./configuration.ts";
import { Sealing } from "./sealing.ts";

const LOOK_MS = 5_000;

/** Throws when the file cannot be read or is wrong: a server that was told to encrypt must not run without. */
export function sealingOf(path: string | undefined, log: Log): Sealing {
  return new Sealing(path === undefined ? [] : parseConfiguration(readFileSync(path, "utf8")), log);
}

/** Follows the file until the signal aborts. Never rejects. */
export async function keepReloading(
  o: { path: string; sealing: Sealing; log: Log; lookMs?: number },
  signal: AbortSignal,
): Promise<void> {
  let known = readFileSync(o.path, "utf8");
  while (!signal.aborted) {
    await delay(o.lookMs ?? LOOK_MS, signal);
    if (signal.aborted) return;
    try {
      const text = await readFile(o.path, "utf8");
      if (text === known) continue;
      known = text;
      o.sealing.replace(parseConfiguration(text));
      o.log.info("the encryption configuration was loaded anew", { path: o.path });
    } catch (error) {
      o.log.error("the encryption configuration cannot be loaded; the one before stays", { error: messageOf(error) });
    }
  }
}
