/** Rules of a CRD that could cost more than an object's validation may: refused when they are written (apiextensions' cost limits). */
import { RULE_COST_MAX, ruleCosts, SCHEMA_COST_MAX } from "#platform/rules/structural/cost.ts";
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { type Causes, forbiddenField } from "../registry/causes.ts";

const HINT =
  "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
const CONTRIBUTED = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
const TOLD_MAX = 4;

function tooMuch(what: string, cost: number, limit: number): string {
  const factor = cost / limit;
  const shown = factor > 100 ? "more than 100x" : factor < 1.5 ? `${factor.toFixed(6)}x` : `${factor.toFixed(1)}x`;
  return `${what} exceeds budget by factor of ${shown} ${HINT}`;
}

/** `path` ends in "openAPIV3Schema"; the schema is structural and its rules compile. */
export function validateCosts(schema: StructuralSchema, path: string): Causes {
  const all = ruleCosts(schema, path);
  const causes: Causes = all
    .filter(({ cost }) => cost > RULE_COST_MAX)
    .map(({ field, cost, what }) => forbiddenField(field, tooMuch(`estimated ${what} cost`, cost, RULE_COST_MAX)));
  const total = all.reduce((sum, { cost }) => sum + cost, 0);
  if (total <= SCHEMA_COST_MAX) return causes;
  // What contributes less than a hundredth is not worth naming.
  const heavy = all.filter(({ cost }) => cost >= SCHEMA_COST_MAX / 100);
  const most = heavy.sort((a, b) => b.cost - a.cost).slice(0, TOLD_MAX);
  const whole = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
  return [
    ...causes,
    ...most.map(({ field }) => forbiddenField(field, CONTRIBUTED)),
    forbiddenField(path, tooMuch(whole, total, SCHEMA_COST_MAX)),
  ];
}
