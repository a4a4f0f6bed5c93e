/** Validation of job specs and their policies (pkg/apis/batch/validation). */
import type { JobSpec, PodFailurePolicyRule, PodTemplateSpec, SuccessPolicyRule } from "#sdk/api/generated/types.ts";
import { isQualifiedName } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  invalidOmitted,
  invalidValue,
  notSupportedInOrder,
  required,
  tooLongValue,
  tooMany,
} from "../../registry/causes.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import { shownSelector, validatePodTemplate } from "../apps/workloads.ts";
import { each, nonNegative, oneOf } from "../checks.ts";
import { validateDomainPath } from "../networking/ingresses.ts";

const RESTART = ["OnFailure", "Never"];
const INDEXES_BYTES_MAX = 64 * 1024;
const MANAGER_BYTES_MAX = 63;
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
  const { operator = "", containerName } = codes;
  const values = codes.values ?? [];
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
  if (values.length === 0)
    causes.push(invalidValue(`${at}.values`, codes.values ?? null, "at least one value is required"));
  if (values.length > EXIT_CODES_MAX) causes.push(tooMany(`${at}.values`, values.length, EXIT_CODES_MAX));
  for (const [i, value] of values.entries()) {
    if (operator === "In" && value === 0)
      causes.push(invalidValue(`${at}.values[${i}]`, value, "must not be 0 for the In operator"));
    if (values.indexOf(value) !== i) causes.push(duplicate(`${at}.values[${i}]`, value));
  }
  if (values.some((value, i) => i > 0 && value < (values[i - 1] ?? value)))
    causes.push(invalidValue(`${at}.values`, values, "must be ordered"));
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
  for (const [i, { type = "", status }] of patterns.entries()) {
    const of = `${at}.onPodConditions[${i}]`;
    causes.push(
      ...each(isQualifiedName(type), `${of}.type`, type),
      ...(status
        ? oneOf(status, `${of}.status`, ["False", "True", "Unknown"])
        : [required(`${of}.status`, 'valid values: ["False" "True" "Unknown"]')]),
    );
  }
  if (rule.onExitCodes && patterns.length > 0)
    causes.push(invalidOmitted(at, "specifying both OnExitCodes and OnPodConditions is not supported"));
  if (!rule.onExitCodes && patterns.length === 0)
    causes.push(invalidOmitted(at, "specifying one of OnExitCodes and OnPodConditions is required"));
  return causes;
}

function validateFailurePolicy(spec: JobSpec, at: string): Causes {
  const rules = spec.podFailurePolicy?.rules ?? [];
  const { containers, initContainers = [] } = spec.template?.spec ?? {};
  const names = [...(containers ?? []), ...initContainers].map((c) => c.name);
  return [
    ...(rules.length > RULES_MAX ? [tooMany(`${at}.rules`, rules.length, RULES_MAX)] : []),
    ...rules.flatMap((rule, i) => validateFailureRule(rule, `${at}.rules[${i}]`, spec, names)),
  ];
}

/** The last index of an interval and the first, or what is wrong with it. */
function interval(text: string, completions: number): [number, number] | string {
  const limits = text.split("-");
  if (limits.length > 2)
    return `the fragment ${JSON.stringify(text)} violates the requirement that an index interval can have at most two parts separated by '-'`;
  const numbers: number[] = [];
  for (const limit of limits) {
    if (!/^[+-]?\d+$/.test(limit)) return `cannot convert string to integer for index: ${JSON.stringify(limit)}`;
    if (Number(limit) >= completions) return `too large index: ${JSON.stringify(limit)}`;
    numbers.push(Number(limit));
  }
  const [first = 0, last = first] = numbers;
  if (numbers.length === 2 && first >= last) return `non-increasing order, previous: ${first}, current: ${last}`;
  return [first, last];
}

/** How many indexes "1,3-5" names, or what is wrong with it. */
function countIndexes(text: string, completions: number): number | string {
  if (text === "") return 0;
  let total = 0;
  let before: number | undefined;
  for (const part of text.split(",")) {
    const found = interval(part, completions);
    if (typeof found === "string") return found;
    const [first, last] = found;
    if (before !== undefined && before >= first) return `non-increasing order, previous: ${before}, current: ${first}`;
    total += last - first + 1;
    before = last;
  }
  return total;
}

