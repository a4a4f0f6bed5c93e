/** The kept words of one plugin (logs.ts), of all roles of this machine, in the order of their times. */
import { open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { delay } from "#platform/base/clock.ts";

export interface LogRequest {
  /** Left out: all that is kept. */
  tailLines?: number;
  /** Each line with its time (RFC 3339), as kubectl's --timestamps. */
  timestamps: boolean;
  /** Goes on with what comes. */
  follow: boolean;
  signal: AbortSignal;
}

const FOLLOW_MS = 500;
const CHUNK_BYTES_MAX = 1024 * 1024;

/** Texts of whole lines. Nothing, when the plugin has not said anything here. */
export async function* readPluginLog(
  directory: string,
  tenant: string,
  plugin: string,
  request: LogRequest,
): AsyncGenerator<string> {
  const folder = join(directory, tenant, plugin);
  const positions = new Map<string, number>();
  for (const name of await current(folder)) positions.set(name, await sizeOf(join(folder, name)));
  const kept = (await linesOf(folder)).sort(byTime);
  yield shown(
    request.tailLines === undefined ? kept : kept.slice(Math.max(0, kept.length - request.tailLines)),
    request,
  );
  while (request.follow && !request.signal.aborted) {
    await delay(FOLLOW_MS, request.signal);
    const fresh: string[] = [];
    for (const name of await current(folder)) fresh.push(...(await linesAfter(folder, name, positions)));
    if (fresh.length > 0) yield shown(fresh.sort(byTime), request);
  }
}

const names = async (folder: string): Promise<string[]> => {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
};
const current = async (folder: string) => (await names(folder)).filter((name) => name.endsWith(".log"));
const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? 0;

async function linesOf(folder: string): Promise<string[]> {
  const texts = (await names(folder)).map((name) => readFile(join(folder, name), "utf8").catch(() => ""));
  return (await Promise.all(texts)).flatMap((text) => text.split("\n").filter(Boolean));
}

/** Whole lines since the last look; a file that has become smaller is a new one. */
async function linesAfter(folder: string, name: string, positions: Map<string, number>): Promise<string[]> {
  const path = join(folder, name);
  const size = await sizeOf(path);
  const known = positions.get(name) ?? 0;
  const from = size < known ? 0 : known;
  if (size === from) return [];
  const file = await open(path).catch(() => undefined);
  if (!file) return [];
  try {
    const buffer = Buffer.alloc(Math.min(size - from, CHUNK_BYTES_MAX));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
    const end = buffer.lastIndexOf(10, bytesRead - 1) + 1;
    positions.set(name, from + end);
    return buffer.toString("utf8", 0, end).split("\n").filter(Boolean);
  } finally {
    await file.close();
  }
}

/** "TIME STREAM F TEXT" as whoever asks wants it. */
const shown = (lines: readonly string[], { timestamps }: LogRequest): string =>
  lines
    .map((line) => {
      const [, time = "", text = ""] = /^(\S+) \S+ \S+ (.*)$/s.exec(line) ?? [];
      return timestamps ? `${time} ${text}\n` : `${text}\n`;
    })
    .join("");

/** Of lines of the same moment those of one process stay in their order: a stack is read from its top. */
const TIME_CHARACTERS = 24;
const byTime = (a: string, b: string): number => {
  const [at, bt] = [a.slice(0, TIME_CHARACTERS), b.slice(0, TIME_CHARACTERS)];
  return at < bt ? -1 : at > bt ? 1 : 0;
};
