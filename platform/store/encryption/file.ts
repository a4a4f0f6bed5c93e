/** Sealing by the configuration of a file. */
import { readFileSync } from "node:fs";
import { followFile } from "#platform/base/follow-file.ts";
import type { Log } from "#platform/base/log.ts";
import { parseConfiguration } from "./configuration.ts";
import { Sealing } from "./sealing.ts";

/** As the file is now. Throws when it cannot be read or is wrong: a server that was told to encrypt must not run without. */
export function sealingOf(path: string | undefined, log: Log): Sealing {
  return new Sealing(path === undefined ? [] : parseConfiguration(readFileSync(path, "utf8")), log);
}

/** As the file is, until the signal aborts; what is wrong with it later changes nothing. */
export function followedSealing(o: { path: string; log: Log; lookMs?: number }, signal: AbortSignal): Sealing {
  const sealing = new Sealing([], o.log);
  const onChange = (text: string) => sealing.replace(parseConfiguration(text));
  onChange(followFile({ ...o, what: "the encryption configuration", onChange }, signal));
  return sealing;
}
