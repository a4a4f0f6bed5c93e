/** Parses CEL (cel-spec's grammar) and expands the macros of the standard, two-variable, optional and binding libraries. */
import type { LoopMacro, Node } from "./ast.ts";
import { CelCompileError } from "./errors.ts";
import { type Token, tokenize } from "./lexer.ts";

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

/** Number of variables and whether a filter may stand before the last argument, by macro and count of arguments. */
const LOOPS: Record<string, Record<number, { macro: LoopMacro; variables: 1 | 2; filter: boolean }>> = {
  all: { 2: { macro: "all", variables: 1, filter: false }, 3: { macro: "all", variables: 2, filter: false } },
  exists: { 2: { macro: "exists", variables: 1, filter: false }, 3: { macro: "exists", variables: 2, filter: false } },
  exists_one: { 2: { macro: "exists_one", variables: 1, filter: false } },
  existsOne: {
    2: { macro: "exists_one", variables: 1, filter: false },
    3: { macro: "exists_one", variables: 2, filter: false },
  },
  map: { 2: { macro: "map", variables: 1, filter: false }, 3: { macro: "map", variables: 1, filter: true } },
  filter: { 2: { macro: "filter", variables: 1, filter: false } },
  transformList: {
    3: { macro: "transformList", variables: 2, filter: false },
    4: { macro: "transformList", variables: 2, filter: true },
  },
  transformMap: {
    3: { macro: "transformMap", variables: 2, filter: false },
    4: { macro: "transformMap", variables: 2, filter: true },
  },
  transformMapEntry: {
    3: { macro: "transformMapEntry", variables: 2, filter: false },
    4: { macro: "transformMapEntry", variables: 2, filter: true },
  },
  sortBy: { 2: { macro: "sortBy", variables: 1, filter: false } },
};

class Parser {
  private readonly tokens: Token[];
  private i = 0;
  private depth = 0;

  constructor(source: string) {
    this.tokens = tokenize(source);
  }

  private get next(): Token {
    return this.tokens[this.i] as Token;
  }

  private is(mark: string): boolean {
    return this.next.type === "mark" && this.next.value === mark;
  }

  private take(mark: string): boolean {
    if (!this.is(mark)) return false;
    this.i++;
    return true;
  }

  private unexpected(): CelCompileError {
    const { type, at } = this.next;
    const text = type === "end" ? "<EOF>" : String(this.next.value);
    return new CelCompileError(`Syntax error: mismatched input '${text}'`, at);
  }

  private expect(mark: string): void {
    if (!this.take(mark)) throw this.unexpected();
  }

  whole(): Node {
    const node = this.expression();
    if (this.next.type !== "end") throw this.unexpected();
    return node;
  }

  expression(): Node {
    if (++this.depth > DEPTH_MAX)
      throw new CelCompileError(`expression recursion limit exceeded: ${DEPTH_MAX}`, this.next.at);
    const condition = this.or();
    const { at } = this.next;
    let node = condition;
    if (this.take("?")) {
      const yes = this.or();
      this.expect(":");
      node = { op: "choose", condition, yes, no: this.expression(), at };
    }
    this.depth--;
    return node;
  }

  private or(): Node {
    let left = this.and();
    for (let { at } = this.next; this.take("||"); { at } = this.next) left = { op: "or", left, right: this.and(), at };
    return left;
  }

  private and(): Node {
    let left = this.relation();
    for (let { at } = this.next; this.take("&&"); { at } = this.next)
      left = { op: "and", left, right: this.relation(), at };
    return left;
  }

  private relation(): Node {
    let left = this.sum();
    for (;;) {
      const { at, type, value } = this.next;
      const isIn = type === "name" && value === "in" && !("quoted" in this.next && this.next.quoted);
      if (!isIn && !(type === "mark" && RELATIONS.has(String(value)))) return left;
      this.i++;
      const name = isIn ? "@in" : (BINARY[String(value)] ?? "");
      left = { op: "call", name, args: [left, this.sum()], at };
    }
  }

