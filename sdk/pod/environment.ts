/** What a pod in TypeScript knows of itself: its environment, its arguments, and the files of its volumes. */
import environment from "wasi:cli/environment@0.2.12";
import preopens from "wasi:filesystem/preopens@0.2.12";
import type { Descriptor } from "wasi:filesystem/types@0.2.12";
import { utf8Decode, utf8Encode } from "../plugin/bytes.ts";

const READ_BYTES = 64 * 1024;

/** Of a name; undefined where it is not set. */
export const env = (name: string): string | undefined =>
  environment.getEnvironment().find(([known]) => known === name)?.[1];

/** The first is the program's own name. */
export const args = (): string[] => environment.getArguments();

/** Opens a path as the container sees it: below one of its volumes. Throws where none holds it. */
function open(path: string, flags: { create?: boolean; truncate?: boolean }, write: boolean): Descriptor {
  const holds = preopens
    .getDirectories()
    .filter(([, mounted]) => path.startsWith(mounted.endsWith("/") ? mounted : `${mounted}/`))
    .sort(([, a], [, b]) => b.length - a.length);
  const [directory, mounted = ""] = holds[0] ?? [];
  if (!directory) throw new Error(`${path} is in no volume of this container`);
  const inside = path.slice(mounted.length).replace(/^\/+/, "");
  return directory.openAt({ symlinkFollow: true }, inside, flags, write ? { write: true } : { read: true });
}

export function readFile(path: string): string {
  const file = open(path, {}, false);
  const parts: number[] = [];
  for (;;) {
    const [bytes, end] = file.read(READ_BYTES, parts.length);
    for (const byte of bytes) parts.push(byte);
    if (end || bytes.length === 0) break;
  }
  file[Symbol.dispose]();
  return utf8Decode(new Uint8Array(parts));
}

export function writeFile(path: string, text: string): void {
  const file = open(path, { create: true, truncate: true }, true);
  const bytes = utf8Encode(text);
  for (let at = 0; at < bytes.length; ) at += file.write(bytes.slice(at), at);
  file[Symbol.dispose]();
}
