/** Macros that go over a list or a map: the standard library's, and those of two variables. */
import type { LoopMacro, Node } from "./ast.ts";

/** Number of variables and whether a filter may stand before the last argument, by macro and count of arguments. */
const LOOPS: Record<string, Record<number, { macro: LoopMacro; variables: 1 | 2; filter: boolean }>> = {
  all: { 2: { macro: "all", variables: 1, filter: false }, 3: { macro: "all", variables: 2, filter: false } },
  exists: { 2: { macro: "exists", variables: 1, filter: false }, 3: { macro: "exists", variables: 2, filter: false } },
  exists_one: {
    2: { macro: "exists_one", variables: 1, filter: false },
    3: { macro: "exists_one", variables: 2, filter: false },
  },
  existsOne: { 3: { macro: "exists_one", variables: 2, filter: false } },
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

/** The expansion of a macro called on `of`, or undefined for an ordinary method. `variable`: the name that an argument is. */
export function loopOf(
  of: Node,
  name: string,
  args: Node[],
  at: number,
  variable: (node: Node | undefined) => string,
): Node | undefined {
  const loop = Object.hasOwn(LOOPS, name) ? LOOPS[name]?.[args.length] : undefined;
  if (!loop) return undefined;
  const variables = args.slice(0, loop.variables).map(variable);
  const filter = loop.filter ? args.at(-2) : undefined;
  const body = args.at(-1) as Node;
  return { op: "loop", macro: loop.macro, range: of, variables, ...(filter ? { filter } : {}), body, at };
}
