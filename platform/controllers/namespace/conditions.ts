/** What a namespace that ends says about its content (upstream: pkg/controller/namespace/deletion/status_condition_utils.go): pure. */
import { timeText } from "#platform/base/clock.ts";
import type { NamespaceCondition } from "#sdk/api/generated/types.ts";
import { conditionOf } from "../objects.ts";

export interface Remains {
  discoveryFailures: string[];
  deletionFailures: string[];
  /** "pods." or "deployments.apps" → how many are left. */
  resources: Map<string, number>;
  /** Finalizer → how many objects it holds. */
  finalizers: Map<string, number>;
}

const OK: Record<string, [reason: string, message: string]> = {
  NamespaceDeletionDiscoveryFailure: ["ResourcesDiscovered", "All resources successfully discovered"],
  NamespaceDeletionGroupVersionParsingFailure: ["ParsedGroupVersions", "All legacy kube types successfully parsed"],
  NamespaceDeletionContentFailure: [
    "ContentDeleted",
    "All content successfully deleted, may be waiting on finalization",
  ],
  NamespaceContentRemaining: ["ContentRemoved", "All content successfully removed"],
  NamespaceFinalizersRemaining: ["ContentHasNoFinalizers", "All content-preserving finalizers finished"],
};

export function namespaceConditions(
  present: readonly NamespaceCondition[] | undefined,
  remains: Remains,
  now: number,
): NamespaceCondition[] {
  const bad = problems(remains);
  const own = Object.keys(OK).map((type) => {
    const [reason, message] = bad[type] ?? OK[type]!;
    const status = bad[type] ? "True" : "False";
    const old = conditionOf(present, type);
    if (old?.status === status && old.reason === reason && old.message === message) return old;
    const moved = old?.status !== status;
    return { type, status, reason, message, lastTransitionTime: moved ? timeText(now) : old?.lastTransitionTime };
  });
  return [...(present ?? []).filter((c) => !(c.type in OK)), ...own];
}

function problems(remains: Remains): Record<string, [reason: string, message: string]> {
  const { discoveryFailures, deletionFailures, resources, finalizers } = remains;
  const sorted = (counts: Map<string, number>, text: (name: string, count: number) => string) =>
    [...counts]
      .filter(([, count]) => count > 0)
      .map(([name, count]) => text(name, count))
      .sort()
      .join(", ");
  const found: Record<string, [string, string]> = {};
  if (discoveryFailures.length > 0) {
    found["NamespaceDeletionDiscoveryFailure"] = [
      "DiscoveryFailed",
      `Discovery failed for some groups, ${discoveryFailures.length} failing: ${discoveryFailures.join(", ")}`,
    ];
  }
  if (deletionFailures.length > 0) {
    found["NamespaceDeletionContentFailure"] = [
      "ContentDeletionFailed",
      `Failed to delete all resource types, ${deletionFailures.length} remaining: ${deletionFailures.toSorted().join(", ")}`,
    ];
  }
  const left = sorted(resources, (name, count) => `${name} has ${count} resource instances`);
  if (left) found["NamespaceContentRemaining"] = ["SomeResourcesRemain", `Some resources are remaining: ${left}`];
  const held = sorted(finalizers, (name, count) => `${name} in ${count} resource instances`);
  if (held) {
    found["NamespaceFinalizersRemaining"] = [
      "SomeFinalizersRemain",
      `Some content in the namespace has finalizers remaining: ${held}`,
    ];
  }
  return found;
}
