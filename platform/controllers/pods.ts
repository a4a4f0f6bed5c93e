/** Making pods from templates, as every workload does (upstream: pkg/controller/controller_utils.go). */
import type { Pod, PodTemplateSpec } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason, StatusError } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { controllerRef } from "./objects.ts";
import { PODS } from "./resources.ts";

/** A pod of the template, controlled by `owner`; with generateName the server makes up the name's end. */
export function podFrom(
  template: PodTemplateSpec | undefined,
  owner: KubeObject,
  name: { name: string } | { generateName: string },
): Pod {
  const { metadata, spec } = template ?? {};
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...name,
      namespace: owner.metadata.namespace,
      ...(metadata?.labels ? { labels: { ...metadata.labels } } : {}),
      ...(metadata?.annotations ? { annotations: { ...metadata.annotations } } : {}),
      ...(metadata?.finalizers ? { finalizers: [...metadata.finalizers] } : {}),
      ownerReferences: [controllerRef(owner)],
    },
    spec: structuredClone(spec),
  };
}

/**
 * Calls `make` for 0 … count - 1 in batches of 1, 2, 4 …, and stops after a batch with failures: when all would fail for
 * the same reason, few are tried. `missing`: how many were not made.
 */
export async function createInBatches(
  count: number,
  make: (index: number) => Promise<void>,
): Promise<{ missing: number; errors: unknown[] }> {
  for (let size = 1, from = 0; from < count; size *= 2) {
    const batch = Array.from({ length: Math.min(size, count - from) }, (_, i) => make(from + i));
    const results = await Promise.allSettled(batch);
    from += batch.length;
    const errors = results.flatMap((result): unknown[] => (result.status === "rejected" ? [result.reason] : []));
    if (errors.length > 0) return { missing: errors.length + count - from, errors };
  }
  return { missing: 0, errors: [] };
}

/** Nothing can be created in a namespace that ends: not an error of the workload. */
export const isNamespaceTerminating = (error: unknown): boolean =>
  error instanceof StatusError &&
  (error.status.details?.causes ?? []).some((cause) => cause.reason === "NamespaceTerminating");

/** False when it was gone already, or another pod has its name by now. */
export async function deletePod(client: Client, pod: Pod): Promise<boolean> {
  const { namespace, name = "", uid } = pod.metadata;
  try {
    await client.delete(PODS, { namespace, name }, { preconditions: { uid } });
    return true;
  } catch (error) {
    if (isReason(error, "NotFound") || isReason(error, "Conflict")) return false;
    throw error;
  }
}
