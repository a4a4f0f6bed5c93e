/** Validation of job specs and their policies (pkg/apis/batch/validation). */
import type { JobSpec, PodFailurePolicyRule, SuccessPolicyRule } from "#sdk/api/generated/types.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required, tooMany } from "../../registry/causes.ts";
import { validatePodTemplate } from "../apps/workloads.ts";
import { nonNegative, oneOf } from "../checks.ts";
import { validateDomainPath } from "../networking/ingresses.ts";

const RESTART = ["Never", "OnFailure"];
const MODES = ["NonIndexed", "Indexed"];
const FAILURE_ACTIONS = ["Count", "FailIndex", "FailJob", "Ignore"];
const REPLACEMENTS = ["Failed", "TerminatingOrFailed"];
const RULES_MAX = 20;
const EXIT_CODES_MAX = 255;
const PATTERNS_MAX = 20;
const INDEXED = {
  parallelismMax: 100_000,
  maxFailedIndexesMax: 100_000,
  completionsSoftMax: 100_000,
  parallelismAboveMax: 10_000,
  maxFailedIndexesAboveMax: 10_000,
};
const COUNTS = [
  "parallelism",
  "completions",
  "activeDeadlineSeconds",
  "backoffLimit",
  "ttlSecondsAfterFinished",
  "backoffLimitPerIndex",
  "maxFailedIndexes",
] as const;

function validateIndexed(spec: JobSpec, path: string): Causes {
  const { completions, parallelism = 0, maxFailedIndexes: failed } = spec;
  const causes: Causes = [];
  const above = (field: string, value: number | undefined, max: number, detail = "") => {
    if (value !== undefined && value > max)
      causes.push(invalidValue(`${path}.${field}`, value, `must be less than or equal to ${max}${detail}`));
  };
  if (completions === undefined) causes.push(required(`${path}.completions`, "when completion mode is Indexed"));
  above("parallelism", parallelism, INDEXED.parallelismMax, " when completion mode is Indexed");
  if (completions !== undefined && failed !== undefined && failed > completions)
    causes.push(invalidValue(`${path}.maxFailedIndexes`, failed, "must be less than or equal to completions"));
  above("maxFailedIndexes", failed, INDEXED.maxFailedIndexesMax);
  if ((completions ?? 0) <= INDEXED.completionsSoftMax || spec.backoffLimitPerIndex === undefined) return causes;
  const detail = ` when completions are above ${INDEXED.completionsSoftMax} and used with backoff limit per index`;
  if (failed === undefined)
    causes.push(
      required(`${path}.maxFailedIndexes`, `must be specified when completions is above ${INDEXED.completionsSoftMax}`),
    );
  above("parallelism", parallelism, INDEXED.parallelismAboveMax, detail);
  above("maxFailedIndexes", failed, INDEXED.maxFailedIndexesAboveMax, detail);
  return causes;
}

function validateExitCodes(
  codes: NonNullable<PodFailurePolicyRule["onExitCodes"]>,
  at: string,
  names: readonly string[],
): Causes {
  const { operator = "", values = [], containerName } = codes;
  const causes = operator
    ? oneOf(operator, `${at}.operator`, ["In", "NotIn"])
    : [required(`${at}.operator`, 'valid values: ["In" "NotIn"]')];
  if (containerName !== undefined && !names.includes(containerName))
    causes.push(
      invalidValue(
        `${at}.containerName`,
        containerName,
        "must be one of the container or initContainer names in the pod template",
      ),
    );
  if (values.length === 0) causes.push(invalidValue(`${at}.values`, values, "at least one value is required"));
  if (values.length > EXIT_CODES_MAX) causes.push(tooMany(`${at}.values`, values.length, EXIT_CODES_MAX));
  for (const [i, value] of values.entries()) {
    if (operator === "In" && value === 0)
      causes.push(invalidValue(`${at}.values[${i}]`, value, "must not be 0 for the In operator"));
    if (values.indexOf(value) !== i)
      causes.push({ reason: "FieldValueDuplicate", message: `Duplicate value: ${value}`, field: `${at}.values[${i}]` });
    if (i > 0 && value < (values[i - 1] ?? value)) causes.push(invalidValue(`${at}.values`, values, "must be ordered"));
  }
  return causes;
}

function validateFailureRule(rule: PodFailurePolicyRule, at: string, spec: JobSpec, names: readonly string[]): Causes {
  const causes: Causes = [];
  if (!rule.action)
    causes.push(required(`${at}.action`, `valid values: [${FAILURE_ACTIONS.map((a) => `"${a}"`).join(" ")}]`));
  else if (rule.action === "FailIndex" && spec.backoffLimitPerIndex === undefined)
    causes.push(invalidValue(`${at}.action`, rule.action, "requires the backoffLimitPerIndex to be set"));
  else causes.push(...oneOf(rule.action, `${at}.action`, FAILURE_ACTIONS));
  if (rule.onExitCodes) causes.push(...validateExitCodes(rule.onExitCodes, `${at}.onExitCodes`, names));
  const patterns = rule.onPodConditions ?? [];
  if (patterns.length > PATTERNS_MAX) causes.push(tooMany(`${at}.onPodConditions`, patterns.length, PATTERNS_MAX));
  for (const [i, { type, status }] of patterns.entries()) {
    const of = `${at}.onPodConditions[${i}]`;
    if (!type) causes.push(...(type === undefined || type === "" ? [required(`${of}.type`)] : []));
    causes.push(
      ...(status
        ? oneOf(status, `${of}.status`, ["False", "True", "Unknown"])
        : [required(`${of}.status`, 'valid values: ["False" "True" "Unknown"]')]),
    );
  }
  if (rule.onExitCodes && patterns.length > 0)
    causes.push(invalidValue(at, rule, "specifying both OnExitCodes and OnPodConditions is not supported"));
  if (!rule.onExitCodes && patterns.length === 0)
    causes.push(invalidValue(at, rule, "specifying one of OnExitCodes and OnPodConditions is required"));
  return causes;
}

