/** ResourceQuotas. What they allow is kept by admission and the store's ledgers. */
import type { ResourceQuota, ResourceQuotaSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, required } from "../../../registry/causes.ts";
import { genericStrategy, statusView } from "../../../registry/generic.ts";
import { type GoField, goValue } from "../../../registry/go-names.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { same } from "../../checks.ts";
import { COMPUTE, isQuotaName, validateAmount, validateResourceName } from "../../resourceNames.ts";

const EXISTENCE_SCOPES = ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity"];
const SCOPES = new Set([...EXISTENCE_SCOPES, "PriorityClass", "VolumeAttributesClass"]);
const EXCLUSIVE = [
  ["BestEffort", "NotBestEffort"],
  ["Terminating", "NotTerminating"],
] as const;
const ONLY_EXISTS =
  "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";

type Amounts = Record<string, string | number> | undefined;

function fitsScope(scope: string, name: string): boolean {
  if (scope === "BestEffort") return name === "pods";
  if (scope === "VolumeAttributesClass") return name === "persistentvolumeclaims" || name === "requests.storage";
  return !SCOPES.has(scope) || name === "pods" || COMPUTE.includes(name);
}

function validateAmounts(amounts: Amounts, at: string): Causes {
  return Object.entries(amounts ?? {}).flatMap(([name, amount]) => {
    const field = `${at}[${name}]`;
    const unfit = !name.includes("/") && !isQuotaName(name);
    return [
      ...validateResourceName(name, field),
      ...(unfit ? [invalidValue(field, name, "must be a standard resource for quota")] : []),
      ...validateAmount(name, amount, field),
    ];
  });
}

/** The selector as Go prints it. */
const SELECTOR: readonly GoField[] = [
  {
    go: "MatchExpressions",
    json: "matchExpressions",
    of: [
      { go: "ScopeName", json: "scopeName", zero: "" },
      { go: "Operator", json: "operator", zero: "" },
      { go: "Values", json: "values" },
    ],
  },
];

function validateScope(spec: ResourceQuotaSpec, scope: string, field: string, value: unknown): Causes {
  return Object.keys(spec.hard ?? {})
    .filter((name) => isQuotaName(name) && !fitsScope(scope, name))
    .map(() => invalidValue(field, value, "unsupported scope applied to resource"));
}

const conflicts = (scopes: readonly string[], field: string, value: unknown): Causes =>
  EXCLUSIVE.filter((pair) => pair.every((s) => scopes.includes(s))).map(() =>
    invalidValue(field, value, "conflicting scopes"),
  );

function validateScopes(spec: ResourceQuotaSpec): Causes {
  const scopes = spec.scopes ?? [];
  const field = "spec.scopes";
  return [
    ...scopes.flatMap((scope) => [
      ...(SCOPES.has(scope) ? [] : [invalidValue(field, scopes, "unsupported scope")]),
      ...validateScope(spec, scope, field, scopes),
    ]),
    ...conflicts(scopes, field, scopes),
  ];
}

function validateSelector(spec: ResourceQuotaSpec): Causes {
  const expressions = spec.scopeSelector?.matchExpressions ?? [];
  const at = "spec.scopeSelector.matchExpressions";
  const causes = expressions.flatMap(({ scopeName = "", operator = "", values = [] }): Causes => {
    const of: Causes = SCOPES.has(scopeName) ? [] : [invalidValue(`${at}.scopeName`, scopeName, "unsupported scope")];
    of.push(...validateScope(spec, scopeName, at, goValue(spec.scopeSelector, SELECTOR)));
    if (EXISTENCE_SCOPES.includes(scopeName) && operator !== "Exists")
      of.push(invalidValue(`${at}.operator`, operator, ONLY_EXISTS));
    if (operator === "In" || operator === "NotIn") {
      if (values.length === 0)
        of.push(
          required(`${at}.values`, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"),
        );
    } else if (operator === "Exists" || operator === "DoesNotExist") {
      if (values.length > 0)
        of.push(
          invalidValue(
            `${at}.values`,
            values,
            "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
          ),
        );
    } else of.push(invalidValue(`${at}.operator`, operator, "not a valid selector operator"));
    return of;
  });
  const names = expressions.map((e) => e.scopeName ?? "");
  return [...causes, ...conflicts(names, at, spec.scopes ?? null)];
}

const validate = (spec: ResourceQuotaSpec = {}): Causes => [
  ...validateAmounts(spec.hard as Amounts, "spec.hard"),
  ...validateScopes(spec),
  ...validateSelector(spec),
];

export const resourceQuotaStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    returnsDeletedObject: true,
    validate: (object) => validate(as<ResourceQuota>(object).spec),
    validateUpdate(next, old) {
      const [after, before] = [as<ResourceQuota>(next).spec, as<ResourceQuota>(old).spec];
      const set = (scopes: readonly string[] | undefined) => [...new Set(scopes)].sort();
      const fixed = same(set(after?.scopes), set(before?.scopes))
        ? []
        : [invalidValue("spec.scopes", after?.scopes ?? null, "field is immutable")];
      return [...validate(after), ...fixed];
    },
    views: {
      status: {
        ...statusView,
        validateUpdate: (next) => {
          const { status } = as<ResourceQuota>(next);
          return [
            ...validateAmounts(status?.hard as Amounts, "status.hard"),
            ...validateAmounts(status?.used as Amounts, "status.used"),
          ];
        },
      },
    },
  });
