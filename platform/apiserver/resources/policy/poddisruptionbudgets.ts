/** PodDisruptionBudgets: how many of some pods may be away. */
import type { PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue } from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import { sorted } from "../../registry/meta.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { validateShare } from "../apps/workloads.ts";
import { as } from "../as.ts";
import { nonNegative, oneOf } from "../checks.ts";
import { validateConditions } from "../conditions.ts";

const EVICTION_POLICIES = ["AlwaysAllow", "IfHealthyBudget"];
const COUNTS = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] as const;

/** The spec as Go prints it; selectors have names of their own. */
const SPEC: readonly GoField[] = [
  { go: "MinAvailable", json: "minAvailable" },
  { go: "Selector", json: "selector" },
  { go: "MaxUnavailable", json: "maxUnavailable" },
  { go: "UnhealthyPodEvictionPolicy", json: "unhealthyPodEvictionPolicy" },
];

/** `anyValues`: the selector had values that no label can have before. */
function validate({ spec }: PodDisruptionBudget, anyValues = false): Causes {
  const { matchLabels, matchExpressions } = spec?.selector ?? {};
  // As Go prints it: a struct's fields in their order, a map's sorted.
  const selector = spec?.selector && { matchLabels: matchLabels && sorted(matchLabels), matchExpressions };
  const both = spec?.minAvailable !== undefined && spec.maxUnavailable !== undefined;
  return [
    ...(both
      ? [
          invalidValue(
            "spec",
            goValue({ ...spec, selector }, SPEC),
            "minAvailable and maxUnavailable cannot be both set",
          ),
        ]
      : []),
    ...validateShare(spec?.minAvailable, "spec.minAvailable", true),
    ...validateShare(spec?.maxUnavailable, "spec.maxUnavailable", true),
    ...validateLabelSelector(spec?.selector, "spec.selector", anyValues),
    ...oneOf(spec?.unhealthyPodEvictionPolicy, "spec.unhealthyPodEvictionPolicy", EVICTION_POLICIES),
  ];
}

export const podDisruptionBudgetStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowUnconditionalUpdate: false,
    validate: (object) => validate(as<PodDisruptionBudget>(object)),
    validateUpdate: (next, old) =>
      validate(
        as<PodDisruptionBudget>(next),
        validateLabelSelector(as<PodDisruptionBudget>(old).spec?.selector, "").length > 0,
      ),
    views: {
      status: {
        ...statusView,
        validateUpdate: (next) => [
          ...validateConditions(as<PodDisruptionBudget>(next).status?.conditions, "status.conditions"),
          ...COUNTS.flatMap((field) => nonNegative(as<PodDisruptionBudget>(next).status?.[field], `status.${field}`)),
        ],
      },
    },
  });
