/**
 * ResourceQuota: a write that quotas count carries their new status.used in its own transaction, compared and swapped, so that the object and
 * its charge are there both or not at all (S3). A lost race asks for another attempt on fresh figures.
 */

import { chargeQuotas, QuotaRefused } from "#platform/rules/quota/check.ts";
import { CLAIMS, countsResources, type DeviceFacts } from "#platform/rules/quota/devices.ts";
import type { QuotaOperation } from "#platform/rules/quota/evaluate.ts";
import { type Operation, ROOT_TENANT, type Store, type StoredObject } from "#platform/store/port.ts";
import type { DeviceClass, Pod, ResourceClaim, ResourceQuota } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { forbidden } from "#sdk/api/status.ts";
import type { Catalog } from "../registry/catalog.ts";
import { documentOf, encode } from "../registry/document.ts";
import type { Accounting } from "../registry/pipeline.ts";
import type { Strategy } from "../registry/strategy.ts";

const QUOTAS = "resourcequotas";

interface Held {
  stored: StoredObject;
  quota: ResourceQuota & DynamicObject;
}

async function quotasOf(store: Store, tenant: number, namespace: string, fresh: boolean): Promise<Held[]> {
  const scope = { tenant, resource: QUOTAS, namespace };
  const freshness = fresh ? ({ type: "consistent" } as const) : ({ type: "atLeast", revision: 0 } as const);
  const { objects } = await store.list({ scope, freshness });
  return objects.map((stored) => ({ stored, quota: JSON.parse(stored.document) as ResourceQuota & DynamicObject }));
}

async function objectsOf<T extends object>(
  store: Store,
  tenant: number,
  resource: string,
  namespace?: string,
): Promise<T[]> {
  const scope = { tenant, resource, ...(namespace === undefined ? {} : { namespace }) };
  const { objects } = await store.list({ scope, freshness: { type: "atLeast", revision: 0 } });
  return objects.map((stored) => documentOf<T>(stored));
}

/** What a claim's charge depends on beside itself: classes of the tenant before root's, the pod that it was made for, that pod's claims. */
async function deviceFacts(store: Store, tenant: number, { metadata }: DynamicObject): Promise<DeviceFacts> {
  const { namespace = "" } = metadata;
  const classes = new Map<string, DeviceClass>();
  for (const of of new Set([ROOT_TENANT, tenant]))
    for (const one of await objectsOf<DeviceClass>(store, of, "deviceclasses.resource.k8s.io"))
      classes.set(one.metadata.name ?? "", one);
  const owner = metadata.ownerReferences?.find(({ controller, kind }) => controller && kind === "Pod")?.name;
  const key = { tenant, resource: "pods", namespace, name: owner ?? "" };
  const stored = owner === undefined ? undefined : await store.get(key, { type: "consistent" });
  const pods = new Map(stored && owner !== undefined ? [[owner, documentOf<Pod>(stored)]] : []);
  const claims = pods.size > 0 ? await objectsOf<ResourceClaim>(store, tenant, CLAIMS, namespace) : [];
  return { classes: [...classes.values()], claims, pods };
}

function charge({ stored, quota }: Held, used: Record<string, string>, strategy: Strategy): Operation {
  const object = encode({ ...quota, status: { ...quota.status, used } }, strategy);
  return { type: "update", key: stored.key, object, expected: { uid: stored.uid, revision: stored.revision } };
}

/** `catalog` knows how quotas are encoded. */
export function quotaAccounting(catalog: Pick<Catalog, "byName">): Accounting {
  const entry = catalog.byName("", QUOTAS);
  if (!entry) throw new Error("resourcequotas are not served");
  const { strategy } = entry;
  return {
    async effects({ context, store, operation, subresource, object, old, dryRun, entry: written }) {
      const namespace = object.metadata.namespace ?? "";
      if (operation === "delete" || namespace === "") return {};
      // Almost every namespace has none: a look at what is at hand, and only then at what is certain.
      if ((await quotasOf(store, context.tenant, namespace, false)).length === 0) return {};
      const held = await quotasOf(store, context.tenant, namespace, true);
      const byQuota = new Map(held.map((each) => [each.quota, each]));
      const { group, resource } = written.facts;
      const request = {
        resource: written.storeResource,
        operation: operation as QuotaOperation,
        subresource,
        object,
        old,
        now: context.now,
      };
      try {
        const quotas = [...byQuota.keys()];
        const counted = quotas.some(({ status }) => Object.keys(status?.hard ?? {}).some(countsResources));
        const asks = written.storeResource === CLAIMS && counted;
        const devices = asks ? await deviceFacts(store, context.tenant, object) : undefined;
        const charges = chargeQuotas(quotas, { ...request, ...(devices ? { devices } : {}) });
        if (dryRun) return {};
        const operations = charges.map(({ quota, used }) => charge(byQuota.get(quota) as Held, used, strategy));
        return { operations };
      } catch (error) {
        if (!(error instanceof QuotaRefused)) throw error;
        throw forbidden({ group, resource }, object.metadata.name ?? "", error.message);
      }
    },
  };
}
