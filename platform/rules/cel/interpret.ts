/** Runs a checked expression, counting what it does. */
import type { Node } from "./ast.ts";
import { pathOf } from "./checker.ts";
import { CelCostExceeded, CelError } from "./errors.ts";
import type { CelFunction } from "./functions/function.ts";
import { NAMED_TYPES } from "./types.ts";
import { compare, fits, kindOf, mapKey, ObjectValue, Optional, TypeValue, typeNameOf } from "./values.ts";

export interface Variables {
  /** undefined: no such variable. */
  get(name: string): unknown;
}

interface Scope {
  name: string;
  value: unknown;
  up: Scope | undefined;
}

const LIST_COST = 10;
const MAP_COST = 30;
const STRUCT_COST = 40;

export class Run {
  cost = 0;
  private readonly limit: number;
  private readonly variables: Variables;

  constructor(variables: Variables, limit: number) {
    this.variables = variables;
    this.limit = limit;
  }

  private spend(cost: number): void {
    this.cost += cost;
    if (this.cost > this.limit) throw new CelCostExceeded();
  }

  evaluate(node: Node, scope: Scope | undefined): unknown {
    switch (node.op) {
      case "literal":
        return node.value;
      case "name":
        this.spend(1);
        return this.lookup(node.name, scope);
      case "select":
        return this.select(node, scope);
      case "has":
        return this.has(node, scope);
      case "index":
        return this.index(node, scope);
      case "call":
        return this.call(node, scope);
      case "and":
        return this.logical(node.left, node.right, false, scope);
      case "or":
        return this.logical(node.left, node.right, true, scope);
      case "choose":
        return this.evaluate(this.bool(node.condition, scope) ? node.yes : node.no, scope);
      case "list":
        return this.list(node, scope);
      case "map":
        return this.map(node, scope);
      case "struct": {
        this.spend(STRUCT_COST);
        const fields = new Map<string, unknown>();
        for (const f of node.fields) this.entry(fields, f.name, f.value, f.optional, scope);
        return new ObjectValue(node.type, fields);
      }
      case "loop":
        return this.loop(node, scope);
      case "bind":
        return this.evaluate(node.body, { name: node.name, value: this.evaluate(node.value, scope), up: scope });
      case "whenPresent": {
        const of = this.evaluate(node.of, scope);
        if (!(of instanceof Optional)) throw new CelError("no such overload");
        if (!of.present) return Optional.none;
        const result = this.evaluate(node.body, { name: node.name, value: of.value, up: scope });
        return node.wraps ? Optional.of(result) : result;
      }
    }
  }

  private lookup(name: string, scope: Scope | undefined): unknown {
    for (let at = scope; at; at = at.up) if (at.name === name) return at.value;
    const value = this.variables.get(name);
    if (value !== undefined) return value;
    if (NAMED_TYPES.has(name)) return new TypeValue(name);
    throw new CelError(`no such attribute(s): ${name}`);
  }

  private select(node: Extract<Node, { op: "select" }>, scope: Scope | undefined): unknown {
    this.spend(1);
    const path = pathOf(node);
    if (path !== undefined && !scope) {
      const qualified = this.variables.get(path);
      if (qualified !== undefined) return qualified;
    }
    if (path !== undefined && NAMED_TYPES.has(path)) return new TypeValue(path);
    const of = this.evaluate(node.of, scope);
    if (of instanceof Optional) {
      if (!of.present) return of;
      const found = fieldOf(of.value, node.field);
      return found === undefined ? Optional.none : Optional.of(found);
    }
    const found = fieldOf(of, node.field);
    if (node.optional) return found === undefined ? Optional.none : Optional.of(found);
    if (found === undefined) throw new CelError(`no such key: ${node.field}`);
    return found;
  }

  private has(node: Extract<Node, { op: "has" }>, scope: Scope | undefined): boolean {
    let of = this.evaluate(node.of, scope);
    if (of instanceof Optional) of = of.value;
    return of !== undefined && fieldOf(of, node.field) !== undefined;
  }

  private index(node: Extract<Node, { op: "index" }>, scope: Scope | undefined): unknown {
    this.spend(1);
    let of = this.evaluate(node.of, scope);
    const key = this.evaluate(node.key, scope);
    const optional = node.optional || of instanceof Optional;
    if (of instanceof Optional) {
      if (!of.present) return of;
      of = of.value;
    }
    const found = elementOf(of, key);
    if (optional) return found === undefined ? Optional.none : Optional.of(found);
    if (found !== undefined) return found;
    throw new CelError(Array.isArray(of) ? `index out of bounds: ${key}` : `no such key: ${key}`);
  }

  private bool(node: Node, scope: Scope | undefined): boolean {
    const value = this.evaluate(node, scope);
    if (typeof value !== "boolean") throw new CelError("no such overload");
    return value;
  }

  /** `decisive` is the value that decides whatever the other side is, even an error. */
  private logical(left: Node, right: Node, decisive: boolean, scope: Scope | undefined): boolean {
    let failure: unknown;
    try {
      if (this.bool(left, scope) === decisive) return decisive;
    } catch (error) {
      if (!(error instanceof CelError)) throw error;
      failure = error;
    }
    if (this.bool(right, scope) === decisive) return decisive;
    if (failure !== undefined) throw failure;
    return !decisive;
  }

