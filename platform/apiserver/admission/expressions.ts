/**
 * Expressions in admission (CEL): compiled once per configuration, evaluated per request within one budget. Authorization checks that an expression
 * makes are asked for in between: the evaluation starts again with the answer, so that the language itself never waits.
 */
import {
  AUTHORIZER,
  CelEnvironment,
  CelError,
  type CelFunction,
  type Program as CelProgram,
  type CelType,
  DYN,
  fromJson,
  listOf,
  objectType,
  REQUEST_COST_MAX,
  RESOURCE_CHECK,
  STRING,
} from "#platform/rules/cel/index.ts";
import type { MatchCondition } from "#sdk/api/generated/types.ts";
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { forbidden } from "#sdk/api/status.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import {
  authorizerFunctions,
  authorizerValue,
  type Checks,
  requestResourceCheck,
  Undecided,
} from "./authorizer-library.ts";
import { NAMESPACE_OBJECT, REQUEST } from "./declared.ts";

/** What expressions may name. Absent values are null to them. */
export interface Variables {
  object: DynamicObject | undefined;
  oldObject: DynamicObject | undefined;
  request: JsonObject;
  params?: DynamicObject | undefined;
  namespaceObject?: DynamicObject | undefined;
}

export interface Dialect {
  params?: boolean;
  /** A policy's own variables. */
  variables?: boolean;
  /** Object{…} and JSONPatch{…}. */
  mutation?: boolean;
}

/** What is judged as it's written knows the types of more than what is run, and allows no guesses. */
export interface WrittenDialect extends Dialect {
  /** Of the policy's variables that come before, by name. */
  own?: Readonly<Record<string, CelType>>;
}

export type Compiled = { source: string; program: CelProgram } | { source: string; error: string };

export interface NamedExpression {
  name: string;
  compiled: Compiled;
}

const patchType = objectType("JSONPatch", { op: STRING, path: STRING, from: STRING, value: DYN });
const escapeKey: CelFunction = {
  name: "jsonpatch.escapeKey",
  method: false,
  parameters: [STRING],
  result: STRING,
  call: ([key]) => (key as string).replaceAll("~", "~0").replaceAll("/", "~1"),
};

function structOf(name: string): CelType | undefined {
  if (name === "JSONPatch") return patchType;
  return name === "Object" || name.startsWith("Object.") ? DYN : undefined;
}

const environments = new Map<string, CelEnvironment>();

const make = (
  { params, mutation }: Dialect,
  known: Readonly<Record<string, CelType>>,
  structs: (name: string) => CelType | undefined,
): CelEnvironment =>
  new CelEnvironment({
    variables: {
      object: DYN,
      oldObject: DYN,
      request: DYN,
      namespaceObject: DYN,
      authorizer: AUTHORIZER,
      "authorizer.requestResource": RESOURCE_CHECK,
      ...(params ? { params: DYN } : {}),
      ...known,
    },
    functions: mutation ? [...authorizerFunctions, escapeKey] : authorizerFunctions,
    ...(mutation ? { structs } : {}),
  });

function environment(dialect: Dialect): CelEnvironment {
  const key = [dialect.params, dialect.variables, dialect.mutation].map(Boolean).join();
  let made = environments.get(key);
  if (!made) {
    made = make(dialect, dialect.variables ? { variables: DYN } : {}, structOf);
    environments.set(key, made);
  }
  return made;
}

/** What does not compile says so when it is evaluated. */
export function compileExpression(
  source: string,
  dialect: Dialect = {},
  wanted: readonly CelType["kind"][] = [],
): Compiled {
  const result = environment(dialect).compile(source, wanted);
  return result.ok ? { source, program: result.program } : { source, error: result.error };
}

/** What patches are made of, as they're written: any field may be set. */
const patchOf = (name: string): CelType | undefined =>
  structOf(name) === DYN ? { kind: "object", name, fields: {}, open: true } : structOf(name);
export const APPLY_CONFIGURATION: CelType = objectType("Object", {});
export const JSON_PATCH: CelType = listOf(patchType);

/** As upstream judges an expression when its policy is written. */
export function checkWritten(
  source: string,
  { own, ...dialect }: WrittenDialect,
  wanted: readonly CelType[] = [],
): { type: CelType } | { error: string } {
  const variables: Record<string, CelType> = own ? { variables: objectType("kubernetes.variables", own) } : {};
  const known = { request: REQUEST, namespaceObject: NAMESPACE_OBJECT, ...variables };
  const result = make(dialect, known, patchOf).compileExactly(source, wanted);
  return result.ok ? { type: result.program.type } : { error: result.error };
}

