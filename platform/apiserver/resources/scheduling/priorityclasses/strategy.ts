/** PriorityClasses. */
import type { PriorityClass } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, notSupportedInOrder, required } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";

/** What users may set; above it are the system's own two classes. */
export const USER_PRIORITY_MAX = 1_000_000_000;
const SYSTEM: Record<string, number> = {
  "system-cluster-critical": 2_000_000_000,
  "system-node-critical": 2_000_001_000,
};
const POLICIES = ["PreemptLowerPriority", "Never"];

function validate(priority: PriorityClass): Causes {
  const { name = "" } = priority.metadata;
  const causes: Causes = [];
  if (name.startsWith("system-")) {
    if (SYSTEM[name] !== priority.value) {
      causes.push(
        forbiddenField(
          "metadata.name",
          "priority class names with 'system-' prefix are reserved for system use only. error: " +
            `${name} is not a known system priority class`,
        ),
      );
    }
  } else if ((priority.value ?? 0) > USER_PRIORITY_MAX) {
    causes.push(forbiddenField("value", `maximum allowed value of a user defined priority is ${USER_PRIORITY_MAX}`));
  }
  const policy = priority.preemptionPolicy;
  if (policy === "") causes.push(required("preemptionPolicy"));
  else if (policy !== undefined && !POLICIES.includes(policy))
    causes.push(notSupportedInOrder("preemptionPolicy", policy, POLICIES));
  return causes;
}

export const priorityClassStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    // It is created with a generation, which never changes.
    generation: false,
    prepareForCreate(object) {
      object.metadata.generation = 1;
    },
    applyDefaults(object) {
      as<PriorityClass>(object).preemptionPolicy ??= "PreemptLowerPriority";
    },
    validate: (object) => validate(as<PriorityClass>(object)),
    validateUpdate(next, old) {
      const [after, before] = [as<PriorityClass>(next), as<PriorityClass>(old)];
      const causes: Causes = [];
      if (after.value !== before.value) causes.push(forbiddenField("value", "may not be changed in an update."));
      if (after.preemptionPolicy !== before.preemptionPolicy)
        causes.push(invalidValue("preemptionPolicy", after.preemptionPolicy, "field is immutable"));
      return causes;
    },
  });
