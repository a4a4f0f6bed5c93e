/** Which handler runs a pod: what the RuntimeClass that it names says (KEP-585). Kept for a moment; a class's handler cannot change. */
import type { RuntimeClass } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";
import type { NodePod } from "./context.ts";

const CLASSES: GroupVersionResource = { group: "node.k8s.io", version: "v1", resource: "runtimeclasses" };
const KEPT_MS = 30_000;
const ENTRIES_MAX = 1_000;

export function createHandlers(client: Client, now: () => number): (pod: NodePod) => Promise<string> {
  const kept = new Map<string, { handler: string; at: number }>();
  return async (pod) => {
    const name = pod.spec.runtimeClassName;
    if (!name) return "";
    const key = `${tenantOf(pod)}/${name}`;
    const known = kept.get(key);
    if (known !== undefined && now() - known.at < KEPT_MS) return known.handler;
    const found = await client
      .tenant(tenantOf(pod))
      .get<RuntimeClass>(CLASSES, { name })
      .catch((error: unknown) => {
        if (error instanceof StatusError && error.code === 404)
          throw new Error(`RuntimeClass ${JSON.stringify(name)} not found`);
        throw error;
      });
    kept.delete(key);
    kept.set(key, { handler: found.handler, at: now() });
    if (kept.size > ENTRIES_MAX) kept.delete(kept.keys().next().value ?? "");
    return found.handler;
  };
}
