/** What a pod counts for quotas, and which scopes it is in (upstream: pkg/quota/v1/evaluator/core/pods.go). */
import type {
  Affinity,
  Container,
  Pod,
  PodAffinityTerm,
  PodSpec,
  ScopedResourceSelectorRequirement,
} from "#sdk/api/generated/types.ts";
import { CLASS_PREFIX } from "../extended-resources.ts";
import { type Amounts, addAmounts, amountsOf, count, masked, maxAmounts } from "./amounts.ts";

/** Requests or limits of the containers, as the pod as a whole counts. */
function podAmounts(spec: PodSpec, part: "requests" | "limits"): Amounts {
  const own = (container: Container) => amountsOf(container.resources?.[part]);
  let running: Amounts = {};
  for (const container of spec.containers ?? []) running = addAmounts(running, own(container));
  let sidecars: Amounts = {};
  let starting: Amounts = {};
  for (const container of spec.initContainers ?? []) {
    const sidecar = container.restartPolicy === "Always";
    const moment = addAmounts(sidecars, own(container));
    if (sidecar) sidecars = moment;
    starting = maxAmounts(starting, moment);
  }
  const containers = maxAmounts(addAmounts(running, sidecars), starting);
  const whole = { ...containers, ...amountsOf(spec.resources?.[part]) };
  const overhead = amountsOf(spec.overhead);
  return addAmounts(whole, part === "requests" ? overhead : masked(overhead, Object.keys(whole)));
}

const isExtended = (name: string): boolean =>
  name.includes("/") && (!/(^|\.)kubernetes\.io\//.test(name) || name.startsWith(CLASS_PREFIX));

function computeAmounts(requests: Amounts, limits: Amounts): Amounts {
  const result: Record<string, Amounts[string]> = {};
  for (const [name, quantity] of Object.entries(requests)) {
    if (["cpu", "memory", "ephemeral-storage"].includes(name) || name.startsWith("hugepages-")) {
      result[name] = quantity;
      result[`requests.${name}`] = quantity;
    } else if (isExtended(name)) result[`requests.${name}`] = quantity;
  }
  for (const name of ["cpu", "memory", "ephemeral-storage"]) {
    const limit = Object.hasOwn(limits, name) ? limits[name] : undefined;
    if (limit) result[`limits.${name}`] = limit;
  }
  return result;
}

/** A pod that has ended, or should have, holds nothing any more. */
function isCharged({ metadata, status }: Pod, now: number): boolean {
  if (status?.phase === "Succeeded" || status?.phase === "Failed") return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  if (!deletionTimestamp || deletionGracePeriodSeconds === undefined) return true;
  return Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000 > now;
}

export function podUsage(pod: Pod, now: number): Amounts {
  const always = { "count/pods": count(1) };
  if (!pod.spec || !isCharged(pod, now)) return always;
  return {
    ...always,
    pods: count(1),
    ...computeAmounts(podAmounts(pod.spec, "requests"), podAmounts(pod.spec, "limits")),
  };
}

const POD_RESOURCES = new Set([
  "count/pods",
  "pods",
  ...["", "requests.", "limits."].flatMap((p) => ["cpu", "memory", "ephemeral-storage"].map((name) => `${p}${name}`)),
]);

export const podCounts = (name: string): boolean =>
  POD_RESOURCES.has(name) ||
  name.startsWith("hugepages-") ||
  name.startsWith("requests.hugepages-") ||
  (name.startsWith("requests.") && isExtended(name.slice("requests.".length)));

const REQUIRED = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];

/** Where a quota counts cpu or memory, each container must say how much; undefined when all do. */
export function unspecified(pod: Pod, counted: readonly string[]): string | undefined {
  if (!pod.spec || pod.spec.resources?.requests || pod.spec.resources?.limits) return undefined;
  const containers = [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])];
  const wrong = REQUIRED.filter((name) => counted.includes(name)).flatMap((name) => {
    const without = containers.filter(({ resources }) => {
      const said = computeAmounts(amountsOf(resources?.requests), amountsOf(resources?.limits));
      return !Object.hasOwn(said, name);
    });
    const names = [...new Set(without.map((c) => c.name))].sort();
    return names.length > 0 ? [`${name} for: ${names.join(",")}`] : [];
  });
  return wrong.length > 0 ? `must specify ${wrong.join("; ")}` : undefined;
}

function isBestEffort({ spec }: Pod): boolean {
  const named = (list: Readonly<Record<string, string | number>> | undefined) =>
    ["cpu", "memory"].some((name) => Object.hasOwn(list ?? {}, name) && (amountsOf(list)[name]?.nano ?? 0n) > 0n);
  const holders = [spec, ...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  return !holders.some((holder) => named(holder?.resources?.requests) || named(holder?.resources?.limits));
}

const crosses = (term: PodAffinityTerm | undefined): boolean =>
  (term?.namespaces?.length ?? 0) > 0 || (term?.namespaceSelector !== undefined && term.namespaceSelector !== null);

const crossesNamespaces = (affinity: Affinity | undefined): boolean =>
  [affinity?.podAffinity, affinity?.podAntiAffinity].some(
    (each) =>
      (each?.requiredDuringSchedulingIgnoredDuringExecution ?? []).some(crosses) ||
      (each?.preferredDuringSchedulingIgnoredDuringExecution ?? []).some(({ podAffinityTerm }) =>
        crosses(podAffinityTerm),
      ),
  );

function classMatches(name: string | undefined, { operator, values = [] }: ScopedResourceSelectorRequirement): boolean {
  if (operator === "Exists") return Boolean(name);
  if (operator === "DoesNotExist") return !name;
  const named = name !== undefined && name !== "" && values.includes(name);
  return operator === "In" ? named : !named;
}

export function podInScope(pod: Pod, selector: ScopedResourceSelectorRequirement): boolean {
  const ends = (pod.spec?.activeDeadlineSeconds ?? -1) >= 0;
  switch (selector.scopeName) {
    case "Terminating":
      return ends;
    case "NotTerminating":
      return !ends;
    case "BestEffort":
      return isBestEffort(pod);
    case "NotBestEffort":
      return !isBestEffort(pod);
    case "PriorityClass":
      return classMatches(pod.spec?.priorityClassName, selector);
    case "CrossNamespacePodAffinity":
      return crossesNamespaces(pod.spec?.affinity);
    default:
      return false;
  }
}

/** It started or stopped being a pod with a deadline: what quotas of the other scope count. */
export const changesScope = (next: Pod, old: Pod): boolean =>
  (next.spec?.activeDeadlineSeconds ?? -1) >= 0 !== (old.spec?.activeDeadlineSeconds ?? -1) >= 0;
