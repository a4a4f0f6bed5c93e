/** Deployments. */
import type { Deployment, DeploymentSpec } from "#sdk/api/generated/types.ts";
import { percentOf } from "#sdk/api/intstr.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, notSupported } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as, sorted } from "../../as.ts";
import { scaleAction } from "../../scale.ts";
import { defaultTemplate, immutableField, nonNegative, validateTemplate } from "../workloads.ts";

function applyDefaults(deployment: Deployment): void {
  deployment.spec ??= {} as DeploymentSpec;
  const { spec } = deployment;
  spec.replicas ??= 1;
  spec.strategy ??= {};
  spec.strategy.type ||= "RollingUpdate";
  if (spec.strategy.type === "RollingUpdate") {
    spec.strategy.rollingUpdate ??= {};
    spec.strategy.rollingUpdate.maxUnavailable ??= "25%";
    spec.strategy.rollingUpdate.maxSurge ??= "25%";
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
  defaultTemplate(spec);
}

/** A count or a percentage that is none of negative, malformed and (where `capped`) above the whole. */
export function validateShare(value: number | string | undefined, field: string, capped: boolean): Causes {
  if (value === undefined) return [];
  if (typeof value === "number") return nonNegative(value, field);
  const percent = percentOf(value);
  if (percent === undefined)
    return [
      invalidValue(
        field,
        value,
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
      ),
    ];
  return capped && percent > 100 ? [invalidValue(field, value, "must not be greater than 100%")] : [];
}

const isZero = (value: number | string | undefined) =>
  value === 0 || (typeof value === "string" && percentOf(value) === 0);

function validate({ spec }: Deployment): Causes {
  const causes = nonNegative(spec?.replicas, "spec.replicas");
  causes.push(...validateTemplate(spec?.template, spec?.selector, ["Always"]));
  const strategy = spec?.strategy;
  const rolling = strategy?.rollingUpdate;
  if (strategy?.type === "Recreate") {
    if (rolling)
      causes.push(
        forbiddenField("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"),
      );
  } else if (strategy?.type === "RollingUpdate") {
    const at = "spec.strategy.rollingUpdate";
    causes.push(...validateShare(rolling?.maxUnavailable, `${at}.maxUnavailable`, true));
    causes.push(...validateShare(rolling?.maxSurge, `${at}.maxSurge`, false));
    if (isZero(rolling?.maxUnavailable) && isZero(rolling?.maxSurge)) {
      causes.push(invalidValue(`${at}.maxUnavailable`, rolling?.maxUnavailable, "may not be 0 when `maxSurge` is 0"));
    }
  } else causes.push(notSupported("spec.strategy.type", strategy?.type ?? "", ["Recreate", "RollingUpdate"]));
  causes.push(...nonNegative(spec?.minReadySeconds, "spec.minReadySeconds"));
  causes.push(...nonNegative(spec?.revisionHistoryLimit, "spec.revisionHistoryLimit"));
  causes.push(...nonNegative(spec?.progressDeadlineSeconds, "spec.progressDeadlineSeconds"));
  if (spec?.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds <= (spec.minReadySeconds ?? 0)) {
    causes.push(
      invalidValue(
        "spec.progressDeadlineSeconds",
        spec.progressDeadlineSeconds,
        "must be greater than minReadySeconds",
      ),
    );
  }
  return causes;
}

export const deploymentStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    raisesGeneration: (next, old) =>
      JSON.stringify(sorted(next.metadata.annotations ?? {})) !==
      JSON.stringify(sorted(old.metadata.annotations ?? {})),
    applyDefaults: (object) => applyDefaults(as<Deployment>(object)),
    validate: (object) => validate(as<Deployment>(object)),
    validateUpdate: (next, old) => [
      ...validate(as<Deployment>(next)),
      ...immutableField("spec.selector", as<Deployment>(next).spec?.selector, as<Deployment>(old).spec?.selector),
    ],
    actions: { scale: scaleAction(facts) },
  });
