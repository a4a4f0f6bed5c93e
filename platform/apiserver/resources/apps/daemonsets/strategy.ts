/** DaemonSets. */
import type { DaemonSet, DaemonSetSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { same } from "../../checks.ts";
import { defaultTemplate, immutableField, nonNegative, validateTemplate } from "../workloads.ts";

const TEMPLATE_GENERATION = "deprecated.daemonset.template.generation";

function applyDefaults(set: DaemonSet): void {
  set.spec ??= {} as DaemonSetSpec;
  const { spec } = set;
  set.metadata.annotations = { [TEMPLATE_GENERATION]: "1", ...set.metadata.annotations };
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
  ...validateTemplate(spec?.template, spec?.selector, ["Always"], "daemonset"),
];

/** The template's own generation, which the first version of the API kept in an annotation. */
function countTemplate(next: DaemonSet, old: DaemonSet): void {
  const before = old.metadata.annotations?.[TEMPLATE_GENERATION] ?? "1";
  const changed = !same(next.spec?.template, old.spec?.template);
  const value = changed ? String(Number(before) + 1) : before;
  next.metadata.annotations = { ...next.metadata.annotations, [TEMPLATE_GENERATION]: value };
}

export const daemonSetStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults: (object) => applyDefaults(as<DaemonSet>(object)),
    prepareForUpdate: (next, old) => countTemplate(as<DaemonSet>(next), as<DaemonSet>(old)),
    validate: (object) => validate(as<DaemonSet>(object)),
    validateUpdate: (next, old) => [
      ...validate(as<DaemonSet>(next)),
      ...immutableField("spec.selector", as<DaemonSet>(next).spec?.selector, as<DaemonSet>(old).spec?.selector),
    ],
  });
