/**
 * Kubernetes' CEL environment: the one place where expressions of CRDs, admission policies and match conditions are compiled. Pure: no
 * expression can reach anything but its variables, and everything it does is counted against a limit.
 */
import type { Node } from "./ast.ts";
import { check, type Declarations } from "./checker.ts";
import { CelCompileError, CelError, describeIssues } from "./errors.ts";
import { addresses } from "./functions/addresses.ts";
import type { CelFunction } from "./functions/function.ts";
import { kubernetes } from "./functions/kubernetes.ts";
import { lists } from "./functions/lists.ts";
import { standard } from "./functions/standard.ts";
import { strings } from "./functions/strings.ts";
import { Run } from "./interpret.ts";
import { checkLiterals } from "./literals.ts";
import { parse } from "./parser.ts";
import { type CelType, substitute, typeText } from "./types.ts";

/** Cost that one evaluation may reach (upstream's PerCallLimit). */
export const CALL_COST_MAX = 1_000_000;
/** Cost that all evaluations of one request may reach together (upstream's RuntimeCELCostBudget). */
export const REQUEST_COST_MAX = 10_000_000;

export interface EnvironmentOptions {
  /** Names (qualified ones too, "a.b") and types of variables. */
  variables: Readonly<Record<string, CelType>>;
  /** Functions beside Kubernetes' libraries (the authorizer's). */
  functions?: readonly CelFunction[];
  /** Types that expressions may make by `Name{…}`. */
  structs?: (name: string) => CelType | undefined;
  /** The macro cel.bind, which upstream has in selectors of devices only. */
  binds?: boolean;
}

export interface Program {
  /** What it evaluates to. */
  readonly type: CelType;
  readonly ast: Node;
  /**
   * `bindings` are CEL values (see convert.ts), by name; a function is called for its value when the expression asks for it. Throws
   * CelError for what the expression did wrong and CelCostExceeded beyond `costLimit`; whatever bindings and functions throw besides
   * passes through.
   */
  evaluate(bindings: Readonly<Record<string, unknown>>, costLimit?: number): { value: unknown; cost: number };
}

export type Compiled =
  | { ok: true; program: Program }
  | { ok: false /** cel-go's text: ERROR: <input>:1:6: … */; error: string };

const libraries = new Map<string, CelFunction[]>();
for (const f of [...standard, ...strings, ...lists, ...addresses, ...kubernetes]) {
  libraries.set(f.name, [...(libraries.get(f.name) ?? []), f]);
}

export class CelEnvironment {
  private readonly variables: Readonly<Record<string, CelType>>;
  private readonly own: readonly CelFunction[];
  private readonly declarations: Declarations;
  private readonly binds: boolean;

  constructor({ variables, functions = [], structs, binds = false }: EnvironmentOptions) {
    this.variables = variables;
    this.own = functions;
    this.binds = binds;
    this.declarations = {
      variable: (name) => (Object.hasOwn(this.variables, name) ? this.variables[name] : undefined),
      functions: (name) => [...(libraries.get(name) ?? []), ...this.own.filter((f) => f.name === name)],
      struct: (name) => structs?.(name),
    };
  }

  /** `wanted`: kinds of result that the place allows ("bool", "string"); dyn passes. */
  compile(source: string, wanted: readonly CelType["kind"][] = []): Compiled {
    const compiled = this.#compile(source);
    if (!compiled.ok || wanted.length === 0) return compiled;
    const { kind } = compiled.program.type;
    return kind === "dyn" || wanted.includes(kind)
      ? compiled
      : { ok: false, error: `must evaluate to ${wanted.join(" or ")}` };
  }

  /** As above where only these types will do. */
  compileExactly(source: string, wanted: readonly CelType[]): Compiled {
    const compiled = this.#compile(source);
    if (!compiled.ok || wanted.length === 0) return compiled;
    const [got, texts] = [typeText(compiled.program.type), wanted.map(typeText)];
    if (texts.includes(got)) return compiled;
    const what = texts.length === 1 ? texts[0] : `one of [${texts.join(" ")}]`;
    return { ok: false, error: `must evaluate to ${what} but got ${got}` };
  }

  #compile(source: string): Compiled {
    try {
      const ast = parse(source, this.binds);
      const type = substitute(check(this.declarations, ast), new Map());
      checkLiterals(ast);
      return { ok: true, program: this.#program(ast, type) };
    } catch (error) {
      if (error instanceof CelCompileError) return { ok: false, error: describeIssues(source, error) };
      throw error;
    }
  }

  #program(ast: Node, type: CelType): Program {
    return {
      type,
      ast,
      evaluate(bindings, costLimit = CALL_COST_MAX) {
        const variables = {
          get(name: string): unknown {
            const value = Object.hasOwn(bindings, name) ? bindings[name] : undefined;
            return typeof value === "function" ? (value as () => unknown)() : value;
          },
        };
        const run = new Run(variables, costLimit);
        try {
          return { value: run.evaluate(ast, undefined), cost: run.cost };
        } catch (error) {
          if (error instanceof RangeError) throw new CelError("expression nested too deeply");
          throw error;
        }
      },
    };
  }
}

export { typeText };
