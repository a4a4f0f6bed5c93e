/** Regular expressions that tenants write: RE2's language, in linear time whatever the pattern. */
import { setFlagsFromString } from "node:v8";
import { RE2JS } from "@bufbuild/re2";
import { CelError } from "./errors.ts";

const KEPT_MAX = 2000;
const compiled = new Map<string, RE2JS>();

/** Throws CelError for a pattern RE2 does not know. */
export function re2(pattern: string): RE2JS {
  let found = compiled.get(pattern);
  if (!found) {
    try {
      found = new RE2JS(pattern);
    } catch (error) {
      throw new CelError(`error parsing regexp: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (compiled.size >= KEPT_MAX) compiled.clear();
    compiled.set(pattern, found);
  }
  return found;
}

/** True when the pattern is found anywhere in the text. */
export const matches = (pattern: string, text: string): boolean => re2(pattern).test(text);

let linear = false;

/** The texts that match, leftmost first. RE2's port only answers yes or no, so V8's own linear-time engine finds them. */
export function findAll(pattern: string, text: string, limit: number): string[] {
  re2(pattern);
  if (!linear) {
    setFlagsFromString("--enable-experimental-regexp-engine");
    linear = true;
  }
  let regexp: RegExp;
  try {
    regexp = new RegExp(pattern, "gl");
  } catch {
    throw new CelError(`error parsing regexp: ${pattern}`);
  }
  const found: string[] = [];
  for (const match of text.matchAll(regexp)) {
    if (found.length >= limit) break;
    found.push(match[0]);
  }
  return found;
}
