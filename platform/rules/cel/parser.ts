/** Parses CEL (cel-spec's grammar) and expands the macros of the standard, two-variable and optional libraries. */
import type { Node } from "./ast.ts";
import { CelCompileError } from "./errors.ts";
import type { Token } from "./lexer.ts";
import { loopOf } from "./macros.ts";
import { OPERAND, TokenReader, wanted, withMore } from "./token-reader.ts";

const DEPTH_MAX = 250;
const SOURCE_MAX = 100_000;
const RESERVED = new Set(
  "as break const continue else for function if import let loop package namespace return var void while".split(" "),
);
const RELATIONS = new Set(["<", "<=", ">", ">=", "==", "!="]);
const BINARY: Record<string, string> = {
  "<": "_<_",
  "<=": "_<=_",
  ">": "_>_",
  ">=": "_>=_",
  "==": "_==_",
  "!=": "_!=_",
  "+": "_+_",
  "-": "_-_",
  "*": "_*_",
  "/": "_/_",
  "%": "_%_",
};

const INDEX = withMore(OPERAND, "'?'");
const ARGUMENTS = withMore(OPERAND, "')'");
const LIST = withMore(OPERAND, "']'", "','", "'?'");
const MAP = withMore(OPERAND, "'}'", "','", "'?'");
const FIELDS: ReadonlySet<string> = new Set(["'}'", "','", "'?'", "IDENTIFIER", "ESC_IDENTIFIER"]);

/** Stands for what could not be read. */
const unread = (at: number): Node => ({ op: "literal", value: null, at });

/** Nested too deeply: nothing more is read. */
class TooDeep extends Error {}

class Parser extends TokenReader {
  /** cel.bind is known. */
  private readonly binds: boolean;
  private depth = 0;

  constructor(source: string, binds: boolean) {
    super(source);
    this.binds = binds;
  }

  whole(): Node {
    const node = this.expression();
    if (this.next.type === "end") return node;
    if (this.afterNext.type === "end") this.extraneous("<EOF>");
    else this.mismatched("<EOF>");
    return node;
  }

  /** `first`: what it may begin with where it stands. */
  expression(first: ReadonlySet<string> = OPERAND): Node {
    this.deeper();
    const condition = this.or(first);
    const { at } = this.next;
    let node = condition;
    if (this.take("?")) {
      const yes = this.within(["':'"], () => this.or());
      this.expect(":", OPERAND);
      node = { op: "choose", condition, yes, no: this.expression(), at };
    }
    this.depth--;
    return node;
  }

  private deeper(): void {
    if (++this.depth <= DEPTH_MAX) return;
    this.issues.splice(0, this.issues.length);
    this.add(`expression recursion limit exceeded: ${DEPTH_MAX}`, this.next.at);
    throw new TooDeep();
  }

  private or(first: ReadonlySet<string> = OPERAND): Node {
    let left = this.and(first);
    for (let { at } = this.next; this.take("||"); { at } = this.next) left = { op: "or", left, right: this.and(), at };
    return left;
  }

  private and(first: ReadonlySet<string> = OPERAND): Node {
    let left = this.relation(first);
    for (let { at } = this.next; this.take("&&"); { at } = this.next)
      left = { op: "and", left, right: this.relation(), at };
    return left;
  }

  private relation(first: ReadonlySet<string> = OPERAND): Node {
    let left = this.sum(first);
    for (;;) {
      const { at, type, value } = this.next;
      const isIn = type === "keyword" && value === "in";
      if (!isIn && !(type === "mark" && RELATIONS.has(value))) return left;
      this.advance();
      const name = isIn ? "@in" : (BINARY[String(value)] ?? "");
      left = { op: "call", name, args: [left, this.sum()], at };
    }
  }

  private chain(
    marks: readonly string[],
    operand: (first?: ReadonlySet<string>) => Node,
    first: ReadonlySet<string>,
  ): Node {
    let left = operand(first);
    for (;;) {
      const { at, type, value } = this.next;
      if (type !== "mark" || !marks.includes(value)) return left;
      this.advance();
      left = { op: "call", name: BINARY[value] ?? "", args: [left, operand()], at };
    }
  }

  private sum(first: ReadonlySet<string> = OPERAND): Node {
    return this.chain(["+", "-"], (kinds) => this.product(kinds), first);
  }

  private product(first: ReadonlySet<string> = OPERAND): Node {
    return this.chain(["*", "/", "%"], (kinds) => this.unary(kinds), first);
  }

  private unary(first: ReadonlySet<string> = OPERAND): Node {
    if (!this.fits(OPERAND) && !this.settles(first)) this.mismatched(wanted(first));
    // What may stand here and begins no operand ends the list that it stands in.
    if (!this.fits(OPERAND)) return unread(this.next.at);
    const { at } = this.next;
    if (this.is("!")) return this.signed("!", "!_", at);
    if (this.is("-") && this.afterNext.type !== "int" && this.afterNext.type !== "double")
      return this.signed("-", "-_", at);
    return this.postfix(this.primary());
  }

