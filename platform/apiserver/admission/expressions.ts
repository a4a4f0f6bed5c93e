/** What admission needs of the expression language (CEL): compile once, evaluate per request within a budget. */

import type { MatchCondition } from "#sdk/api/generated/types.ts";
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { forbidden } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";

/** What expressions may name. Absent values are null to them. */
export interface Variables {
  object: DynamicObject | undefined;
  oldObject: DynamicObject | undefined;
  request: JsonObject;
  params?: DynamicObject | undefined;
  namespaceObject?: DynamicObject | undefined;
  /** A policy's own variables, evaluated when first named. */
  variables?: ReadonlyMap<string, () => unknown>;
}

export interface Program {
  /** The value as JSON. Throws Error with the message of the language for what cannot be evaluated. */
  evaluate(variables: Variables, a: AdmissionAttributes): unknown;
}

export interface Expressions {
  /** Never throws: what does not compile says so when it is evaluated, as upstream does. */
  compile(source: string): Program;
}

export interface CompiledCondition {
  name: string;
  program: Program;
}

export const compileConditions = (
  conditions: readonly MatchCondition[] | undefined,
  e: Expressions,
): CompiledCondition[] => (conditions ?? []).map(({ name, expression }) => ({ name, program: e.compile(expression) }));

/** All conditions hold. One that is false decides; an error follows the failure policy: refused, or not matched. */
export function conditionsHold(
  conditions: readonly CompiledCondition[],
  variables: Variables,
  a: AdmissionAttributes,
  failurePolicy: string | undefined,
): boolean {
  const errors: string[] = [];
  for (const { program } of conditions) {
    try {
      if (program.evaluate(variables, a) === false) return false;
    } catch (error) {
      errors.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (errors.length === 0) return true;
  if (failurePolicy === "Ignore") return false;
  throw forbidden(a.resource, a.name, errors.length === 1 ? (errors[0] ?? "") : `[${errors.join(", ")}]`);
}
