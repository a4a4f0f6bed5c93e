/** DaemonSets. */
import type { DaemonSet, DaemonSetSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, notSupportedInOrder, required } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import { goValue } from "../../../registry/go-names.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { same } from "../../checks.ts";
import { dropDisabled } from "../../core/pods/prepare.ts";
import {
  defaultTemplate,
  fixedSelector,
  nonNegative,
  ROLLING_STRATEGY,
  shareValue,
  validateForever,
  validatePodTemplate,
  validateSelector,
  validateShare,
} from "../workloads.ts";

const TEMPLATE_GENERATION = "deprecated.daemonset.template.generation";

function applyDefaults(set: DaemonSet): void {
  set.spec ??= {} as DaemonSetSpec;
  const { spec } = set;
  set.metadata.annotations = { [TEMPLATE_GENERATION]: "0", ...set.metadata.annotations };
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

function validateStrategy({ updateStrategy = {} }: DaemonSetSpec): Causes {
  const { type, rollingUpdate } = updateStrategy;
  const at = "spec.updateStrategy";
  if (type === "OnDelete") return [];
  if (type !== "RollingUpdate")
    return [notSupportedInOrder(at, goValue(updateStrategy, ROLLING_STRATEGY), ["RollingUpdate", "OnDelete"])];
  const { maxUnavailable, maxSurge } = rollingUpdate ?? {};
  const field = `${at}.rollingUpdate`;
  const causes = [
    ...validateShare(maxUnavailable, `${field}.maxUnavailable`, true),
    ...validateShare(maxSurge, `${field}.maxSurge`, true),
  ];
  const [unavailable, surge] = [shareValue(maxUnavailable) !== 0, shareValue(maxSurge) !== 0];
  if (unavailable && surge)
    causes.push(invalidValue(`${field}.maxSurge`, maxSurge, "may not be set when maxUnavailable is non-zero"));
  if (!unavailable && !surge) causes.push(required(`${field}.maxUnavailable`, "cannot be 0 when maxSurge is 0"));
  return causes;
}

function validate({ spec = {} as DaemonSetSpec }: DaemonSet, old?: DaemonSet): Causes {
  const path = "spec.template";
  const template = spec.template ?? {};
  return [
    ...validateSelector(spec.selector, template, "daemonset").causes,
    ...validatePodTemplate(template, path, old?.spec?.template),
    ...validateForever(template, path, "DaemonSet"),
    ...nonNegative(spec.minReadySeconds, "spec.minReadySeconds"),
    ...validateStrategy(spec),
    ...nonNegative(spec.revisionHistoryLimit, "spec.revisionHistoryLimit"),
  ];
}

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
    prepareForCreate(object) {
      const set = as<DaemonSet>(object);
      dropDisabled(set.spec?.template?.spec);
      const { [TEMPLATE_GENERATION]: given, ...annotations } = set.metadata.annotations ?? {};
      const value = Number(given ?? 0) < 1 ? "1" : given;
      set.metadata.annotations = { ...annotations, [TEMPLATE_GENERATION]: value ?? "1" };
    },
    prepareForUpdate(next, old) {
      dropDisabled(as<DaemonSet>(next).spec?.template?.spec, as<DaemonSet>(old).spec?.template?.spec);
      countTemplate(as<DaemonSet>(next), as<DaemonSet>(old));
    },
    validate: (object) => validate(as<DaemonSet>(object)),
    validateUpdate: (next, old) => [
      ...validate(as<DaemonSet>(next), as<DaemonSet>(old)),
      ...fixedSelector(as<DaemonSet>(next).spec?.selector, as<DaemonSet>(old).spec?.selector),
    ],
  });
