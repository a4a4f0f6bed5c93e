/** The `kubernetes` Service of namespace default, the addresses behind it and the range it is of: how pods reach this API (upstream's controlplane). */
import { API_SERVICE } from "#platform/rules/api-service.ts";
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { systemContext } from "./bootstrap.ts";
import { sorted } from "./registry/meta.ts";
import type { Registry } from "./registry/registry.ts";
import type { RequestContext, ResourceEntry } from "./registry/strategy.ts";

export interface ApiAddress {
  /** The service's address, in every tenant: the first of the range (platform/rules/api-service.ts). */
  clusterIP: string;
  /** Where the servers listen, as pods reach it. */
  addresses: string[];
  port: number;
  /** Of the services' addresses, in every tenant: one range, or one of each family. */
  serviceCIDRs: readonly string[];
}

const { namespace: NAMESPACE, name: NAME } = API_SERVICE;
const LABELS = { component: "apiserver", provider: "kubernetes" };

function documents({
  clusterIP,
  addresses,
  port,
  serviceCIDRs,
}: ApiAddress): [group: string, resource: string, object: DynamicObject][] {
  const metadata = { name: NAME, namespace: NAMESPACE, labels: LABELS };
  const service = {
    kind: "Service",
    apiVersion: "v1",
    metadata,
    spec: {
      clusterIP,
      ports: [{ name: "https", protocol: "TCP", port: 443, targetPort: port }],
      sessionAffinity: "None",
      type: "ClusterIP",
    },
  };
  const endpoints = {
    kind: "Endpoints",
    apiVersion: "v1",
    metadata: { ...metadata, labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } },
    subsets: [{ addresses: addresses.map((ip) => ({ ip })), ports: [{ name: "https", port, protocol: "TCP" }] }],
  };
  const slice = {
    kind: "EndpointSlice",
    apiVersion: "discovery.k8s.io/v1",
    metadata: { ...metadata, labels: { "kubernetes.io/service-name": NAME } },
    addressType: addresses[0]?.includes(":") ? "IPv6" : "IPv4",
    endpoints: addresses.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
    ports: [{ name: "https", port, protocol: "TCP" }],
  };
  const range = {
    kind: "ServiceCIDR",
    apiVersion: "networking.k8s.io/v1",
    metadata: { name: NAME },
    spec: { cidrs: [...serviceCIDRs] },
  };
  return [
    ["networking.k8s.io", "servicecidrs", range],
    ["", "services", service],
    ["", "endpoints", endpoints],
    ["discovery.k8s.io", "endpointslices", slice],
  ];
}

/** Made once: a service keeps its address. */
const KEPT = new Set(["services"]);
const PARTS = ["subsets", "endpoints", "ports"] as const;
const partsOf = (resource: string): readonly string[] => (resource === "servicecidrs" ? ["spec"] : PARTS);
const same = (a: unknown, b: unknown) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

/** A range does not change, but one of a second family may join it. */
function joinsFamily(present: DynamicObject, wanted: DynamicObject): boolean {
  const cidrs = ({ spec }: DynamicObject) => (spec as { cidrs?: string[] } | undefined)?.cidrs ?? [];
  const [before, now] = [cidrs(present), cidrs(wanted)];
  return before.length === 1 && now.length === 2 && before[0] === now[0];
}

/** It cannot be changed, and what tenants had in older versions is not in the server's certificate. */
const hasAnotherAddress = ({ spec }: DynamicObject, { clusterIP }: ApiAddress): boolean =>
  (spec as { clusterIP?: string } | undefined)?.clusterIP !== clusterIP;

const OPTIONS = { dryRun: false, fieldManager: "kube-apiserver" } as const;

/** Another API server may be faster. */
async function make(registry: Registry, context: RequestContext, entry: ResourceEntry, object: DynamicObject) {
  await registry.create(context, entry, object.metadata.namespace ?? "", object, OPTIONS).catch((error: unknown) => {
    if (!isReason(error, "AlreadyExists")) throw error;
  });
}

/** Idempotent: writes what is absent and what no longer names this server's addresses. */
export async function ensureKubernetesService(
  registry: Registry,
  tenant: { id: TenantId; name: string },
  address: ApiAddress,
  now: number,
): Promise<void> {
  const context = systemContext(tenant.id, tenant.name, now);
  for (const [group, resource, object] of documents(address)) {
    const entry = registry.catalog.byName(group, resource);
    if (!entry) continue;
    const namespace = object.metadata.namespace ?? "";
    try {
      const present = await registry.read(context, group, resource, namespace, NAME);
      if (resource === "services" && tenant.id !== ROOT_TENANT && hasAnotherAddress(present, address)) {
        await registry.delete(context, entry, namespace, NAME, { dryRun: false });
        await make(registry, context, entry, object);
        continue;
      }
      if (resource === "servicecidrs" && !joinsFamily(present, object)) continue;
      if (KEPT.has(resource) || partsOf(resource).every((p) => same(present[p], object[p]))) continue;
      const produce = (old: DynamicObject) => {
        for (const part of partsOf(resource)) if (object[part] !== undefined) old[part] = structuredClone(object[part]);
        return old;
      };
      await registry.update(
        context,
        entry,
        { namespace, name: NAME, subresource: "", produce, retries: true },
        OPTIONS,
      );
    } catch (error) {
      if (!isReason(error, "NotFound")) throw error;
      await make(registry, context, entry, object);
    }
  }
}