function validateSuccessRule(rule: SuccessPolicyRule, at: string, completions: number): Causes {
  const { succeededCount: count, succeededIndexes: indexes } = rule;
  const causes: Causes = [];
  if (count === undefined && indexes === undefined)
    causes.push(required(at, "at least one of succeededCount or succeededIndexes must be specified"));
  const field = `${at}.succeededIndexes`;
  const found = indexes === undefined ? 0 : countIndexes(indexes, completions);
  if (indexes !== undefined && Buffer.byteLength(indexes) > INDEXES_BYTES_MAX)
    causes.push(tooLongValue(field, INDEXES_BYTES_MAX));
  if (typeof found === "string") causes.push(invalidValue(field, indexes, `error parsing succeededIndexes: ${found}`));
  if (count === undefined) return causes;
  const countField = `${at}.succeededCount`;
  causes.push(...nonNegative(count, countField));
  const atMost = (most: number, what: string) => {
    if (count > most) causes.push(invalidValue(countField, count, `must be less than or equal to ${most} (${what})`));
  };
  atMost(completions, "the number of specified completions");
  if (indexes !== undefined)
    atMost(typeof found === "string" ? 0 : found, "the number of indexes in the specified succeededIndexes field");
  return causes;
}

/** The policy as Go prints it. */
export const SUCCESS_POLICY: readonly GoField[] = [
  {
    go: "Rules",
    json: "rules",
    of: [
      { go: "SucceededIndexes", json: "succeededIndexes" },
      { go: "SucceededCount", json: "succeededCount" },
    ],
  },
];

function validateSuccessPolicy(spec: JobSpec, at: string): Causes {
  if (spec.completionMode !== "Indexed")
    return [invalidValue(at, goValue(spec.successPolicy, SUCCESS_POLICY), "requires indexed completion mode")];
  const rules = spec.successPolicy?.rules ?? [];
  if (rules.length === 0)
    return [required(`${at}.rules`, "at least one rules must be specified when the successPolicy is specified")];
  return [
    ...(rules.length > RULES_MAX ? [tooMany(`${at}.rules`, rules.length, RULES_MAX)] : []),
    ...rules.flatMap((rule, i) => validateSuccessRule(rule, `${at}.rules[${i}]`, spec.completions ?? 0)),
  ];
}

function validateManager(manager: string, field: string): Causes {
  const causes = validateDomainPath(manager, field);
  return Buffer.byteLength(manager) > MANAGER_BYTES_MAX ? [...causes, tooLongValue(field, MANAGER_BYTES_MAX)] : causes;
}

function validateRestart(spec: JobSpec, field: string): Causes {
  const policy = spec.template?.spec?.restartPolicy ?? "";
  // Always is what stands where nothing was chosen: a job has to choose.
  if (policy === "" || policy === "Always") return [required(field, 'valid values: "OnFailure", "Never"')];
  if (!RESTART.includes(policy)) return [notSupportedInOrder(field, policy, RESTART)];
  return spec.podFailurePolicy && policy !== "Never"
    ? [invalidValue(field, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    : [];
}

/** `old` is the template before a change. */
export function validateJobSpec(spec: JobSpec | undefined, path: string, old?: PodTemplateSpec): Causes {
  if (!spec) return [];
  const causes = COUNTS.flatMap((field) => nonNegative(spec[field], `${path}.${field}`));
  const mode = spec.completionMode;
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
    causes.push(required(`${path}.backoffLimitPerIndex`, "when maxFailedIndexes is specified"));
  if (spec.managedBy !== undefined) causes.push(...validateManager(spec.managedBy, `${path}.managedBy`));
  if (mode !== undefined && !MODES.includes(mode))
    causes.push(notSupportedInOrder(`${path}.completionMode`, mode, MODES));
  if (mode === "Indexed") causes.push(...validateIndexed(spec, path));
  if (mode === undefined || mode === "NonIndexed")
    for (const field of ["backoffLimitPerIndex", "maxFailedIndexes"] as const)
      if (spec[field] !== undefined)
        causes.push(invalidValue(`${path}.${field}`, spec[field], "requires indexed completion mode"));
  if (spec.podFailurePolicy) causes.push(...validateFailurePolicy(spec, `${path}.podFailurePolicy`));
  if (spec.successPolicy) causes.push(...validateSuccessPolicy(spec, `${path}.successPolicy`));
  const allowed = spec.podFailurePolicy ? ["Failed"] : REPLACEMENTS;
  return [
    ...causes,
    ...oneOf(spec.podReplacementPolicy, `${path}.podReplacementPolicy`, allowed),
    ...validatePodTemplate(spec.template ?? {}, `${path}.template`, old),
    ...validateRestart(spec, `${path}.template.spec.restartPolicy`),
  ];
}

/** What a cron job's template may not have: the server chooses its selector. */
export function validateJobTemplate(spec: JobSpec | undefined, path: string, old?: PodTemplateSpec): Causes {
  // Absent it is empty in Go, and told of all that it lacks.
  const causes = validateJobSpec(spec ?? { template: {} }, path, old);
  if (spec?.manualSelector) causes.push(notSupportedInOrder(`${path}.manualSelector`, true, ["nil", "false"]));
  if (spec?.selector)
    causes.push(invalidValue(`${path}.selector`, shownSelector(spec.selector), "`selector` will be auto-generated"));
  return causes;
}
