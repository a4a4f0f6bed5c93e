/** The end of a tenant: all it had is deleted, then its number is retired; a credential of it opens nothing any more. */
import type { Store, StoredObject, TenantId } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import { isReason } from "#sdk/api/status.ts";
import { systemContext } from "./bootstrap.ts";
import type { Registry } from "./registry/registry.ts";

export interface RetireParts {
  store: Store;
  tenants: TenantDirectory;
  /** Late, because its strategies need this. */
  registry(): Registry;
  clock: { now(): number };
}

const CRDS = "customresourcedefinitions.apiextensions.k8s.io";
/** What could refuse a deletion, then the namespaces: without them nothing is made anew. */
const FIRST = [
  "validatingwebhookconfigurations.admissionregistration.k8s.io",
  "mutatingwebhookconfigurations.admissionregistration.k8s.io",
  "validatingadmissionpolicybindings.admissionregistration.k8s.io",
  "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
  "namespaces",
];
/** Deleted by the registry, which gives back what they hold of root's: capacity of nodes, addresses. */
const HOLDING = [
  { group: "", resource: "pods" },
  { group: "", resource: "services" },
] as const;
const PASSES_MAX = 5;

/** Idempotent; nothing happens when no such tenant lives. */
export async function retireTenant(parts: RetireParts, name: string): Promise<void> {
  const tenant = await parts.tenants.resolve(name);
  if (!tenant) return;
  for (const resource of FIRST) await purge(parts.store, tenant.id, resource);
  for (const kind of HOLDING) await removeAll(parts, tenant, kind.group, kind.resource);
  const custom = (await objects(parts.store, tenant.id, CRDS)).map(({ key }) => key.name);
  const known = parts.registry().catalog.entries.map((entry) => entry.storeResource);
  const resources = [...new Set([...custom, ...known])];
  for (let pass = 1, left = 1; left > 0 && pass <= PASSES_MAX; pass++) {
    left = 0;
    for (const resource of resources) left += await purge(parts.store, tenant.id, resource);
  }
  await parts.tenants.remove(tenant.id);
  // What a request that was already past its credential's check has written meanwhile.
  for (const resource of resources) await purge(parts.store, tenant.id, resource);
}

async function objects(store: Store, tenant: TenantId, resource: string): Promise<readonly StoredObject[]> {
  return (await store.list({ scope: { tenant, resource }, freshness: { type: "consistent" } })).objects;
}

/** Whatever their finalizers say: who would have ended them has gone with the tenant. Answers how many there were. */
async function purge(store: Store, tenant: TenantId, resource: string): Promise<number> {
  const found = await objects(store, tenant, resource);
  await Promise.all(
    found.map(({ key, uid, revision, document, labels, fields }) =>
      store.write({
        operations: [
          {
            type: "delete",
            key,
            object: { uid, document, labels: { ...labels }, fields: { ...fields }, terminating: true },
            expected: { uid, revision },
          },
        ],
      }),
    ),
  );
  return found.length;
}

async function removeAll(
  parts: RetireParts,
  tenant: { id: TenantId; name: string },
  group: string,
  resource: string,
): Promise<void> {
  const context = systemContext(tenant.id, tenant.name, parts.clock.now());
  const options = { dryRun: false, gracePeriodSeconds: 0 };
  for (const { key } of await objects(parts.store, tenant.id, resource)) {
    const request = { group, resource, namespace: key.namespace, name: key.name, options };
    await parts
      .registry()
      .remove(context, request)
      .catch((error: unknown) => {
        if (!isReason(error, "NotFound")) throw error;
      });
  }
}
