/** podFailurePolicy and successPolicy: pure (upstream: pkg/controller/job/{pod_failure,success}_policy.go). */
import type { ContainerStatus, Job, Pod, PodFailurePolicyRule } from "#sdk/api/generated/types.ts";
import { isTerminating } from "../objects.ts";
import { parseIndexes } from "./indexes.ts";

export interface FailureVerdict {
  action?: "Ignore" | "FailIndex" | "Count" | "FailJob";
  /** Whether it counts towards the limits. */
  counts: boolean;
  /** Why the whole job fails. */
  message?: string;
}

/** Pods are replaced when they have ended, not when they begin to. */
export const replacesOnlyFailed = ({ spec }: Job): boolean =>
  spec?.podReplacementPolicy === "Failed" || spec?.podFailurePolicy !== undefined;

/** A pod that was deleted counts as failed: nobody may be left to say that it did. */
export const hasFailed = (job: Job, pod: Pod): boolean =>
  pod.status?.phase === "Failed" ||
  (!replacesOnlyFailed(job) && isTerminating(pod) && pod.status?.phase !== "Succeeded");

function failingContainer(pod: Pod, rule: PodFailurePolicyRule["onExitCodes"]): ContainerStatus | undefined {
  const all = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  return all.find(({ name, state }) => {
    const code = state?.terminated?.exitCode;
    if (!code || !rule || (rule.containerName && rule.containerName !== name)) return false;
    return rule.values.includes(code) === (rule.operator === "In");
  });
}

export function judgeFailure({ spec }: Job, pod: Pod): FailureVerdict {
  const { namespace, name } = pod.metadata;
  for (const [index, rule] of (spec?.podFailurePolicy?.rules ?? []).entries()) {
    let subject: string | undefined;
    if (rule.onExitCodes) {
      const container = failingContainer(pod, rule.onExitCodes);
      const code = container?.state?.terminated?.exitCode;
      if (container) subject = `Container ${container.name} for pod ${namespace}/${name} failed with exit code ${code}`;
    } else {
      const condition = pod.status?.conditions?.find((c) =>
        rule.onPodConditions?.some((p) => p.type === c.type && (p.status ?? "True") === c.status),
      );
      if (condition) subject = `Pod ${namespace}/${name} has condition ${condition.type}`;
    }
    if (subject === undefined) continue;
    switch (rule.action) {
      case "Ignore":
        return { action: "Ignore", counts: false };
      case "FailJob":
        return { action: "FailJob", counts: true, message: `${subject} matching FailJob rule at index ${index}` };
      case "FailIndex":
      case "Count":
        return { action: rule.action, counts: true };
    }
  }
  return { counts: true };
}

/** Undefined while no rule is met. */
export function successMessage({ spec }: Job, succeeded: ReadonlySet<number>): string | undefined {
  if (succeeded.size === 0) return undefined;
  for (const [index, rule] of (spec?.successPolicy?.rules ?? []).entries()) {
    const wanted =
      rule.succeededIndexes === undefined ? undefined : parseIndexes(rule.succeededIndexes, spec?.completions ?? 0);
    if (wanted?.size === 0) continue;
    const count = wanted ? [...wanted].filter((i) => succeeded.has(i)).length : succeeded.size;
    const needed = rule.succeededCount ?? wanted?.size;
    if (needed !== undefined && count >= needed) return `Matched rules at index ${index}`;
  }
  return undefined;
}
