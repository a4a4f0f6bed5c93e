/** ReplicaSets. */
import type { ReplicaSet, ReplicaSetSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { scaleAction } from "../../scale.ts";
import { defaultTemplate, immutableField, nonNegative, validateTemplate } from "../workloads.ts";

const validate = ({ spec }: ReplicaSet) => [
  ...nonNegative(spec?.replicas, "spec.replicas"),
  ...nonNegative(spec?.minReadySeconds, "spec.minReadySeconds"),
  ...validateTemplate(spec?.template, spec?.selector, ["Always"]),
];

export const replicaSetStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults(object) {
      const set = as<ReplicaSet>(object);
      set.spec ??= {} as ReplicaSetSpec;
      const { spec } = set;
      spec.replicas ??= 1;
      defaultTemplate(spec);
    },
    prepareForCreate(object) {
      as<ReplicaSet>(object).status = { replicas: 0 };
    },
    validate: (object) => validate(as<ReplicaSet>(object)),
    validateUpdate: (next, old) => [
      ...validate(as<ReplicaSet>(next)),
      ...immutableField("spec.selector", as<ReplicaSet>(next).spec?.selector, as<ReplicaSet>(old).spec?.selector),
    ],
    actions: { scale: scaleAction(facts) },
  });
