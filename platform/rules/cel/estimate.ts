/**
 * What an expression can cost at most, before it has ever run: cel-go's checker/cost.go and Kubernetes' library/cost.go, of which only the upper bound
 * is asked for here. Sizes come from what a schema says of its values.
 */
import type { Node } from "./ast.ts";
import type { CelFunction } from "./functions/function.ts";

/** How large a value can get where it stands in the schema. */
export interface Sized {
  /** Characters, items or entries; 0 for what has no size. */
  max: number;
  /** Bytes that it takes in JSON at least. */
  least: number;
  item?: Sized;
  fields?: Readonly<Record<string, Sized>>;
}

/** What cannot be told, and what is beyond telling: the largest number that costs are counted in. */
const UNKNOWN = 2 ** 64;
const WALK = 0.1;
const PATTERN = 0.25;
const LIST_COST = 10;
const MAP_COST = 30;
const STRUCT_COST = 40;
const NAME_PATTERN_LENGTH = 128;
const ADDRESS_BYTES = 16;

interface Estimate {
  cost: number;
  /** Undefined: nothing is known. */
  size?: number;
  /** Of each item, where it isn't the schema's to say. */
  itemSize?: number;
  /** Where the value stands in the schema. */
  at?: Sized;
}
type Scope = ReadonlyMap<string, Omit<Estimate, "cost">>;

const bounded = (n: number): number => Math.min(UNKNOWN, n);
const walked = (size: number, factor = WALK): number => bounded(Math.ceil(size * factor));
const times = (a: number, b: number): number => (a === 0 || b === 0 ? 0 : bounded(a * b));
const sizeOf = ({ size }: Estimate): number => size ?? UNKNOWN;
const at = (sized: Sized | undefined): { at?: Sized; size?: number } => (sized ? { at: sized, size: sized.max } : {});
const sum = (parts: readonly Estimate[]): number => bounded(parts.reduce((total, { cost }) => total + cost, 0));
const largest = (sizes: readonly number[]): number => sizes.reduce((most, size) => Math.max(most, size), 0);

const SCALARS = new Set(["bool", "int", "uint", "double", "null", "timestamp", "duration"]);

class Estimator {
  readonly #variables: Readonly<Record<string, Sized>>;
  /** What stands nowhere in the schema is looked up as if it stood at its root, as in the original. */
  readonly #root: Sized | undefined;
  constructor(variables: Readonly<Record<string, Sized>>) {
    this.#variables = variables;
    this.#root = Object.values(variables)[0];
  }

