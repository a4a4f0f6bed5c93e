/** Infers types before anything is run, and says what cannot be in cel-go's words. */
import type { Node } from "./ast.ts";
import { CelCompileError, type Issue } from "./errors.ts";
import type { CelFunction } from "./functions/function.ts";
import {
  assignable,
  BOOL,
  BYTES,
  type CelType,
  DOUBLE,
  DYN,
  ERROR,
  INT,
  join,
  listOf,
  mapOf,
  NAMED_TYPES,
  NULL,
  optionalOf,
  STRING,
  substitute,
  shortTypeText as typeText,
} from "./types.ts";

export interface Declarations {
  variable(name: string): CelType | undefined;
  /** Overloads by name. */
  functions(name: string): readonly CelFunction[];
  /** Message types that expressions may make ("Object.spec", "JSONPatch"). */
  struct(name: string): CelType | undefined;
}

type Scope = ReadonlyMap<string, CelType>;

function literalType(value: unknown): CelType {
  if (value === null) return NULL;
  switch (typeof value) {
    case "bigint":
      return INT;
    case "number":
      return DOUBLE;
    case "string":
      return STRING;
    case "boolean":
      return BOOL;
    default:
      return BYTES;
  }
}

/** "a.b.c" of nested names, to tell qualified variables and types. */
export function pathOf(node: Node): string | undefined {
  if (node.op === "name") return node.name;
  if (node.op !== "select" || node.optional) return undefined;
  const before = pathOf(node.of);
  return before === undefined ? undefined : `${before}.${node.field}`;
}

/** The type of an expression's value. Throws CelCompileError with all that is wrong. */
export function check(declarations: Declarations, ast: Node): CelType {
  const checker = new Checker(declarations);
  const type = checker.type(ast);
  if (checker.issues.length > 0) throw new CelCompileError(checker.issues);
  return type;
}

/** In literals dyn is a type among others: nothing is guessed of what it holds. */
const bothGuessed = (a: CelType, b: CelType): boolean =>
  (a.kind === "dyn") === (b.kind === "dyn") || a.kind === "error" || b.kind === "error";

/** What an optional element is of; an absent one is of any type. */
const held = (type: CelType): CelType =>
  type.kind === "optional" && type.value.kind !== "dyn" ? type.value : { kind: "parameter", name: "E" };

class Checker {
  readonly issues: Issue[] = [];
  private readonly declarations: Declarations;
  constructor(declarations: Declarations) {
    this.declarations = declarations;
  }

  private wrong(message: string, at: number): CelType {
    this.issues.push({ message, at });
    return ERROR;
  }

  type(node: Node, scope: Scope = new Map()): CelType {
    switch (node.op) {
      case "literal":
        return literalType(node.value);
      case "name":
        return this.name(node.name, scope, node.at);
      case "select":
        return this.select(node, scope);
      case "has": {
        this.field(this.type(node.of, scope), node.field, node.at);
        return BOOL;
      }
      case "index":
        return this.index(node, scope);
      case "call":
        return this.call(node, scope);
      case "and":
      case "or":
        return this.resolve(node.op === "and" ? "_&&_" : "_||_", [node.left, node.right], [BOOL, BOOL], scope, node.at);
      case "choose":
        return this.choose(node, scope);
      case "list":
        return listOf(this.common(node.items, scope));
      case "map": {
        const keys = node.entries.map(({ key }) => ({ value: key, optional: false }));
        return mapOf(this.common(keys, scope), this.common(node.entries, scope));
      }
      case "struct":
        return this.struct(node, scope);
      case "loop":
        return this.loop(node, scope);
      case "bind":
        return this.type(node.body, new Map([...scope, [node.name, this.type(node.value, scope)]]));
      case "whenPresent": {
        const of = this.type(node.of, scope);
        const value = of.kind === "optional" ? of.value : DYN;
        if (of.kind !== "optional" && of.kind !== "dyn" && of.kind !== "error") {
          return this.wrong(`found no matching overload for 'optMap' applied to '${typeText(of)}'`, node.at);
        }
        const body = this.type(node.body, new Map([...scope, [node.name, value]]));
        return node.wraps ? optionalOf(body) : body;
      }
    }
  }

