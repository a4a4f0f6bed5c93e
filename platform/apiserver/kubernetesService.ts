/** The `kubernetes` Service of namespace default, the addresses behind it and the range it is of: how pods reach this API (upstream's controlplane). */
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { isReason, StatusError } from "#sdk/api/status.ts";
import { systemContext } from "./bootstrap.ts";
import { sorted } from "./registry/meta.ts";
import type { Registry } from "./registry/registry.ts";

export interface ApiAddress {
  /** The service's own address: the first of the range, in root. Other tenants' services get one of their own. */
  clusterIP: string;
  /** Where the servers listen, as pods reach it. */
  addresses: string[];
  port: number;
  /** Of the services' addresses, in every tenant. */
  serviceCIDR: string;
}

const NAME = "kubernetes";
const NAMESPACE = "default";
const LABELS = { component: "apiserver", provider: "kubernetes" };

function documents(
  tenant: TenantId,
  { clusterIP, addresses, port, serviceCIDR }: ApiAddress,
): [group: string, resource: string, object: DynamicObject][] {
  const metadata = { name: NAME, namespace: NAMESPACE, labels: LABELS };
  const service = {
    kind: "Service",
    apiVersion: "v1",
    metadata,
    spec: {
      ...(tenant === ROOT_TENANT ? { clusterIP } : {}),
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
    addressType: "IPv4",
    endpoints: addresses.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
    ports: [{ name: "https", port, protocol: "TCP" }],
  };
  const range = {
    kind: "ServiceCIDR",
    apiVersion: "networking.k8s.io/v1",
    metadata: { name: NAME },
    spec: { cidrs: [serviceCIDR] },
  };
  return [
    ["networking.k8s.io", "servicecidrs", range],
    ["", "services", service],
    ["", "endpoints", endpoints],
    ["discovery.k8s.io", "endpointslices", slice],
  ];
}

/** Made once: a service keeps its address, and a range does not change. */
const KEPT = new Set(["services", "servicecidrs"]);
const PARTS = ["subsets", "endpoints", "ports"] as const;
const same = (a: unknown, b: unknown) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

/** Idempotent: writes what is absent and what no longer names this server's addresses. */
export async function ensureKubernetesService(
  registry: Registry,
  tenant: { id: TenantId; name: string },
  address: ApiAddress,
  now: number,
): Promise<void> {
  const context = systemContext(tenant.id, tenant.name, now);
  const options = { dryRun: false, fieldManager: "kube-apiserver" };
  for (const [group, resource, object] of documents(tenant.id, address)) {
    const entry = registry.catalog.byName(group, resource);
    if (!entry) continue;
    const namespace = object.metadata.namespace ?? "";
    try {
      const present = await registry.read(context, group, resource, namespace, NAME);
      if (KEPT.has(resource) || PARTS.every((p) => same(present[p], object[p]))) continue;
      const produce = (old: DynamicObject) => {
        for (const part of PARTS) if (object[part] !== undefined) old[part] = structuredClone(object[part]);
        return old;
      };
      await registry.update(
        context,
        entry,
        { namespace, name: NAME, subresource: "", produce, retries: true },
        options,
      );
    } catch (error) {
      if (!isReason(error, "NotFound")) throw error;
      await registry.create(context, entry, namespace, object, options).catch((e: unknown) => {
        if (!(e instanceof StatusError && e.reason === "AlreadyExists")) throw e;
      });
    }
  }
}
