/** Structured logs: one JSON line each on stderr. Values are never secrets; the caller passes names and ids only. */
import { writeSync } from "node:fs";

export type Level = "debug" | "info" | "warn" | "error";
export type Fields = Record<string, string | number | boolean | null | undefined>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A log that adds these fields to every line (for example the role, the tenant). */
  with(fields: Fields): Log;
}

const order: Record<Level, number> = { debug: 0, info: 1, warn: 2, error: 3 };

let lost = false;

/** Whether the last line of this process could not be written. */
export const logIsLost = (): boolean => lost;

/** A line that cannot be written (a full disk) is lost; as a stream's error it would end the process. */
function toStderr(line: string): void {
  try {
    writeSync(2, line);
    lost = false;
  } catch {
    // there is no other place to say it
    lost = true;
  }
}

export function createLog(level: Level, fields: Fields = {}, write: (line: string) => void = toStderr): Log {
  const at = (lineLevel: Level) => (message: string, more?: Fields) => {
    if (order[lineLevel] < order[level]) return;
    write(`${JSON.stringify({ time: new Date().toISOString(), level: lineLevel, message, ...fields, ...more })}\n`);
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (more) => createLog(level, { ...fields, ...more }, write),
  };
}

export const silentLog: Log = createLog("error", {}, () => undefined);

/** The text of anything thrown, for a log line or a message. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