  private name(name: string, scope: Scope, at: number): CelType {
    const found = scope.get(name) ?? this.declarations.variable(name);
    if (found) return found;
    return NAMED_TYPES.get(name) ?? this.wrong(`undeclared reference to '${name}' (in container '')`, at);
  }

  private select(node: Extract<Node, { op: "select" }>, scope: Scope): CelType {
    const path = pathOf(node);
    if (path !== undefined && !scope.has(path.split(".")[0] ?? "")) {
      const qualified = NAMED_TYPES.get(path) ?? this.declarations.variable(path);
      if (qualified) return qualified;
    }
    const of = this.type(node.of, scope);
    if (of.kind === "optional") return optionalOf(this.field(of.value, node.field, node.at));
    const field = this.field(of, node.field, node.at);
    return node.optional ? optionalOf(field) : field;
  }

  private field(of: CelType, name: string, at: number): CelType {
    if (of.kind === "dyn" || of.kind === "error") return of;
    if (of.kind === "map") return of.value;
    if (of.kind === "optional") return this.field(of.value, name, at);
    if (of.kind === "object") {
      const field = Object.hasOwn(of.fields, name) ? of.fields[name] : undefined;
      if (field) return field;
      if (of.open) return DYN;
      return this.wrong(`undefined field '${name}'`, at);
    }
    return this.wrong(`type '${typeText(of)}' does not support field selection`, at);
  }

  private index(node: Extract<Node, { op: "index" }>, scope: Scope): CelType {
    const whole = this.type(node.of, scope);
    const key = this.type(node.key, scope);
    const of = whole.kind === "optional" ? whole.value : whole;
    const wrap = (type: CelType) => (node.optional || whole.kind === "optional" ? optionalOf(type) : type);
    if (of.kind === "error") return of;
    if (of.kind === "dyn") return wrap(DYN);
    const numeric =
      key.kind === "error" || key.kind === "int" || key.kind === "uint" || key.kind === "double" || key.kind === "dyn";
    if (of.kind === "list" && numeric) return wrap(of.element);
    if (of.kind === "map" && (assignable(of.key, key, new Map()) || numeric)) return wrap(of.value);
    return this.wrong(
      `found no matching overload for '_[_]' applied to '(${typeText(whole)}, ${typeText(key)})'`,
      node.at,
    );
  }

  private choose(node: Extract<Node, { op: "choose" }>, scope: Scope): CelType {
    const condition = this.type(node.condition, scope);
    const [yes, no] = [this.type(node.yes, scope), this.type(node.no, scope)];
    const type = ["bool", "dyn", "error"].includes(condition.kind) ? join(yes, no) : undefined;
    if (type) return type;
    const shown = [condition, yes, no].map(typeText).join(", ");
    return this.wrong(`found no matching overload for '_?_:_' applied to '(${shown})'`, node.at);
  }

  /** The one type of elements: literals of mixed types are refused, as upstream is set up. */
  private common(items: readonly { value: Node; optional: boolean }[], scope: Scope): CelType {
    let type: CelType | undefined;
    for (const { value, optional } of items) {
      const given = this.type(value, scope);
      const own = optional ? held(given) : given;
      const joined: CelType | undefined =
        type === undefined ? own : bothGuessed(type, own) ? join(type, own) : undefined;
      if (joined === undefined && type !== undefined)
        type = this.wrong(`expected type '${typeText(type)}' but found '${typeText(own)}'`, value.at);
      else type = joined;
    }
    return type ?? { kind: "parameter", name: "E" };
  }

  private struct(node: Extract<Node, { op: "struct" }>, scope: Scope): CelType {
    const type = this.declarations.struct(node.type);
    if (!type) return this.wrong(`undeclared reference to '${node.type}' (in container '')`, node.at);
    for (const { name, value, optional, at } of node.fields) {
      const actual = this.type(value, scope);
      const given = optional && actual.kind === "optional" ? actual.value : actual;
      const closed = type.kind === "object" && !type.open;
      const declared = closed && !Object.hasOwn(type.fields, name) ? undefined : this.field(type, name, at);
      if (declared && assignable(declared, given, new Map())) continue;
      const why = `is '${declared ? typeText(declared) : ""}' but provided type is '${typeText(given)}'`;
      this.wrong(`expected type of field '${name}' ${why}`, at);
    }
    return type;
  }