  private chain(marks: readonly string[], operand: () => Node): Node {
    let left = operand();
    for (;;) {
      const { at, type, value } = this.next;
      if (type !== "mark" || !marks.includes(value)) return left;
      this.i++;
      left = { op: "call", name: BINARY[value] ?? "", args: [left, operand()], at };
    }
  }

  private sum(): Node {
    return this.chain(["+", "-"], () => this.product());
  }

  private product(): Node {
    return this.chain(["*", "/", "%"], () => this.unary());
  }

  private unary(): Node {
    const { at } = this.next;
    if (++this.depth > DEPTH_MAX) throw new CelCompileError(`expression recursion limit exceeded: ${DEPTH_MAX}`, at);
    let node: Node;
    if (this.take("!")) node = { op: "call", name: "!_", args: [this.unary()], at };
    else if (this.take("-")) {
      const { next } = this;
      if (next.type === "int" || next.type === "double") {
        this.i++;
        node = this.postfix({ op: "literal", value: next.type === "int" ? -next.value : -next.value, at });
      } else node = { op: "call", name: "-_", args: [this.unary()], at };
    } else node = this.postfix(this.primary());
    this.depth--;
    return node;
  }

  private postfix(start: Node): Node {
    let node = start;
    for (;;) {
      const { at } = this.next;
      if (this.take(".")) node = this.member(node, false, at);
      else if (this.take(".?")) node = this.member(node, true, at);
      else if (this.is("[") || this.is("[?")) {
        const optional = this.next.value === "[?";
        this.i++;
        const key = this.expression();
        this.expect("]");
        node = { op: "index", of: node, key, optional, at };
      } else if (this.is("{") && typePath(node) !== undefined) node = this.struct(typePath(node) ?? "", at);
      else return node;
    }
  }

  private member(of: Node, optional: boolean, at: number): Node {
    const { next } = this;
    if (next.type !== "name") throw this.unexpected();
    this.i++;
    if (!optional && !next.quoted && this.is("(")) {
      const open = this.next.at;
      this.i++;
      return macro(of, next.value, this.list(")"), open) ?? this.lastCall(of, next.value, open);
    }
    return { op: "select", of, field: next.value, optional, at };
  }

  private args: Node[] = [];

  /** The arguments up to `end`; remembered for the call that is no macro. */
  private list(end: string): Node[] {
    const items: Node[] = [];
    while (!this.take(end)) {
      if (items.length > 0) this.expect(",");
      items.push(this.expression());
    }
    this.args = items;
    return items;
  }

  private lastCall(target: Node | undefined, name: string, at: number): Node {
    return { op: "call", name, ...(target ? { target } : {}), args: this.args, at };
  }

  private struct(type: string, at: number): Node {
    this.expect("{");
    const fields: { name: string; value: Node; optional: boolean }[] = [];
    while (!this.take("}")) {
      const optional = this.take("?");
      const { next } = this;
      if (next.type !== "name") throw this.unexpected();
      this.i++;
      this.expect(":");
      fields.push({ name: next.value, value: this.expression(), optional });
      if (!this.is("}")) this.expect(",");
    }
    return { op: "struct", type, fields, at };
  }

  private primary(): Node {
    const token = this.next;
    const { at } = token;
    this.i++;
    switch (token.type) {
      case "int":
        if (token.value === 2n ** 63n) throw new CelCompileError("Syntax error: invalid int literal", at);
        return { op: "literal", value: token.value, at };
      case "uint":
        return { op: "call", name: "uint", args: [{ op: "literal", value: token.value, at }], at };
      case "double":
      case "string":
      case "bytes":
        return { op: "literal", value: token.value, at };
      case "name":
        return this.name(token.value, token.quoted === true, at);
      case "end":
        this.i--;
        throw this.unexpected();
    }
    if (token.value === "(") {
      const inner = this.expression();
      this.expect(")");
      return inner;
    }
    if (token.value === "[") return this.listLiteral(at);
    if (token.value === "[?") {
      // A list whose first element is optional.
      this.i--;
      (this.tokens[this.i] as { value: string }).value = "[";
      this.tokens.splice(this.i + 1, 0, { type: "mark", value: "?", at: at + 1 });
      this.i++;
      return this.listLiteral(at);
    }
    if (token.value === "{") return this.mapLiteral(at);
    if (token.value === "." && this.next.type === "name") {
      const { value } = this.next;
      this.i++;
      return this.name(value, false, at);
    }
    this.i--;
    throw this.unexpected();
  }

