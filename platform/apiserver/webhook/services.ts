/** Where a webhook's service is reached from this server: at one of its ready endpoints, without the node's service rules in between. */
import { isIP } from "node:net";
import type { Store, TenantId } from "#platform/store/port.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { EndpointSlice, Service } from "#sdk/api/generated/types.ts";
import type { ServiceResolver } from "./client.ts";

const SLICES = "endpointslices.discovery.k8s.io";
const SERVICE_LABEL = "kubernetes.io/service-name";

export const serviceResolver =
  (store: Store): ServiceResolver =>
  async (tenant, { namespace, name, port }) => {
    const quoted = JSON.stringify(name);
    const key = { tenant, resource: "services", namespace, name };
    const stored = await store.get(key, { type: "atLeast", revision: 0 });
    if (!stored) throw new Error(`service ${quoted} not found`);
    const { spec } = JSON.parse(stored.document) as Service;
    if (spec?.type === "ExternalName") return { host: spec.externalName ?? "", port };
    const wanted = spec?.ports?.find((p) => p.port === port);
    if (!wanted) throw new Error(`no service port ${port} found for service ${quoted}`);
    const targets = await readyTargets(store, tenant, namespace, name, wanted.name ?? "");
    const target = targets[Math.floor(Math.random() * targets.length)];
    if (!target) throw new Error(`no endpoints available for service ${quoted}`);
    return target;
  };

async function readyTargets(store: Store, tenant: TenantId, namespace: string, name: string, portName: string) {
  const { objects } = await store.list({
    scope: { tenant, resource: SLICES, namespace },
    matcher: ({ labels }) => labels[SERVICE_LABEL] === name,
    freshness: { type: "atLeast", revision: 0 },
  });
  return objects.flatMap(({ document }) => {
    const { endpoints, ports } = JSON.parse(document) as EndpointSlice;
    const port = ports?.find((p) => (p.name ?? "") === portName)?.port;
    if (!port) return [];
    const ready = (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false);
    return ready.flatMap(({ addresses }) => addresses.map((host) => ({ host, port })));
  });
}

/** Loopback and link-local addresses are the platform's own: only root's configurations may name them. */
export function mayDial(tenant: TenantId, address: string): boolean {
  if (tenant === ROOT_TENANT) return true;
  const plain = address.replace(/^::ffff:/i, "").toLowerCase();
  if (isIP(plain) === 4) return !/^(0\.|127\.|169\.254\.)/.test(plain);
  return plain !== "::1" && plain !== "::" && !plain.startsWith("fe80:");
}
