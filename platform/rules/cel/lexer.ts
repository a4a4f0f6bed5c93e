/** Splits a CEL expression into tokens (cel-spec's grammar, with optional syntax and quoted field names). */
import { CelCompileError } from "./errors.ts";

export type Token =
  | { type: "int"; value: bigint; at: number }
  | { type: "uint"; value: bigint; at: number }
  | { type: "double"; value: number; at: number }
  | { type: "string"; value: string; at: number }
  | { type: "bytes"; value: Uint8Array; at: number }
  | { type: "name"; value: string; at: number; quoted?: boolean }
  | { type: "mark"; value: string; at: number }
  | { type: "end"; value: ""; at: number };

const MARKS = ["?.", ".?", "[?", "&&", "||", "==", "!=", "<=", ">=", ..."()[]{}.,:?!-+*/%<>"];
const NUMBER = /(0[xX][0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+)([uU])?/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const SPACE = /(?:[ \t\r\n\f]+|\/\/[^\n]*)+/y;
const STRING = /([rR]?[bB]?|[bB][rR])("""|'''|"|')/y;
const QUOTED = /`([A-Za-z0-9_.\-/ ]+)`/y;
const INT_MAX = 2n ** 63n;

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

function escaped(source: string, at: number, bytes: boolean): { text: string; length: number } {
  const c = source[at + 1] ?? "";
  const simple = SIMPLE[c];
  if (simple !== undefined) return { text: simple, length: 2 };
  const code = /\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))/y;
  code.lastIndex = at;
  const match = code.exec(source);
  if (!match || (bytes && (match[2] || match[3]))) throw new CelCompileError("Syntax error: invalid escape", at);
  const point = match[4] ? Number.parseInt(match[4], 8) : Number.parseInt(match[1] ?? match[2] ?? match[3] ?? "0", 16);
  if (point > 0x10ffff) throw new CelCompileError("Syntax error: invalid unicode code point", at);
  return { text: String.fromCodePoint(point), length: match[0].length };
}

function stringToken(source: string, at: number): { token: Token; next: number } | undefined {
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
      throw new CelCompileError(`Syntax error: token recognition error at: '${source.slice(at, i)}'`, at);
    }
    if (source.startsWith(quote, i)) {
      const value = bytes ? Uint8Array.from(chunks) : text;
      const token = { type: bytes ? "bytes" : "string", value, at } as Token;
      return { token, next: i + quote.length };
    }
    if (source[i] === "\\" && !raw) {
      const { text: part, length } = escaped(source, i, bytes);
      add(part, true);
      i += length;
    } else {
      const part = String.fromCodePoint(source.codePointAt(i) ?? 0);
      add(part, false);
      i += part.length;
    }
  }
}

function numberToken(match: RegExpExecArray, at: number): Token {
  const text = match[1] ?? "0";
  if (!/^0[xX]/.test(text) && /[.eE]/.test(text)) return { type: "double", value: Number(text), at };
  const value = BigInt(text);
  if (match[2]) {
    if (value >= 2n * INT_MAX) throw new CelCompileError("Syntax error: invalid uint literal", at);
    return { type: "uint", value, at };
  }
  // The smallest number is written with its sign: the parser looks.
  if (value > INT_MAX) throw new CelCompileError("Syntax error: invalid int literal", at);
  return { type: "int", value, at };
}

export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  const at = (pattern: RegExp, i: number) => {
    pattern.lastIndex = i;
    return pattern.exec(source);
  };
  let i = 0;
  while (i < source.length) {
    const space = at(SPACE, i);
    if (space) {
      i += space[0].length;
      continue;
    }
    const text = stringToken(source, i);
    if (text) {
      tokens.push(text.token);
      i = text.next;
      continue;
    }
    const previous = tokens.at(-1);
    const number = source[i] === "." && previous?.type === "name" ? null : at(NUMBER, i);
    const name = at(NAME, i);
    const quoted = at(QUOTED, i);
    if (number) {
      tokens.push(numberToken(number, i));
      i += number[0].length;
    } else if (name) {
      tokens.push({ type: "name", value: name[0], at: i });
      i += name[0].length;
    } else if (quoted) {
      tokens.push({ type: "name", value: quoted[1] ?? "", at: i, quoted: true });
      i += quoted[0].length;
    } else {
      const mark = MARKS.find((m) => source.startsWith(m, i));
      if (mark === undefined || mark === "?.") {
        if (mark === undefined)
          throw new CelCompileError(`Syntax error: token recognition error at: '${source[i]}'`, i);
        tokens.push({ type: "mark", value: "?", at: i });
        i += 1;
      } else {
        tokens.push({ type: "mark", value: mark, at: i });
        i += mark.length;
      }
    }
  }
  tokens.push({ type: "end", value: "", at: source.length });
  return tokens;
}