  /** Any number of one sign, and what it is about. */
  private signed(mark: string, name: string, at: number): Node {
    this.deeper();
    this.advance();
    let node: Node;
    if (this.is(mark)) node = this.signed(mark, name, this.next.at);
    else if (this.fits(OPERAND)) node = this.member(mark);
    else {
      this.badOperand(mark, at);
      node = unread(this.next.at);
    }
    this.depth--;
    return { op: "call", name, args: [node], at };
  }

  /** Of two different signs the second begins no operand, but for a number's own. */
  private member(sign: string): Node {
    const { at } = this.next;
    const isNumber = this.is("-") && (this.afterNext.type === "int" || this.afterNext.type === "double");
    if (isNumber || !(this.is("!") || this.is("-"))) return this.postfix(this.primary());
    const told = sign === "-" ? this.next : this.afterNext;
    this.add(
      `Syntax error: no viable alternative at input '${this.textBetween(sign === "-" ? at - 1 : at, told.end)}'`,
      told.at,
    );
    this.giveUp();
    return unread(at);
  }

  private badOperand(sign: string, at: number): void {
    if (sign === "!") {
      this.tell(`extraneous input '${this.textOf(this.next)}' expecting ${wanted(OPERAND)}`);
      this.resume();
      return;
    }
    const { next } = this;
    this.tell(`no viable alternative at input '${this.textBetween(at, next.end)}'`);
    this.recovering = false;
    this.mismatched(wanted(OPERAND));
  }

  private postfix(start: Node): Node {
    let node = start;
    for (;;) {
      const { at } = this.next;
      if (this.take(".")) node = this.selected(node, at);
      else if (this.take("[")) {
        const optional = this.take("?");
        const key = this.within(["']'"], () => this.expression(optional ? OPERAND : INDEX));
        this.expect("]");
        node = { op: "index", of: node, key, optional, at };
      } else if (this.is("{") && typePath(node) !== undefined) node = this.struct(typePath(node) ?? "", at);
      else return node;
    }
  }

  private selected(of: Node, at: number): Node {
    const optional = this.take("?");
    const { next } = this;
    if (next.type === "quoted") {
      this.advance();
      this.add("unsupported syntax: '`'", next.at);
      return { op: "select", of, field: next.value, optional, at };
    }
    if (next.type !== "name") {
      if (optional) {
        this.mismatched("{IDENTIFIER, ESC_IDENTIFIER}");
        this.add("unsupported ident kind", next.at);
      } else if (next.type === "keyword" && next.value !== "in") this.mismatched("IDENTIFIER");
      else {
        this.tell(`no viable alternative at input '${this.textBetween(at, next.end)}'`);
        this.resume();
      }
      return unread(next.at);
    }
    this.advance();
    if (!optional && this.is("(")) {
      const open = this.next.at;
      const args = this.arguments();
      return this.macro(of, next.value, args, open) ?? { op: "call", name: next.value, target: of, args, at: open };
    }
    return { op: "select", of, field: next.value, optional, at };
  }

  /** In parentheses; no comma behind the last one. */
  private arguments(): Node[] {
    this.advance();
    if (this.take(")")) return [];
    const items: Node[] = [];
    this.within(["')'", "','"], () => {
      items.push(this.expression(ARGUMENTS));
      while (this.take(",")) items.push(this.expression());
    });
    this.expect(")");
    return items;
  }

  /** Entries with commas between them, and perhaps one behind the last. `first`: what the first may begin with. */
  private entries(close: string, first: ReadonlySet<string>, entry: () => void): void {
    this.advance();
    this.within([`'${close}'`, "','"], () => {
      if (this.is(close)) return;
      if (!this.settles(first)) return this.mismatched(wanted(first));
      if (this.take(",") || this.is(close)) return;
      entry();
      while (this.settles(new Set([`'${close}'`, "','"])) && this.take(",")) {
        if (!this.fits(first) || this.is(",") || this.is(close)) return;
        entry();
      }
      if (!this.is(close)) this.mismatched(wanted(new Set([`'${close}'`, "','"])));
    });
    this.expect(close);
  }

  private struct(type: string, at: number): Node {
    const fields: Extract<Node, { op: "struct" }>["fields"] = [];
    this.entries("}", FIELDS, () => {
      const optional = this.take("?");
      const { next } = this;
      if (next.type !== "name" && next.type !== "quoted") return this.mismatched("{IDENTIFIER, ESC_IDENTIFIER}");
      this.advance();
      if (next.type === "quoted") this.add("unsupported syntax: '`'", next.at);
      const colon = this.next.at;
      this.expect(":", OPERAND);
      fields.push({ name: next.value, value: this.expression(), optional, at: colon });
    });
    return { op: "struct", type, fields, at };
  }

