/** PodDisruptionBudgets: how many of some pods may be away. */
import type { PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue } from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { validateShare } from "../apps/workloads.ts";
import { as } from "../as.ts";
import { nonNegative, oneOf } from "../checks.ts";
import { validateConditions } from "../conditions.ts";

const EVICTION_POLICIES = ["AlwaysAllow", "IfHealthyBudget"];
const COUNTS = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] as const;

function validate({ spec }: PodDisruptionBudget): Causes {
  const both = spec?.minAvailable !== undefined && spec.maxUnavailable !== undefined;
  return [
    ...(both ? [invalidValue("spec", spec, "minAvailable and maxUnavailable cannot be both set")] : []),
    ...validateShare(spec?.minAvailable, "spec.minAvailable", true),
    ...validateShare(spec?.maxUnavailable, "spec.maxUnavailable", true),
    ...validateLabelSelector(spec?.selector, "spec.selector"),
    ...oneOf(spec?.unhealthyPodEvictionPolicy, "spec.unhealthyPodEvictionPolicy", EVICTION_POLICIES),
  ];
}

export const podDisruptionBudgetStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowUnconditionalUpdate: false,
    validate: (object) => validate(as<PodDisruptionBudget>(object)),
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
