/** DaemonSets. */
import type { DaemonSet, DaemonSetSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { defaultTemplate, immutableField, nonNegative, validateTemplate } from "../workloads.ts";

function applyDefaults(set: DaemonSet): void {
  set.spec ??= {} as DaemonSetSpec;
  const { spec } = set;
  set.metadata.annotations = { "deprecated.daemonset.template.generation": "1", ...set.metadata.annotations };
  spec.updateStrategy ??= {};
  spec.updateStrategy.type ||= "RollingUpdate";
  if (spec.updateStrategy.type === "RollingUpdate") {
    spec.updateStrategy.rollingUpdate ??= {};
    spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
    spec.updateStrategy.rollingUpdate.maxSurge ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
  defaultTemplate(spec);
}

const validate = ({ spec }: DaemonSet) => [
  ...nonNegative(spec?.minReadySeconds, "spec.minReadySeconds"),
  ...nonNegative(spec?.revisionHistoryLimit, "spec.revisionHistoryLimit"),
  ...validateTemplate(spec?.template, spec?.selector, ["Always"]),
];

export const daemonSetStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults: (object) => applyDefaults(as<DaemonSet>(object)),
    validate: (object) => validate(as<DaemonSet>(object)),
    validateUpdate: (next, old) => [
      ...immutableField("spec.selector", as<DaemonSet>(next).spec?.selector, as<DaemonSet>(old).spec?.selector),
      ...validate(as<DaemonSet>(next)),
    ],
  });
