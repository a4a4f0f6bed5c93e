/**
 * Reads tokens in order, and says what is wrong as the original's generated parser (ANTLR 4) says it, which tries to go on: one token too many is
 * left out, a missing one is taken as read, and anything else ends the rule it stands in; until a token fits again, nothing more is said.
 */
import type { Issue } from "./errors.ts";
import { shown, type Token, tokenize } from "./lexer.ts";

/** Kinds of tokens as messages name them, in the grammar's order. */
const KINDS = [
  "'['",
  "']'",
  "'{'",
  "'}'",
  "'('",
  "')'",
  "'.'",
  "','",
  "'-'",
  "'!'",
  "'?'",
  "'true'",
  "'false'",
  "'null'",
  "NUM_FLOAT",
  "NUM_INT",
  "NUM_UINT",
  "STRING",
  "BYTES",
  "IDENTIFIER",
  "ESC_IDENTIFIER",
];
const KIND_OF: Partial<Record<Token["type"], string>> = {
  int: "NUM_INT",
  uint: "NUM_UINT",
  double: "NUM_FLOAT",
  string: "STRING",
  bytes: "BYTES",
  name: "IDENTIFIER",
  quoted: "ESC_IDENTIFIER",
};
const kindOf = ({ type, value }: Token): string => (type === "end" ? "<EOF>" : (KIND_OF[type] ?? `'${value}'`));

/** What an operand may begin with. */
export const OPERAND = new Set(
  KINDS.filter((kind) => !["']'", "'}'", "')'", "','", "'?'", "ESC_IDENTIFIER"].includes(kind)),
);
/** What may stand behind an operand, where it stands in nothing. */
const BEHIND = new Set(
  [..."[.*/%+-<>?"].map((mark) => `'${mark}'`).concat("'<='", "'>='", "'=='", "'!='", "'in'", "'&&'", "'||'"),
);
/** Where a rule that was given up may go on. */
const RESUMED = new Set([...BEHIND, "')'", "']'", "'}'", "','", "':'", "<EOF>"]);

export const withMore = (kinds: ReadonlySet<string>, ...more: string[]): ReadonlySet<string> =>
  new Set([...kinds, ...more]);
export function wanted(kinds: ReadonlySet<string>): string {
  const listed = KINDS.filter((kind) => kinds.has(kind));
  return listed.length === 1 ? (listed[0] ?? "") : `{${listed.join(", ")}}`;
}

export class TokenReader {
  readonly issues: Issue[];
  private readonly source: string;
  private readonly tokens: Token[];
  private i = 0;
  /** Something was told, and no token has fitted since. */
  protected recovering = false;
  /** What the brackets that are open may be followed by inside: the innermost last. */
  private readonly inside: ReadonlySet<string>[] = [new Set(["<EOF>"])];

  constructor(source: string) {
    const { tokens, issues } = tokenize(source);
    this.source = source;
    this.tokens = tokens;
    this.issues = issues;
  }

  protected get next(): Token {
    return this.tokens[this.i] as Token;
  }

  protected get afterNext(): Token {
    return this.tokens[Math.min(this.i + 1, this.tokens.length - 1)] as Token;
  }

  protected is(mark: string): boolean {
    return this.next.type === "mark" && this.next.value === mark;
  }

  protected fits(kinds: ReadonlySet<string>, token = this.next): boolean {
    return kinds.has(kindOf(token));
  }

  protected advance(): Token {
    const { next } = this;
    if (next.type !== "end") this.i++;
    this.recovering = false;
    return next;
  }

  protected take(mark: string): boolean {
    if (!this.is(mark)) return false;
    this.advance();
    return true;
  }

  protected textOf({ type, at, end }: Token): string {
    return type === "end" ? "<EOF>" : shown(this.source.slice(at, end));
  }

  protected tell(message: string, at = this.next.at): void {
    if (!this.recovering) this.issues.push({ message: `Syntax error: ${message}`, at });
    this.recovering = true;
  }

  /** The source between two places, as messages show it. */
  protected textBetween(from: number, to: number): string {
    return shown(this.source.slice(from, to));
  }

  /** The last token is read again, by another rule. */
  protected back(): void {
    this.i--;
  }

  /** What is wrong beside the syntax. */
  protected add(message: string, at: number): void {
    this.issues.push({ message, at });
  }

  protected mismatched(kinds: string): void {
    this.tell(`mismatched input '${this.textOf(this.next)}' expecting ${kinds}`);
    this.resume();
  }

  protected extraneous(kinds: string): void {
    this.tell(`extraneous input '${this.textOf(this.next)}' expecting ${kinds}`);
    this.advance();
    this.recovering = true;
  }

  /** Leaves out what cannot follow. */
  protected resume(): void {
    while (!this.fits(RESUMED)) this.i++;
  }

  /** Nothing that comes is looked at. */
  protected giveUp(): void {
    this.i = this.tokens.length - 1;
  }

  /** Whether one of `kinds` comes next, after leaving out a single token that does not belong there. */
  protected settles(kinds: ReadonlySet<string>): boolean {
    if (this.fits(kinds)) return true;
    if (this.recovering || this.next.type === "end" || !this.fits(kinds, this.afterNext)) return false;
    this.extraneous(wanted(kinds));
    return true;
  }

  /** The token, or what is said of its absence. `behind`: what may follow it. */
  protected expect(mark: string, behind: ReadonlySet<string> = this.behindClosed()): void {
    if (this.take(mark)) return;
    const kind = `'${mark}'`;
    if (this.recovering && kindOf(this.afterNext) !== kind) this.resume();
    else if (kindOf(this.afterNext) === kind) {
      this.extraneous(kind);
      this.take(mark);
    } else if (this.fits(behind)) this.tell(`missing ${kind} at '${this.textOf(this.next)}'`);
    else this.mismatched(kind);
  }

  /** What may follow a bracket that closes: operators, and what the brackets around it wait for. */
  private behindClosed(): ReadonlySet<string> {
    return new Set([...BEHIND, ...(this.inside.at(-1) ?? [])]);
  }

  protected within<T>(kinds: readonly string[], read: () => T): T {
    this.inside.push(new Set(kinds));
    try {
      return read();
    } finally {
      this.inside.pop();
    }
  }
}
