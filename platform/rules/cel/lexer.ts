/** Splits a CEL expression into tokens (cel-spec's grammar): the longest one each time, and what is none is told and left out. */
import type { Issue } from "./errors.ts";

/** `at` and `end`: where it stands in the source. */
export type Token = { at: number; end: number } & (
  | { type: "int" | "uint"; value: bigint }
  | { type: "double"; value: number }
  | { type: "string"; value: string }
  | { type: "bytes"; value: Uint8Array }
  | { type: "name"; value: string }
  /** A field's name in backquotes: known, and not allowed. */
  | { type: "quoted"; value: string }
  | { type: "keyword"; value: "true" | "false" | "null" | "in" }
  | { type: "mark"; value: string }
  | { type: "end"; value: "" }
);

const MARKS = ["&&", "||", "==", "!=", "<=", ">=", ..."()[]{}.,:?!-+*/%<>"];
/** What begins a mark and is none alone: the character behind it goes with it. */
const HALVES = "&|=";
const NUMBER = /(0x[0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+)([uU])?/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const KEYWORDS: ReadonlySet<string> = new Set(["true", "false", "null", "in"]);
const SPACE = /(?:[ \t\r\n\f]+|\/\/[^\n]*)+/y;
const STRING = /([rR]?[bB]?|[bB][rR])("""|'''|"|')/y;
const QUOTED = /`([A-Za-z0-9_.\-/ ]+)`/y;

const SIMPLE: Record<string, string> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "?": "?",
  '"': '"',
  "'": "'",
  "`": "`",
};

/** Undefined for what is no escape. */
function escaped(source: string, at: number): { text: string; length: number } | undefined {
  const simple = SIMPLE[source[at + 1] ?? ""];
  if (simple !== undefined) return { text: simple, length: 2 };
  const code = /\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))/y;
  code.lastIndex = at;
  const match = code.exec(source);
  if (!match) return undefined;
  const point = match[4] ? Number.parseInt(match[4], 8) : Number.parseInt(match[1] ?? match[2] ?? match[3] ?? "0", 16);
  return { text: point > 0x10ffff ? "\ufffd" : String.fromCodePoint(point), length: match[0].length };
}

/** A text or bytes that begin at `at`; a number says where it turned out to be none. */
function stringToken(source: string, at: number): Token | number | undefined {
  STRING.lastIndex = at;
  const match = STRING.exec(source);
  if (!match) return undefined;
  const prefix = (match[1] ?? "").toLowerCase();
  const quote = match[2] ?? '"';
  const [raw, bytes] = [prefix.includes("r"), prefix.includes("b")];
  let text = "";
  const chunks: number[] = [];
  const add = (part: string, fromEscape: boolean) => {
    if (!bytes) text += part;
    // An escape in bytes is one byte, a character is its UTF-8.
    else if (fromEscape) chunks.push(part.charCodeAt(0));
    else chunks.push(...Buffer.from(part));
  };
  for (let i = at + match[0].length; ; ) {
    if (i >= source.length || (quote.length === 1 && source[i] === "\n")) {
      // Three quotes that nobody closes begin with an empty text.
      if (quote.length === 1) return i;
      const end = at + match[0].length - 1;
      return { ...(bytes ? { type: "bytes", value: new Uint8Array() } : { type: "string", value: "" }), at, end };
    }
    if (source.startsWith(quote, i)) {
      const end = i + quote.length;
      return {
        ...(bytes ? { type: "bytes", value: Uint8Array.from(chunks) } : { type: "string", value: text }),
        at,
        end,
      };
    }
    const special = source[i] === "\\" && !raw ? escaped(source, i) : undefined;
    if (special) {
      add(special.text, true);
      i += special.length;
    } else if (source[i] === "\\" && !raw) return i + 1;
    else {
      const part = String.fromCodePoint(source.codePointAt(i) ?? 0);
      add(part, false);
      i += part.length;
    }
  }
}

function numberToken(match: RegExpExecArray, at: number): Token {
  const [text = "0", suffix] = [match[1], match[2]];
  const isDouble = !/^0x/.test(text) && /[.eE]/.test(text);
  // Nothing but whole numbers have a suffix: it is a name of its own.
  const end = at + (isDouble ? text.length : match[0].length);
  if (isDouble) return { type: "double", value: Number(text), at, end };
  return { type: suffix ? "uint" : "int", value: BigInt(text), at, end };
}

/** What can be read, and what is no token with the place where it ends. */
export function tokenize(source: string): { tokens: Token[]; issues: Issue[] } {
  const [tokens, issues]: [Token[], Issue[]] = [[], []];
  const match = (pattern: RegExp, at: number) => {
    pattern.lastIndex = at;
    return pattern.exec(source);
  };
  for (let at = 0; at < source.length; ) {
    const space = match(SPACE, at);
    if (space) {
      at += space[0].length;
      continue;
    }
    const token = tokenAt(source, at, match);
    if (typeof token === "object") tokens.push(token);
    else {
      const end = Math.min(source.length, token + (String.fromCodePoint(source.codePointAt(token) ?? 0).length || 1));
      issues.push({ message: `Syntax error: token recognition error at: '${shown(source.slice(at, end))}'`, at });
      at = end;
      continue;
    }
    at = token.end;
  }
  tokens.push({ type: "end", value: "", at: source.length, end: source.length });
  return { tokens, issues };
}

/** A number says where the text stops being a token. */
function tokenAt(
  source: string,
  at: number,
  match: (pattern: RegExp, at: number) => RegExpExecArray | null,
): Token | number {
  const text = stringToken(source, at);
  if (text !== undefined) return text;
  const number = match(NUMBER, at);
  if (number) return numberToken(number, at);
  const name = match(NAME, at)?.[0];
  if (name !== undefined) {
    const end = at + name.length;
    return KEYWORDS.has(name)
      ? ({ type: "keyword", value: name, at, end } as Token)
      : { type: "name", value: name, at, end };
  }
  const quoted = match(QUOTED, at);
  if (quoted) return { type: "quoted", value: quoted[1] ?? "", at, end: at + quoted[0].length };
  const mark = MARKS.find((m) => source.startsWith(m, at));
  if (mark !== undefined) return { type: "mark", value: mark, at, end: at + mark.length };
  if (source[at] === "`") return at + (/^`[A-Za-z0-9_.\-/ ]*/.exec(source.slice(at))?.[0].length ?? 1);
  return HALVES.includes(source[at] ?? "") ? at + 1 : at;
}

/** As the parser's messages write a part of the source. */
export const shown = (text: string): string =>
  text.replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t");
