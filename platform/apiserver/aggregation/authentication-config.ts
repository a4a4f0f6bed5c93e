/** What an extension server needs to know of this server's authorities: kube-system/extension-apiserver-authentication. */
import type { TenantId } from "#platform/store/port.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { systemContext } from "../bootstrap.ts";
import type { Registry } from "../registry/registry.ts";

const NAMESPACE = "kube-system";
const AUTHORITY = "requestheader-client-ca-file";
const NAME = "extension-apiserver-authentication";
/** The front proxy's certificate is made for this name (platform/main/pki.ts). */
export const FRONT_PROXY_NAME = "front-proxy-client";

const list = (...values: string[]): string => JSON.stringify(values);

export interface Authorities {
  /** PEM of who signs the tenant's client certificates; asked for when there is nothing yet. */
  clientCa(): Promise<string>;
  /** PEM of who signs the front proxy's certificate. */
  frontProxyCa: string;
}

/** Left as it is while the front proxy's authority is the same. */
export async function ensureAuthenticationConfig(
  registry: Registry,
  tenant: { id: TenantId; name: string },
  { clientCa, frontProxyCa }: Authorities,
  now: number,
): Promise<void> {
  const entry = registry.catalog.byName("", "configmaps");
  if (!entry) return;
  const key = { tenant: tenant.id, resource: entry.storeResource, namespace: NAMESPACE, name: NAME };
  const present = await registry.store.get(key, { type: "consistent" });
  const old = present && (JSON.parse(present.document) as { data?: Record<string, string> }).data;
  if (old?.[AUTHORITY] === frontProxyCa) return;
  const context = systemContext(tenant.id, tenant.name, now);
  const data = {
    "client-ca-file": await clientCa(),
    "requestheader-allowed-names": list(FRONT_PROXY_NAME),
    [AUTHORITY]: frontProxyCa,
    "requestheader-extra-headers-prefix": list("X-Remote-Extra-"),
    "requestheader-group-headers": list("X-Remote-Group"),
    "requestheader-uid-headers": list("X-Remote-Uid"),
    "requestheader-username-headers": list("X-Remote-User"),
  };
  const made = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: NAME, namespace: NAMESPACE }, data };
  const options = { dryRun: false, fieldManager: "kube-apiserver" };
  const request = {
    namespace: NAMESPACE,
    name: NAME,
    subresource: "",
    retries: true,
    produce: (stored: DynamicObject): DynamicObject => ({ ...stored, data }),
    createIfAbsent: (): DynamicObject => made,
  };
  await registry.update(context, entry, request, options).catch((error: unknown) => {
    if (!isReason(error, "AlreadyExists")) throw error;
  });
}
