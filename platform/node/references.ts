/**
 * ConfigMaps and Secrets that pods refer to, read by name (the node's identity may read no others) and kept for a moment, so that
 * the containers of one pod see one state and a sync of many pods asks once.
 */
import type { ConfigMap, Secret } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";

const KEPT_MS = 5_000;
const ENTRIES_MAX = 5_000;

export interface References {
  /** Undefined when there is none; rejects with StatusError for any other answer. */
  configMap(tenant: string, namespace: string, name: string): Promise<ConfigMap | undefined>;
  secret(tenant: string, namespace: string, name: string): Promise<Secret | undefined>;
}

export function createReferences(client: Client, now: () => number): References {
  const kept = new Map<string, { at: number; value: Promise<KubeObject | undefined> }>();
  const read = <T extends KubeObject>(resource: string, tenant: string, namespace: string, name: string) => {
    const key = `${resource}/${tenant}/${namespace}/${name}`;
    const known = kept.get(key);
    if (known !== undefined && now() - known.at < KEPT_MS) return known.value as Promise<T | undefined>;
    const r: GroupVersionResource = { group: "", version: "v1", resource };
    const value = client
      .tenant(tenant)
      .get<T>(r, { namespace, name })
      .catch((error: unknown) => {
        if (error instanceof StatusError && error.code === 404) return undefined;
        kept.delete(key);
        throw error;
      });
    kept.delete(key);
    kept.set(key, { at: now(), value });
    if (kept.size > ENTRIES_MAX) kept.delete(kept.keys().next().value ?? "");
    return value;
  };
  return {
    configMap: (tenant, namespace, name) => read<ConfigMap>("configmaps", tenant, namespace, name),
    secret: (tenant, namespace, name) => read<Secret>("secrets", tenant, namespace, name),
  };
}