  of(node: Node, scope: Scope): Estimate {
    switch (node.op) {
      case "literal":
        return { cost: 0, size: typeof node.value === "string" ? [...node.value].length : 1 };
      case "name":
        return { cost: 1, ...(scope.get(node.name) ?? at(this.#variables[node.name] ?? this.#root)) };
      case "select": {
        const of = this.of(node.of, scope);
        // What may be absent is the result of a function, of which nothing is known.
        if (node.optional) return { cost: bounded(of.cost + 1) };
        return { cost: bounded(of.cost + 1), ...at(of.at ? (of.at.fields?.[node.field] ?? of.at.item) : this.#root) };
      }
      case "has":
        return { cost: this.of(node.of, scope).cost, size: 1 };
      case "index": {
        const of = this.of(node.of, scope);
        const { cost } = this.of(node.key, scope);
        if (node.optional) return { cost: bounded(of.cost + cost + 1) };
        const size = of.itemSize === undefined ? {} : { size: of.itemSize };
        return { cost: bounded(of.cost + cost + 1), ...at(of.at ? of.at.item : this.#root), ...size };
      }
      case "and":
      case "or":
        return { cost: sum([this.of(node.left, scope), this.of(node.right, scope)]), size: 1 };
      case "choose": {
        const [yes, no] = [this.of(node.yes, scope), this.of(node.no, scope)];
        const cost = bounded(this.of(node.condition, scope).cost + Math.max(yes.cost, no.cost));
        return { cost, size: Math.max(sizeOf(yes), sizeOf(no)) };
      }
      case "list": {
        const items = node.items.map(({ value }) => this.of(value, scope));
        return { cost: bounded(sum(items) + LIST_COST), size: items.length, itemSize: largest(items.map(sizeOf)) };
      }
      case "map": {
        const parts = node.entries.flatMap(({ key, value }) => [this.of(key, scope), this.of(value, scope)]);
        return { cost: bounded(sum(parts) + MAP_COST), size: node.entries.length };
      }
      case "struct":
        return { cost: bounded(sum(node.fields.map(({ value }) => this.of(value, scope))) + STRUCT_COST) };
      case "bind": {
        const value = this.of(node.value, scope);
        const body = this.of(node.body, new Map([...scope, [node.name, value]]));
        return { ...body, cost: bounded(LIST_COST + value.cost + body.cost) };
      }
      case "whenPresent": {
        const of = this.of(node.of, scope);
        const body = this.of(node.body, new Map([...scope, [node.name, of]]));
        return { ...body, cost: bounded(2 * of.cost + LIST_COST + body.cost + 3) };
      }
      case "loop":
        return this.loop(node, scope);
      case "call":
        return this.call(node, scope);
    }
  }

  /** Macros are what they expand to: a start, a condition and a step for each item, and a result. */
  private loop(node: Extract<Node, { op: "loop" }>, scope: Scope): Estimate {
    const range = this.of(node.range, scope);
    const item = at(range.at ? range.at.item : this.#root);
    const inner = new Map(scope);
    const [first = "", second] = node.variables;
    inner.set(first, second === undefined ? item : {});
    if (second !== undefined) inner.set(second, item);
    const body = this.of(node.body, inner);
    const filter = node.filter ? this.of(node.filter, inner).cost : 0;
    const rounds = (start: number, each: number, result = 1): number =>
      bounded(range.cost + start + times(sizeOf(range), each) + result);
    const { size } = range;
    switch (node.macro) {
      case "all":
        return { cost: rounds(0, body.cost + 3), size: 1 };
      case "exists":
        return { cost: rounds(0, body.cost + 4), size: 1 };
      case "exists_one":
        return { cost: rounds(0, body.cost + 2, 2), size: 1 };
      case "filter":
        return {
          cost: rounds(LIST_COST, body.cost + LIST_COST + 3),
          ...(size === undefined ? {} : { size }),
          itemSize: item.size ?? UNKNOWN,
        };
      case "transformMap":
      case "transformMapEntry":
        return { cost: rounds(MAP_COST, body.cost + filter + MAP_COST + 2), ...(size === undefined ? {} : { size }) };
      default: {
        const sizes = size === undefined ? {} : { size };
        return { cost: rounds(LIST_COST, body.cost + filter + LIST_COST + 2), ...sizes, itemSize: sizeOf(body) };
      }
    }
  }

  private call(node: Extract<Node, { op: "call" }>, scope: Scope): Estimate {
    const args = node.args.map((arg) => this.of(arg, scope));
    const target = node.target && this.of(node.target, scope);
    const all = target ? [target, ...args] : args;
    const candidates = (node.candidates ?? []) as readonly CelFunction[];
    const { cost, size } = callEstimate(node, candidates, target, args);
    const isScalar = candidates.length > 0 && candidates.every(({ result }) => SCALARS.has(result.kind));
    const known = size ?? (isScalar ? 1 : undefined);
    const itemSize = args.find((arg) => arg.itemSize !== undefined)?.itemSize;
    return {
      cost: bounded(sum(all) + cost),
      ...(known === undefined ? {} : { size: known }),
      ...(node.name === "_+_" && itemSize !== undefined ? { itemSize } : {}),
    };
  }
}

const isText = (candidates: readonly CelFunction[]): boolean =>
  candidates.some(({ parameters: [first] }) => first?.kind === "string" || first?.kind === "bytes");

type Called = { cost: number; size?: number };

/** Of the call itself, without its arguments. */
function callEstimate(
  { name, args: nodes }: Extract<Node, { op: "call" }>,
  candidates: readonly CelFunction[],
  target: Estimate | undefined,
  args: readonly Estimate[],
): Called {
  const [a, b] = [args[0] && sizeOf(args[0]), args[1] && sizeOf(args[1])];
  const own = target && sizeOf(target);
  const first = own ?? a ?? UNKNOWN;
  switch (name) {
    case "_==_":
    case "_!=_":
      return candidates.every(({ parameters: [one] }) => one?.kind === "opaque" || one?.kind === "null")
        ? { cost: 1 }
        : { cost: walked(Math.min(a ?? UNKNOWN, b ?? UNKNOWN)) };
    case "_<_":
    case "_<=_":
    case "_>_":
    case "_>=_":
      return { cost: isText(candidates) ? walked(Math.min(a ?? UNKNOWN, b ?? UNKNOWN)) : 1 };
    case "_+_": {
      const size = bounded((a ?? UNKNOWN) + (b ?? UNKNOWN));
      const isList = candidates.some(({ parameters: [one] }) => one?.kind === "list");
      return isText(candidates) ? { cost: walked(size), size } : isList ? { cost: 1, size } : { cost: 1 };
    }
    case "@in":
      return { cost: candidates.some(({ parameters: [, range] }) => range?.kind === "list") ? (b ?? UNKNOWN) : 1 };
    case "matches":
      return { cost: times(walked(first + 1), walked((own === undefined ? b : a) ?? UNKNOWN, PATTERN)) };
    case "contains":
      return { cost: times(walked(first), walked(a ?? UNKNOWN)) };
    case "startsWith":
    case "endsWith":
      return { cost: walked(a ?? UNKNOWN) };
    case "bytes":
      return { cost: walked(first), size: bounded(first * 4) };
    case "find":
    case "findAll":
      return { cost: times(walked(first + 1), walked(a ?? UNKNOWN, PATTERN)), size: first };
    case "lowerAscii":
    case "upperAscii":
    case "substring":
    case "trim":
    case "url":
    case "jsonpatch.escapeKey":
      return { cost: walked(first), size: first };
    case "replace":
      // An empty text may stand between all characters.
      return { cost: walked(first, 2 * WALK), size: bounded(times(first + 1, b ?? UNKNOWN) + first) };
    case "split": {
      const limit = nodes[1]?.op === "literal" ? Number(nodes[1].value) : first;
      return { cost: walked(first, 2 * WALK), size: limit };
    }
    case "join": {
      const separators = times(a ?? 0, Math.max(0, first - 1));
      const size = bounded(times(first, target?.at?.item?.max ?? UNKNOWN) + separators);
      return { cost: walked(size), size };
    }
    case "isSorted":
    case "sum":
    case "max":
    case "min":
    case "indexOf":
    case "lastIndexOf": {
      const lists = candidates.flatMap(({ parameters: [one] }) => (one?.kind === "list" ? [one.element.kind] : []));
      const isWalked = lists.some((kind) => kind === "string" || kind === "bytes");
      const item = walked(target?.at?.item?.max ?? (isWalked ? UNKNOWN : 0));
      return { cost: lists.length > 0 ? times(first, 1 + item) : walked(first) };
    }
    case "cidr":
    case "isIP":
    case "isCIDR":
    case "quantity":
    case "isQuantity":
    case "semver":
    case "isSemver":
    case "format":
    case "quote":
      return { cost: walked(first) };
    case "ip":
      return { cost: candidates.some(({ method }) => method) ? 1 : walked(first) };
    case "ip.isCanonical":
      return { cost: walked(first, 2 * WALK) };
    case "containsIP":
    case "containsCIDR":
      return { cost: walked(2 * ADDRESS_BYTES) + walked(a ?? UNKNOWN) + walked(ADDRESS_BYTES) };
    case "validate":
      return { cost: walked(walked(a ?? UNKNOWN), NAME_PATTERN_LENGTH * PATTERN) };
    default:
      return { cost: 1 };
  }
}

/** `node` has been checked: its calls know which functions they may mean. */
export const estimatedCost = (node: Node, variables: Readonly<Record<string, Sized>>): number =>
  new Estimator(variables).of(node, new Map()).cost;