  private listLiteral(at: number): Node {
    const items: { value: Node; optional: boolean }[] = [];
    while (!this.take("]")) {
      const optional = this.take("?");
      items.push({ value: this.expression(), optional });
      if (!this.is("]")) this.expect(",");
    }
    return { op: "list", items, at };
  }

  private mapLiteral(at: number): Node {
    const entries: { key: Node; value: Node; optional: boolean }[] = [];
    while (!this.take("}")) {
      const optional = this.take("?");
      const key = this.expression();
      this.expect(":");
      entries.push({ key, value: this.expression(), optional });
      if (!this.is("}")) this.expect(",");
    }
    return { op: "map", entries, at };
  }

  private name(name: string, quoted: boolean, at: number): Node {
    if (!quoted && name === "true") return { op: "literal", value: true, at };
    if (!quoted && name === "false") return { op: "literal", value: false, at };
    if (!quoted && name === "null") return { op: "literal", value: null, at };
    if (!quoted && RESERVED.has(name)) throw new CelCompileError(`reserved identifier: ${name}`, at);
    if (!this.is("(")) return { op: "name", name, at };
    const open = this.next.at;
    this.i++;
    const args = this.list(")");
    if (name === "has" && args.length === 1) {
      const [of] = args;
      if (of?.op !== "select") throw new CelCompileError("invalid argument to has() macro", open);
      return { op: "has", of: of.of, field: of.field, at: open };
    }
    return this.lastCall(undefined, name, open);
  }
}

/** "Object.spec" when the node is nothing but names. */
function typePath(node: Node): string | undefined {
  if (node.op === "name") return node.name;
  if (node.op !== "select" || node.optional) return undefined;
  const before = typePath(node.of);
  return before === undefined ? undefined : `${before}.${node.field}`;
}

function variable(node: Node | undefined): string {
  if (node?.op === "name") return node.name;
  throw new CelCompileError("argument must be a simple name", node?.at ?? 0);
}

/** The expansion of a macro called on `of`, or undefined for an ordinary method. */
function macro(of: Node, name: string, args: Node[], at: number): Node | undefined {
  if (of.op === "name" && of.name === "cel" && name === "bind" && args.length === 3) {
    return { op: "bind", name: variable(args[0]), value: args[1] as Node, body: args[2] as Node, at };
  }
  if ((name === "optMap" || name === "optFlatMap") && args.length === 2) {
    return { op: "whenPresent", of, name: variable(args[0]), body: args[1] as Node, wraps: name === "optMap", at };
  }
  const loop = Object.hasOwn(LOOPS, name) ? LOOPS[name]?.[args.length] : undefined;
  if (!loop) return undefined;
  const variables = args.slice(0, loop.variables).map(variable);
  const filter = loop.filter ? args.at(-2) : undefined;
  return {
    op: "loop",
    macro: loop.macro,
    range: of,
    variables,
    ...(filter ? { filter } : {}),
    body: args.at(-1) as Node,
    at,
  };
}

/** Throws CelCompileError. */
export function parse(source: string): Node {
  if (source.length > SOURCE_MAX)
    throw new CelCompileError(
      `expression code point size exceeds limit: size: ${source.length}, limit ${SOURCE_MAX}`,
      0,
    );
  return new Parser(source).whole();
}
