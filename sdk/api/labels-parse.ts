/**
 * The text syntax of label selectors (apimachinery's `labels.Parse`):
 *
 *     selector    = [ requirement { "," requirement } ]
 *     requirement = "!" KEY | KEY | KEY ("="|"=="|"!="|">"|"<") VALUE | KEY ("in"|"notin") "(" VALUE { "," VALUE } ")"
 */
import { isLabelValue, isQualifiedName } from "./names.ts";

export type LabelOperator = "=" | "==" | "!=" | "in" | "notin" | "exists" | "!" | "gt" | "lt";

export interface LabelRequirement {
  key: string;
  operator: LabelOperator;
  values: readonly string[];
}

/** All must hold; an empty one matches everything. */
export type LabelRequirements = readonly LabelRequirement[];
export const INTEGER = /^[+-]?\d+$/;
const quote = (text: string): string => JSON.stringify(text);

/** The same check upstream makes for every requirement; throws an Error with its message. */
export function requirement(key: string, operator: LabelOperator, values: readonly string[]): LabelRequirement {
  const errors =
    isQualifiedName(key).length > 0 ? [`key: Invalid value: ${quote(key)}: ${isQualifiedName(key).join("; ")}`] : [];
  const list = `[]string{${values.map(quote).join(", ")}}`;
  if ((operator === "in" || operator === "notin") && values.length === 0) {
    errors.push(`values: Invalid value: ${list}: for 'in', 'notin' operators, values set can't be empty`);
  }
  if ((operator === "exists" || operator === "!") && values.length > 0) {
    errors.push(`values: Invalid value: ${list}: values set must be empty for exists and does not exist`);
  }
  values.forEach((value, i) => {
    if ((operator === "gt" || operator === "lt") && !INTEGER.test(value)) {
      errors.push(
        `values[${i}]: Invalid value: ${quote(value)}: for 'Gt', 'Lt' operators, the value must be an integer`,
      );
    }
    const wrong = isLabelValue(value);
    if (wrong.length > 0) errors.push(`values[${i}][${key}]: Invalid value: ${quote(value)}: ${wrong.join("; ")}`);
  });
  if (errors.length > 0) throw new Error(errors.length === 1 ? errors[0] : `[${errors.join(", ")}]`);
  return { key, operator, values };
}

interface Token {
  type: "identifier" | "end" | "error" | "symbol";
  text: string;
}

const SYMBOLS = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
const OPERATORS: Record<string, LabelOperator> = {
  "=": "=",
  "==": "==",
  "!=": "!=",
  ">": "gt",
  "<": "lt",
  in: "in",
  notin: "notin",
};
const BINARY_OPERATORS = "in, notin, =, ==, !=, gt, lt";

function tokens(selector: string): Token[] {
  const found: Token[] = [];
  const pattern = /[ \t\r\n]+|([=!(),><]+)|([^=!(),>< \t\r\n]+)/y;
  for (let match = pattern.exec(selector); match; match = pattern.exec(selector)) {
    if (match[2] !== undefined) found.push({ type: "identifier", text: match[2] });
    for (let rest = match[1] ?? ""; rest !== ""; ) {
      const text = SYMBOLS.find((symbol) => rest.startsWith(symbol)) ?? rest;
      found.push({ type: "symbol", text });
      rest = rest.slice(text.length);
    }
  }
  return [...found, { type: "end", text: "" }];
}

class Parser {
  private readonly tokens: Token[];
  private at = 0;

  constructor(selector: string) {
    this.tokens = tokens(selector);
  }

  private get next(): Token {
    return this.tokens[Math.min(this.at, this.tokens.length - 1)] as Token;
  }

  private take(): Token {
    const token = this.next;
    this.at += 1;
    return token;
  }

  private static is(token: Token, text: string): boolean {
    return token.type === "symbol" && token.text === text;
  }

  all(): LabelRequirement[] {
    const found: LabelRequirement[] = [];
    for (;;) {
      const { type, text } = this.next;
      if (type === "end") return found;
      if (type !== "identifier" && text !== "!") {
        throw new Error(`found '${text}', expected: !, identifier, or 'end of string'`);
      }
      found.push(this.requirement());
      const after = this.take();
      if (after.type === "end") return found;
      if (!Parser.is(after, ",")) throw new Error(`found '${after.text}', expected: ',' or 'end of string'`);
      if (this.next.type !== "identifier" && !Parser.is(this.next, "!")) {
        throw new Error(`found '${this.next.text}', expected: identifier after ','`);
      }
    }
  }

  private requirement(): LabelRequirement {
    try {
      return this.parseRequirement();
    } catch (error) {
      throw new Error(`unable to parse requirement: ${(error as Error).message}`);
    }
  }

  private parseRequirement(): LabelRequirement {
    const absent = Parser.is(this.next, "!");
    if (absent) this.take();
    const token = this.take();
    if (token.type !== "identifier") throw new Error(`found '${token.text}', expected: identifier`);
    const key = token.text;
    const wrong = isQualifiedName(key);
    if (wrong.length > 0) throw new Error(`<nil>: Invalid value: ${JSON.stringify(key)}: ${wrong.join("; ")}`);
    if (absent) return { key, operator: "!", values: [] };
    if (this.next.type === "end" || Parser.is(this.next, ",")) return { key, operator: "exists", values: [] };
    const sign = this.take();
    const operator = Object.hasOwn(OPERATORS, sign.text) ? OPERATORS[sign.text] : undefined;
    if (operator === undefined) throw new Error(`found '${sign.text}', expected: ${BINARY_OPERATORS}`);
    const values = operator === "in" || operator === "notin" ? this.set() : [this.value()];
    return requirement(key, operator, [...new Set(values)].sort());
  }

  private value(): string {
    if (this.next.type === "end" || Parser.is(this.next, ",")) return "";
    const token = this.take();
    if (token.type !== "identifier") throw new Error(`found '${token.text}', expected: identifier`);
    return token.text;
  }

  /** "(a,,b)" holds the empty value too. */
  private set(): string[] {
    const open = this.take();
    if (!Parser.is(open, "(")) throw new Error(`found '${open.text}' expected: '('`);
    if (this.next.type !== "identifier" && !Parser.is(this.next, ",") && !Parser.is(this.next, ")")) {
      throw new Error(`found '${this.next.text}', expected: ',', ')' or identifier`);
    }
    const values: string[] = [];
    for (;;) {
      values.push(this.next.type === "identifier" ? this.take().text : "");
      const token = this.take();
      if (Parser.is(token, ")")) return values;
      if (!Parser.is(token, ",")) throw new Error(`found '${token.text}', expected: ',' or ')'`);
      if (this.next.type !== "identifier" && !Parser.is(this.next, ",") && !Parser.is(this.next, ")")) {
        throw new Error(`found '${this.next.text}', expected: ',', or identifier`);
      }
    }
  }
}

/** Sorted by key. Throws an Error with upstream's message, which upstream answers with 400. */
export function parseLabelSelector(selector: string): LabelRequirements {
  return new Parser(selector).all().sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}
