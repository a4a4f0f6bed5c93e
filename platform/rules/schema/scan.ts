/**
 * What JSON.parse does not tell of a text and Kubernetes' strict decoding needs: fields that stand twice in one object,
 * and how deep it nests. One pass over a text that is already known to be valid JSON.
 */

/** Deeper documents are refused: the walks over a document are recursive. Upstream allows 10000. */
export const DEPTH_MAX = 1000;
const DUPLICATES_MAX = 100;

export interface Scan {
  /** Paths as strict decoding words them: "metadata.name", "spec.containers[0].name". At most 100, each once. */
  duplicates: string[];
  depth: number;
}

interface Level {
  /** Undefined for an array. */
  keys: Set<string> | undefined;
  key: string;
  index: number;
}

function pathOf(levels: readonly Level[], last: string): string {
  let path = "";
  for (const level of levels.slice(0, -1)) {
    path += level.keys === undefined ? `[${level.index}]` : `${path === "" ? "" : "."}${level.key}`;
  }
  return path === "" ? last : `${path}.${last}`;
}

/** The index after the closing quote of the string that starts at `start`. */
function stringEnd(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); ; at = text.indexOf('"', at + 1)) {
    if (at < 0) return text.length;
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 92) slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
}

function keyOf(literal: string): string {
  return literal.includes("\\") ? (JSON.parse(literal) as string) : literal.slice(1, -1);
}

/** Visits every key of the text's objects in its order, until `visit` has seen enough; answers how deep it went. */
function walk(text: string, visit: (levels: readonly Level[], key: string, again: boolean) => void): number {
  const levels: Level[] = [];
  let depth = 0;
  let expectKey = false;
  for (let at = 0; at < text.length; at += 1) {
    const level = levels.at(-1);
    switch (text.charCodeAt(at)) {
      case 123: // {
      case 91: // [
        expectKey = text.charCodeAt(at) === 123;
        levels.push({ keys: expectKey ? new Set() : undefined, key: "", index: 0 });
        depth = Math.max(depth, levels.length);
        if (depth > DEPTH_MAX) return depth;
        break;
      case 125: // }
      case 93: // ]
        levels.pop();
        expectKey = false;
        break;
      case 44: // ,
        expectKey = level?.keys !== undefined;
        if (level) level.index += 1;
        break;
      case 34: {
        const end = stringEnd(text, at);
        if (expectKey && level?.keys) {
          level.key = keyOf(text.slice(at, end));
          visit(levels, level.key, level.keys.has(level.key));
          level.keys.add(level.key);
          expectKey = false;
        }
        at = end - 1;
        break;
      }
    }
  }
  return depth;
}

export function scanJson(text: string): Scan {
  const duplicates = new Set<string>();
  const depth = walk(text, (levels, key, again) => {
    if (again && duplicates.size < DUPLICATES_MAX) duplicates.add(pathOf(levels, key));
  });
  return { duplicates: [...duplicates], depth };
}

/** What strict decoding refuses, in the order in which it stands in the text. */
export function inTextOrder(text: string, duplicates: readonly string[], unknown: readonly string[]): string[] {
  const found = new Set<string>();
  const [twice, strange] = [new Set(duplicates), new Set(unknown)];
  walk(text, (levels, key, again) => {
    const path = pathOf(levels, key);
    if (strange.has(path)) found.add(unknownField(path));
    if (again && twice.has(path)) found.add(duplicateField(path));
  });
  // What has another path in the text (an embedded object's) comes last.
  return [...new Set([...found, ...unknown.map(unknownField)])];
}

export const duplicateField = (path: string): string => `duplicate field "${path}"`;
export const unknownField = (path: string): string => `unknown field "${path}"`;