export const compileConditions = (
  conditions: readonly MatchCondition[] | undefined,
  dialect: Dialect = {},
): NamedExpression[] =>
  (conditions ?? []).map(({ name, expression }) => ({
    name,
    compiled: compileExpression(expression, dialect, ["bool"]),
  }));

/** An expression could not be evaluated; the message is upstream's. */
export class ExpressionError extends Error {}

const CHECKS_MAX = 100;

/** The variables of a policy: evaluated when first named, once. */
class LazyVariables extends Map<string, unknown> {
  readonly #make: ReadonlyMap<string, () => unknown>;
  constructor(make: ReadonlyMap<string, () => unknown>) {
    super();
    this.#make = make;
  }
  override has(name: string): boolean {
    return this.#make.has(name);
  }
  override get(name: string): unknown {
    if (!super.has(name)) {
      const value = this.#make.get(name)?.();
      if (value !== undefined) super.set(name, value);
    }
    return super.get(name);
  }
}

/** All evaluations for one request and one configuration: they share variables, authorization answers and a budget. */
export class Evaluation {
  readonly #authorizer: Authorizer;
  readonly #checks: Checks;
  readonly #bindings: Record<string, unknown>;
  #left = REQUEST_COST_MAX;

  constructor(v: Variables, a: AdmissionAttributes, authorizer: Authorizer, own: readonly NamedExpression[] = []) {
    this.#authorizer = authorizer;
    this.#checks = { tenant: a.tenant, user: a.user, decisions: new Map() };
    const { object, oldObject, request, params, namespaceObject } = v;
    const values = { object, oldObject, request, params, namespaceObject };
    this.#bindings = Object.fromEntries(
      Object.entries(values).map(([name, json]) => [name, once(() => fromJson(json))]),
    );
    this.#bindings["authorizer"] = () => authorizerValue(this.#checks);
    this.#bindings["authorizer.requestResource"] = () => requestResourceCheck(this.#checks, a);
    const lazy = own.map(({ name, compiled }): [string, () => unknown] => [name, () => this.#run(compiled)]);
    this.#bindings["variables"] = new LazyVariables(new Map(lazy));
  }

  /** A CEL value. Throws ExpressionError. */
  async evaluate(compiled: Compiled): Promise<unknown> {
    for (let check = 0; ; check++) {
      try {
        return this.#run(compiled);
      } catch (error) {
        if (!(error instanceof Undecided) || check >= CHECKS_MAX) throw error;
        this.#checks.decisions.set(error.key, await this.#authorizer.authorize(error.attributes));
      }
    }
  }

  #run(compiled: Compiled): unknown {
    const { source } = compiled;
    if ("error" in compiled) throw new ExpressionError(`compilation error: compilation failed: ${compiled.error}`);
    try {
      const { value, cost } = compiled.program.evaluate(this.#bindings, this.#left);
      this.#left = Math.max(0, this.#left - cost);
      return value;
    } catch (error) {
      if (error instanceof Undecided || error instanceof ExpressionError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      if (error instanceof CelError) throw new ExpressionError(`expression '${source}' resulted in error: ${why}`);
      throw new ExpressionError(
        "validation failed due to running out of cost budget, no further validation rules will be run",
      );
    }
  }
}

function once(make: () => unknown): () => unknown {
  let made: { value: unknown } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** All conditions hold. One that is false decides; an error follows the failure policy: thrown, or not matched. */
export async function conditionsHold(
  conditions: readonly NamedExpression[],
  evaluation: Evaluation,
  failurePolicy: string | undefined,
): Promise<boolean> {
  const errors: string[] = [];
  for (const { compiled } of conditions) {
    try {
      if ((await evaluation.evaluate(compiled)) === false) return false;
    } catch (error) {
      errors.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (errors.length === 0) return true;
  if (failurePolicy === "Ignore") return false;
  throw new ExpressionError(errors.length === 1 ? (errors[0] ?? "") : `[${errors.join(", ")}]`);
}

/** As above, told to the API's user. */
export async function conditionsAllow(
  conditions: readonly NamedExpression[],
  evaluation: Evaluation,
  a: AdmissionAttributes,
  failurePolicy: string | undefined,
): Promise<boolean> {
  try {
    return await conditionsHold(conditions, evaluation, failurePolicy);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    throw forbidden(a.resource, a.name, error.message);
  }
}
