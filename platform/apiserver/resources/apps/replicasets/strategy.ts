/** ReplicaSets. */
import type { ReplicaSet, ReplicaSetSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { dropDisabled } from "../../core/pods/prepare.ts";
import { scaleAction } from "../../scale.ts";
import { defaultTemplate, fixedSelector, nonNegative, validateTemplate } from "../workloads.ts";

const validate = ({ spec }: ReplicaSet, old?: ReplicaSet) => [
  ...nonNegative(spec?.replicas, "spec.replicas"),
  ...nonNegative(spec?.minReadySeconds, "spec.minReadySeconds"),
  ...validateTemplate(spec?.template, spec?.selector, old?.spec?.template),
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
      const set = as<ReplicaSet>(object);
      set.status = { replicas: 0 };
      dropDisabled(set.spec?.template?.spec);
    },
    prepareForUpdate: (next, old) =>
      dropDisabled(as<ReplicaSet>(next).spec?.template?.spec, as<ReplicaSet>(old).spec?.template?.spec),
    validate: (object) => validate(as<ReplicaSet>(object)),
    validateUpdate: (next, old) => [
      ...validate(as<ReplicaSet>(next), as<ReplicaSet>(old)),
      ...fixedSelector(as<ReplicaSet>(next).spec?.selector, as<ReplicaSet>(old).spec?.selector),
    ],
    actions: { scale: scaleAction(facts) },
  });
