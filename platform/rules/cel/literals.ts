/** Literals that can never be read as what they stand for are refused before anything is run, as Kubernetes sets cel-go up. */
import type { Node } from "./ast.ts";
import { CelCompileError, type Issue } from "./errors.ts";
import { matches } from "./patterns.ts";
import { parseDuration, parseTimestamp } from "./time.ts";

const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  duration: parseDuration,
  timestamp: parseTimestamp,
  matches: (pattern) => matches(pattern, ""),
};

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && "op" in value && "at" in value;

function unreadable(node: Node): Issue | undefined {
  if (node.op !== "call") return undefined;
  const read = READERS[node.name];
  const literal = node.args.at(-1);
  if (
    !read ||
    (node.name === "matches") !== (node.target !== undefined) ||
    literal?.op !== "literal" ||
    typeof literal.value !== "string"
  )
    return undefined;
  try {
    read(literal.value);
  } catch {
    return { message: `invalid ${node.name} argument`, at: literal.at };
  }
  return undefined;
}

function* within(value: unknown): Generator<Node> {
  if (Array.isArray(value)) for (const item of value) yield* within(item);
  else if (isNode(value)) {
    yield value;
    for (const [name, part] of Object.entries(value)) if (name !== "candidates") yield* within(part);
  } else if (typeof value === "object" && value !== null) {
    for (const part of Object.values(value)) if (typeof part === "object") yield* within(part);
  }
}

/** Throws CelCompileError. */
export function checkLiterals(ast: Node): void {
  const issues = [...within(ast)].map(unreadable).filter((issue) => issue !== undefined);
  if (issues.length > 0) throw new CelCompileError(issues);
}