  private primary(): Node {
    const token = this.advance();
    const { at } = token;
    switch (token.type) {
      case "int":
        return this.integer(token.value, at);
      case "uint":
        if (token.value >= 2n ** 64n) this.add("invalid uint literal", at);
        return { op: "call", name: "uint", args: [{ op: "literal", value: token.value, at }], at };
      case "double":
      case "string":
      case "bytes":
        return { op: "literal", value: token.value, at };
      case "keyword":
        return { op: "literal", value: token.value === "null" ? null : token.value === "true", at };
      case "name":
        return this.name(token.value, at);
      default:
        return this.bracketed(token, at);
    }
  }

  private integer(value: bigint, at: number): Node {
    if (value >= 2n ** 63n) this.add("invalid int literal", at);
    return { op: "literal", value, at };
  }

  private bracketed({ value }: Token, at: number): Node {
    if (value === "-") return this.negative(at);
    if (value === "(") {
      const inner = this.within(["')'"], () => this.expression());
      this.expect(")");
      return inner;
    }
    if (value === "[") return this.listLiteral(at);
    if (value === "{") return this.mapLiteral(at);
    const { next } = this;
    if (next.type === "name") {
      this.advance();
      return this.name(next.value, at);
    }
    this.tell(`no viable alternative at input '${this.textBetween(at, next.end)}'`);
    this.giveUp();
    return unread(at);
  }

  /** The smallest number is written with its sign. */
  private negative(at: number): Node {
    const { type, value } = this.advance();
    if (type === "double") return { op: "literal", value: -value, at };
    const number = type === "int" ? -value : 0n;
    if (number < -(2n ** 63n)) this.add("invalid int literal", at);
    return { op: "literal", value: number, at };
  }

  private listLiteral(at: number): Node {
    const items: { value: Node; optional: boolean }[] = [];
    this.back();
    this.entries("]", LIST, () => {
      const optional = this.take("?");
      items.push({ value: this.expression(), optional });
    });
    return { op: "list", items, at };
  }

  private mapLiteral(at: number): Node {
    const entries: { key: Node; value: Node; optional: boolean }[] = [];
    this.back();
    this.entries("}", MAP, () => {
      const optional = this.take("?");
      const key = this.within(["':'"], () => this.expression());
      this.expect(":", OPERAND);
      entries.push({ key, value: this.expression(), optional });
    });
    return { op: "map", entries, at };
  }

  private name(name: string, at: number): Node {
    if (RESERVED.has(name)) this.add(`reserved identifier: ${name}`, at);
    if (!this.is("(")) return { op: "name", name, at };
    const open = this.next.at;
    const args = this.arguments();
    const [of] = args;
    if (name !== "has" || args.length !== 1 || !of) return { op: "call", name, args, at: open };
    if (of.op === "select") return { op: "has", of: of.of, field: of.field, at: open };
    this.add("invalid argument to has() macro", of.at);
    return unread(open);
  }

  /** The expansion of a macro called on `of`, or undefined for an ordinary method. */
  private macro(of: Node, name: string, args: Node[], at: number): Node | undefined {
    if (this.binds && of.op === "name" && of.name === "cel" && name === "bind" && args.length === 3) {
      return { op: "bind", name: this.variable(args[0]), value: args[1] as Node, body: args[2] as Node, at };
    }
    if ((name === "optMap" || name === "optFlatMap") && args.length === 2) {
      const variable = this.variable(args[0]);
      return { op: "whenPresent", of, name: variable, body: args[1] as Node, wraps: name === "optMap", at };
    }
    return loopOf(of, name, args, at, (node) => this.variable(node));
  }

  private variable(node: Node | undefined): string {
    if (node?.op === "name") return node.name;
    this.add("argument must be a simple name", node?.at ?? 0);
    return "";
  }
}

/** "Object.spec" when the node is nothing but names. */
function typePath(node: Node): string | undefined {
  if (node.op === "name") return node.name;
  if (node.op !== "select" || node.optional) return undefined;
  const before = typePath(node.of);
  return before === undefined ? undefined : `${before}.${node.field}`;
}

/** `binds`: the environment has cel.bind. Throws CelCompileError with all that is wrong. */
export function parse(source: string, binds = false): Node {
  if (source.length > SOURCE_MAX) {
    const message = `expression code point size exceeds limit: size: ${source.length}, limit ${SOURCE_MAX}`;
    throw new CelCompileError([{ message, at: 0 }]);
  }
  const parser = new Parser(source, binds);
  let node: Node | undefined;
  try {
    node = parser.whole();
  } catch (error) {
    if (!(error instanceof TooDeep)) throw error;
  }
  if (!node || parser.issues.length > 0) throw new CelCompileError(parser.issues);
  return node;
}