function validateFailurePolicy(spec: JobSpec, at: string): Causes {
  const rules = spec.podFailurePolicy?.rules ?? [];
  const { containers = [], initContainers = [] } = spec.template.spec ?? { containers: [] };
  const names = [...containers, ...initContainers].map((c) => c.name);
  return [
    ...(rules.length > RULES_MAX ? [tooMany(`${at}.rules`, rules.length, RULES_MAX)] : []),
    ...rules.flatMap((rule, i) => validateFailureRule(rule, `${at}.rules[${i}]`, spec, names)),
  ];
}

function validateSuccessRule(
  { succeededCount: count, succeededIndexes: indexes }: SuccessPolicyRule,
  at: string,
  completions: number,
): Causes {
  const causes: Causes = [];
  if (count === undefined && indexes === undefined)
    causes.push(required(at, "at least one of succeededCount or succeededIndexes must be specified"));
  if (indexes !== undefined && !/^(\d+(-\d+)?(,\d+(-\d+)?)*)?$/.test(indexes))
    causes.push(invalidValue(`${at}.succeededIndexes`, indexes, "error parsing succeededIndexes"));
  if (count === undefined) return causes;
  causes.push(...nonNegative(count, `${at}.succeededCount`));
  if (count > completions)
    causes.push(
      invalidValue(
        `${at}.succeededCount`,
        count,
        `must be less than or equal to ${completions} (the number of specified completions)`,
      ),
    );
  return causes;
}

function validateSuccessPolicy(spec: JobSpec, at: string): Causes {
  if (spec.completionMode !== "Indexed")
    return [invalidValue(at, spec.successPolicy, "requires indexed completion mode")];
  const rules = spec.successPolicy?.rules ?? [];
  if (rules.length === 0)
    return [required(`${at}.rules`, "at least one rules must be specified when the successPolicy is specified")];
  return [
    ...(rules.length > RULES_MAX ? [tooMany(`${at}.rules`, rules.length, RULES_MAX)] : []),
    ...rules.flatMap((rule, i) => validateSuccessRule(rule, `${at}.rules[${i}]`, spec.completions ?? 0)),
  ];
}

export function validateJobSpec(spec: JobSpec | undefined, path: string): Causes {
  if (!spec) return [];
  const causes = COUNTS.flatMap((field) => nonNegative(spec[field], `${path}.${field}`));
  const mode = spec.completionMode ?? "NonIndexed";
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
    causes.push(required(`${path}.backoffLimitPerIndex`, "when maxFailedIndexes is specified"));
  if (spec.managedBy !== undefined) causes.push(...validateDomainPath(spec.managedBy, `${path}.managedBy`));
  if (!MODES.includes(mode)) causes.push(notSupported(`${path}.completionMode`, mode, MODES));
  if (mode === "Indexed") causes.push(...validateIndexed(spec, path));
  if (mode === "NonIndexed")
    for (const field of ["backoffLimitPerIndex", "maxFailedIndexes"] as const)
      if (spec[field] !== undefined)
        causes.push(invalidValue(`${path}.${field}`, spec[field], "requires indexed completion mode"));
  if (spec.podFailurePolicy) causes.push(...validateFailurePolicy(spec, `${path}.podFailurePolicy`));
  if (spec.successPolicy) causes.push(...validateSuccessPolicy(spec, `${path}.successPolicy`));
  const replacement = spec.podReplacementPolicy;
  const allowed = spec.podFailurePolicy ? ["Failed"] : REPLACEMENTS;
  causes.push(...oneOf(replacement, `${path}.podReplacementPolicy`, allowed));
  if (spec.template) causes.push(...validatePodTemplate(spec.template, RESTART, `${path}.template`));
  const restart = spec.template?.spec?.restartPolicy;
  if (spec.podFailurePolicy && restart === "OnFailure")
    causes.push(
      invalidValue(
        `${path}.template.spec.restartPolicy`,
        restart,
        'only "Never" is supported when podFailurePolicy is specified',
      ),
    );
  return causes;
}

/** What a cron job's template may not have: the server chooses its selector. */
export function validateJobTemplate(spec: JobSpec | undefined, path: string): Causes {
  const causes = validateJobSpec(spec, path);
  if (spec?.manualSelector) causes.push(notSupported(`${path}.manualSelector`, spec.manualSelector, ["nil", "false"]));
  if (spec?.selector) causes.push(forbiddenField(`${path}.selector`, "`selector` will be auto-generated"));
  return causes;
}

/** Indexed jobs may be scaled: both numbers together. */
export const mayResize = (next: JobSpec, old: JobSpec): boolean =>
  next.completionMode === "Indexed" && next.completions === next.parallelism && old.completions !== undefined;