  private call(node: Extract<Node, { op: "call" }>, scope: Scope | undefined): unknown {
    const args = node.args.map((arg) => this.evaluate(arg, scope));
    if (node.target) args.unshift(this.evaluate(node.target, scope));
    for (const overload of node.candidates as CelFunction[]) {
      if (!overload.parameters.every((p, i) => fits(p, args[i]))) continue;
      const result = overload.call(args);
      this.spend(overload.cost?.(args, result) ?? 1);
      return result;
    }
    throw new CelError("no such overload");
  }

  private list(node: Extract<Node, { op: "list" }>, scope: Scope | undefined): unknown[] {
    this.spend(LIST_COST);
    const out: unknown[] = [];
    for (const { value, optional } of node.items) {
      const item = this.evaluate(value, scope);
      if (!optional) out.push(item);
      else if (item instanceof Optional && item.present) out.push(item.value);
    }
    return out;
  }

  private map(node: Extract<Node, { op: "map" }>, scope: Scope | undefined): Map<unknown, unknown> {
    this.spend(MAP_COST);
    const out = new Map<unknown, unknown>();
    for (const { key, value, optional } of node.entries) {
      const k = mapKey(this.evaluate(key, scope));
      if (!["int", "string", "bool"].includes(kindOf(k))) throw new CelError(`unsupported key type: ${typeNameOf(k)}`);
      if (out.has(k)) throw new CelError(`Failed with repeated key: ${k}`);
      this.entry(out, k, value, optional, scope);
    }
    return out;
  }

  private entry<K>(out: Map<K, unknown>, key: K, node: Node, optional: boolean, scope: Scope | undefined): void {
    const value = this.evaluate(node, scope);
    if (!optional) out.set(key, value);
    else if (value instanceof Optional && value.present) out.set(key, value.value);
  }

  private loop(node: Extract<Node, { op: "loop" }>, scope: Scope | undefined): unknown {
    const range = this.evaluate(node.range, scope);
    const [first = "", second] = node.variables;
    const rounds = iterate(range, second !== undefined);
    const inner = ([a, b]: [unknown, unknown]): Scope => {
      this.spend(1);
      const one: Scope = { name: first, value: a, up: scope };
      return second === undefined ? one : { name: second, value: b, up: one };
    };
    const kept = (s: Scope) => !node.filter || this.bool(node.filter, s);
    switch (node.macro) {
      case "all":
      case "exists":
        return this.quantified(
          rounds.map((r) => () => this.bool(node.body, inner(r))),
          node.macro === "exists",
        );
      case "exists_one": {
        let count = 0;
        for (const r of rounds) if (this.bool(node.body, inner(r))) count++;
        return count === 1;
      }
      case "filter": {
        this.spend(LIST_COST);
        return rounds.filter((r) => this.bool(node.body, inner(r))).map(([a]) => a);
      }
      case "map":
      case "transformList": {
        this.spend(LIST_COST);
        const out: unknown[] = [];
        for (const r of rounds) {
          const s = inner(r);
          if (kept(s)) out.push(this.evaluate(node.body, s));
        }
        return out;
      }
      case "sortBy": {
        const keyed = rounds.map((r) => ({ value: r[0], key: this.evaluate(node.body, inner(r)) }));
        return keyed
          .sort((a, b) => {
            const order = compare(a.key, b.key);
            if (order === undefined) throw new CelError("list elements must be comparable");
            return order;
          })
          .map(({ value }) => value);
      }
      case "transformMap":
      case "transformMapEntry":
        return this.transformMap(node, rounds, inner, kept);
    }
  }

  private transformMap(
    node: Extract<Node, { op: "loop" }>,
    rounds: [unknown, unknown][],
    inner: (round: [unknown, unknown]) => Scope,
    kept: (scope: Scope) => boolean,
  ): Map<unknown, unknown> {
    this.spend(MAP_COST);
    const out = new Map<unknown, unknown>();
    for (const round of rounds) {
      const s = inner(round);
      if (!kept(s)) continue;
      const result = this.evaluate(node.body, s);
      if (node.macro === "transformMap") out.set(mapKey(round[0]), result);
      else if (result instanceof Map) {
        for (const [k, v] of result) {
          if (out.has(k)) throw new CelError(`insert failed: key ${k} already exists`);
          out.set(k, v);
        }
      } else throw new CelError("no such overload");
    }
    return out;
  }

  /** One decisive round is enough, whatever others failed on. */
  private quantified(rounds: (() => boolean)[], decisive: boolean): boolean {
    let failure: unknown;
    for (const round of rounds) {
      try {
        if (round() === decisive) return decisive;
      } catch (error) {
        if (!(error instanceof CelError)) throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    return !decisive;
  }
}

function iterate(range: unknown, two: boolean): [unknown, unknown][] {
  if (Array.isArray(range)) return range.map((value, i) => (two ? [BigInt(i), value] : [value, value]));
  if (range instanceof Map) return [...range];
  if (range instanceof ObjectValue) return [...range.fields];
  throw new CelError(`no such overload: ${typeNameOf(range)} is no range`);
}

function fieldOf(of: unknown, name: string): unknown {
  if (of instanceof ObjectValue) return of.fields.get(name);
  if (of instanceof Map) return of.get(name);
  throw new CelError("no such overload");
}

export function elementOf(of: unknown, key: unknown): unknown {
  if (Array.isArray(of)) {
    const i = mapKey(key);
    if (typeof i !== "bigint") throw new CelError(`unsupported index type '${typeNameOf(key)}' in list`);
    return i < 0n || i >= BigInt(of.length) ? undefined : of[Number(i)];
  }
  if (of instanceof Map) return of.get(mapKey(key));
  if (of instanceof ObjectValue && typeof key === "string") return of.fields.get(key);
  throw new CelError("no such overload");
}
