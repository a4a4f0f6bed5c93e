/** Deployments. */
import type { Deployment, DeploymentSpec, DeploymentStrategy } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, notSupported } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import { goValue } from "../../../registry/go-names.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as, sorted } from "../../as.ts";
import { dropDisabled } from "../../core/pods/prepare.ts";
import { scaleAction } from "../../scale.ts";
import {
  defaultTemplate,
  fixedSelector,
  nonNegative,
  ROLLING_STRATEGY,
  shareValue,
  validateShare,
  validateTemplate,
} from "../workloads.ts";

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

function validateStrategy(strategy: DeploymentStrategy): Causes {
  const { type, rollingUpdate: rolling } = strategy;
  const at = "spec.strategy.rollingUpdate";
  if (type === "Recreate")
    return rolling ? [forbiddenField(at, "may not be specified when strategy `type` is 'Recreate'")] : [];
  if (type !== "RollingUpdate")
    return [notSupported("spec.strategy", goValue(strategy, ROLLING_STRATEGY), ["Recreate", "RollingUpdate"])];
  const { maxUnavailable, maxSurge } = rolling ?? {};
  const causes = [
    ...validateShare(maxUnavailable, `${at}.maxUnavailable`, true),
    ...validateShare(maxSurge, `${at}.maxSurge`, false),
  ];
  if (shareValue(maxUnavailable) === 0 && shareValue(maxSurge) === 0)
    causes.push(invalidValue(`${at}.maxUnavailable`, maxUnavailable, "may not be 0 when `maxSurge` is 0"));
  return causes;
}

function validate({ spec }: Deployment, old?: Deployment): Causes {
  const deadline = spec?.progressDeadlineSeconds;
  const at = "spec.progressDeadlineSeconds";
  return [
    ...nonNegative(spec?.replicas, "spec.replicas"),
    ...validateTemplate(spec?.template, spec?.selector, old?.spec?.template),
    ...validateStrategy(spec?.strategy ?? {}),
    ...nonNegative(spec?.minReadySeconds, "spec.minReadySeconds"),
    ...nonNegative(spec?.revisionHistoryLimit, "spec.revisionHistoryLimit"),
    ...nonNegative(deadline, at),
    ...(deadline !== undefined && deadline <= (spec?.minReadySeconds ?? 0)
      ? [invalidValue(at, deadline, "must be greater than minReadySeconds")]
      : []),
  ];
}

export const deploymentStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    raisesGeneration: (next, old) =>
      JSON.stringify(sorted(next.metadata.annotations ?? {})) !==
      JSON.stringify(sorted(old.metadata.annotations ?? {})),
    applyDefaults: (object) => applyDefaults(as<Deployment>(object)),
    prepareForCreate: (object) => dropDisabled(as<Deployment>(object).spec?.template?.spec),
    prepareForUpdate: (next, old) =>
      dropDisabled(as<Deployment>(next).spec?.template?.spec, as<Deployment>(old).spec?.template?.spec),
    validate: (object) => validate(as<Deployment>(object)),
    validateUpdate: (next, old) => [
      ...validate(as<Deployment>(next), as<Deployment>(old)),
      ...fixedSelector(as<Deployment>(next).spec?.selector, as<Deployment>(old).spec?.selector),
    ],
    actions: { scale: scaleAction(facts) },
  });