  private loop(node: Extract<Node, { op: "loop" }>, scope: Scope): CelType {
    const range = this.type(node.range, scope);
    const two = node.variables.length === 2;
    let types: [CelType, CelType];
    if (range.kind === "list") types = two ? [INT, range.element] : [range.element, range.element];
    else if (range.kind === "map") types = [range.key, range.value];
    else if (range.kind === "dyn") types = [DYN, DYN];
    else {
      const why = "of a comprehension (must be list, map, or dynamic)";
      if (range.kind !== "error")
        this.wrong(`expression of type '${typeText(range)}' cannot be range ${why}`, node.range.at);
      types = [ERROR, ERROR];
    }
    const inner = new Map(scope);
    for (const [i, name] of node.variables.entries()) inner.set(name, types[i] ?? DYN);
    const isBool = (part: Node) => {
      const type = this.type(part, inner);
      if (!["bool", "dyn", "error"].includes(type.kind))
        this.wrong(`expected type 'bool' but found '${typeText(type)}'`, part.at);
    };
    if (node.filter) isBool(node.filter);
    switch (node.macro) {
      case "all":
      case "exists":
      case "exists_one":
        isBool(node.body);
        return BOOL;
      case "filter":
        isBool(node.body);
        return listOf(range.kind === "map" ? range.key : range.kind === "list" ? range.element : DYN);
      case "map":
      case "transformList":
        return listOf(this.type(node.body, inner));
      case "sortBy":
        this.type(node.body, inner);
        return range.kind === "list" ? range : listOf(DYN);
      case "transformMap":
        return mapOf(types[0], this.type(node.body, inner));
      case "transformMapEntry": {
        const entry = this.type(node.body, inner);
        return entry.kind === "map" ? entry : mapOf(DYN, DYN);
      }
    }
  }

  private call(node: Extract<Node, { op: "call" }>, scope: Scope): CelType {
    const qualified = node.target ? pathOf(node.target) : undefined;
    // "ip.isCanonical(…)", "optional.of(…)": a namespace, not a value.
    if (node.target && qualified !== undefined && !scope.has(qualified) && !this.declarations.variable(qualified)) {
      const name = `${qualified}.${node.name}`;
      if (this.declarations.functions(name).length > 0) {
        node.name = name;
        delete node.target;
      }
    }
    const args = node.target ? [node.target, ...node.args] : node.args;
    const types = args.map((arg) => this.argument(node.name, arg, scope));
    const known = this.declarations.functions(node.name);
    if (known.length === 0) return this.wrong(`undeclared reference to '${node.name}' (in container '')`, node.at);
    const overloads = known.filter((f) => f.method === (node.target !== undefined));
    let result: CelType | undefined;
    const candidates: CelFunction[] = [];
    for (const overload of overloads) {
      if (overload.parameters.length !== types.length) continue;
      const bound = new Map<string, CelType>();
      if (!overload.parameters.every((p, i) => assignable(p, types[i] as CelType, bound))) continue;
      candidates.push(overload);
      const type = substitute(overload.result, bound);
      result = result === undefined ? type : typeText(result) === typeText(type) ? result : DYN;
    }
    if (result === undefined) return this.noOverload(node.name, node.target !== undefined, types, node.at);
    node.candidates = candidates;
    return result.kind === "type" ? { kind: "type", of: types[0] ?? DYN } : result;
  }

  /** What format() is given may be of any types. */
  private argument(name: string, arg: Node, scope: Scope): CelType {
    if (name !== "format" || arg.op !== "list") return this.type(arg, scope);
    for (const { value } of arg.items) this.type(value, scope);
    return listOf(DYN);
  }

  private resolve(name: string, nodes: Node[], wanted: CelType[], scope: Scope, at: number): CelType {
    const types = nodes.map((n) => this.type(n, scope));
    if (types.every((t, i) => assignable(wanted[i] as CelType, t, new Map()))) return BOOL;
    return this.noOverload(name, false, types, at);
  }

  private noOverload(name: string, isMethod: boolean, types: readonly CelType[], at: number): CelType {
    const [target, ...rest] = types.map(typeText);
    const applied = isMethod ? `${target}.(${rest.join(", ")})` : `(${types.map(typeText).join(", ")})`;
    return this.wrong(`found no matching overload for '${name}' applied to '${applied}'`, at);
  }
}
