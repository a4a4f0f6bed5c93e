/**
 * One service: from what it asks to an address, a HAProxy in front of its ready endpoints, and a status that says so.
 * Events, the finalizer and their words are those of upstream's service controller (k8s.io/cloud-provider).
 */
import type { GroupVersionResource } from "#sdk/api/object.ts";
import type { ControllerHooks } from "#sdk/plugin/define.ts";
import { PluginFailure } from "#sdk/plugin/failure.ts";
import type { ReconcileRequest } from "#sdk/plugin/types.ts";
import { carried, type EndpointSlice, type Ingress, type Service, serviceFile } from "./configuration.ts";
import { apply, ensureAddress, removeAddress } from "./haproxy.ts";
import type { Host } from "./host.ts";
import { addressesOfOwner, allocate, poolOf, release } from "./pool.ts";
import { familyOf } from "./ranges.ts";

export const FINALIZER = "service.kubernetes.io/load-balancer-cleanup";
/** spec.loadBalancerClass that is ours, besides none at all. */
export const CLASS = "capstan.dev/haproxy";
const COMPONENT = "service-controller";
/** HAProxy may be ended by somebody, or the interface removed: looked at again now and then. */
const LOOK_AGAIN_MS = 30_000;

const services: GroupVersionResource = { group: "", version: "v1", resource: "services" };
const slices: GroupVersionResource = { group: "discovery.k8s.io", version: "v1", resource: "endpointslices" };
const events: GroupVersionResource = { group: "", version: "v1", resource: "events" };
const SERVICE_NAME = "kubernetes.io/service-name";

export function createHooks(host: Host): ControllerHooks {
  /** Failing services and what was last said about it: a failure is told once, not at every try. */
  const told = new Map<string, string>();
  return {
    watches: () => [
      { ...services, labelSelector: "", fieldSelector: "", key: { tag: "self" } },
      { ...slices, labelSelector: SERVICE_NAME, fieldSelector: "", key: { tag: "label", val: SERVICE_NAME } },
    ],
    reconcile(request) {
      const key = `${request.tenant}:${request.namespace}:${request.name}`;
      const service = host.api.find<Service>(services, { namespace: request.namespace, name: request.name });
      if (!service) {
        takeDown(host, key);
        told.delete(key);
        return undefined;
      }
      if (!isOurs(service)) return letGo(host, key, service);
      try {
        const outcome = bringUp(host, key, service, request);
        told.delete(key);
        return outcome;
      } catch (error) {
        const worthTelling = error instanceof PluginFailure && error.code !== 409 && told.get(key) !== error.message;
        if (worthTelling) {
          told.set(key, error.message);
          record(host, service, "Warning", "SyncLoadBalancerFailed", `Error syncing load balancer: ${error.message}`);
        }
        throw error;
      }
    },
  };
}

const isOurs = ({ metadata, spec }: Service): boolean =>
  spec?.type === "LoadBalancer" &&
  !metadata.deletionTimestamp &&
  (spec.loadBalancerClass === undefined || spec.loadBalancerClass === CLASS);

function bringUp(host: Host, key: string, service: Service, request: ReconcileRequest): { requeueMs: number } {
  const ports = carried(service);
  if (ports.length === 0)
    throw new PluginFailure("Invalid", "HAProxy carries TCP only, and this service has no TCP port", 422);
  const before = addressesOfOwner(host, key);
  const isNew = before.length === 0 || !service.status?.loadBalancer?.ingress?.length;
  if (isNew) record(host, service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer");
  // The finalizer stands before anything is made that a deletion would have to take back.
  if (!service.metadata.finalizers?.includes(FINALIZER))
    setFinalizers(host, service, [...(service.metadata.finalizers ?? []), FINALIZER]);
  const addresses = addressesFor(host, key, service);
  for (const address of addresses) ensureAddress(host, address);
  const found = host.api.list<EndpointSlice>(slices, {
    namespace: request.namespace,
    labelSelector: `${SERVICE_NAME}=${request.name}`,
  });
  const changed = apply(host, key, serviceFile(key, service, addresses, found.items));
  for (const address of before) if (!addresses.includes(address)) giveBack(host, address);
  const told = ports.map((p) => ({ port: p.port, protocol: p.protocol ?? "TCP" }));
  setStatus(
    host,
    service,
    addresses.map((ip) => ({ ip, ipMode: "Proxy", ports: told })),
  );
  if (isNew) record(host, service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer");
  else if (changed) record(host, service, "Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts");
  return { requeueMs: LOOK_AGAIN_MS };
}

/** One of each family that the service has; of two families, one without a configured pool is left out. */
function addressesFor(host: Host, key: string, { spec }: Service): string[] {
  const wish = spec?.loadBalancerIP;
  const families = (spec?.ipFamilies ?? ["IPv4"]).filter((one) => one === "IPv4" || one === "IPv6");
  const served = families.filter((family) => poolOf(host, family).length > 0);
  if (served.length === 0)
    throw new PluginFailure("Invalid", `config.pool of the plugin has no range of ${families.join(" or ")}`, 422);
  return served.map((family) => allocate(host, key, family, wish && familyOf(wish) === family ? wish : undefined));
}

/** A service that is being deleted, or is no load balancer of ours (any more). */
function letGo(host: Host, key: string, service: Service): undefined {
  const had = addressesOfOwner(host, key).length > 0;
  const held = service.metadata.finalizers?.includes(FINALIZER) === true;
  const anotherClass = service.spec?.type === "LoadBalancer" && !service.metadata.deletionTimestamp;
  if (!had && (!held || anotherClass)) return undefined;
  record(host, service, "Normal", "DeletingLoadBalancer", "Deleting load balancer");
  takeDown(host, key);
  record(host, service, "Normal", "DeletedLoadBalancer", "Deleted load balancer");
  if (!service.metadata.deletionTimestamp) setStatus(host, service, []);
  if (held)
    setFinalizers(
      host,
      service,
      (service.metadata.finalizers ?? []).filter((f) => f !== FINALIZER),
    );
  return undefined;
}

function takeDown(host: Host, key: string): void {
  const addresses = addressesOfOwner(host, key);
  apply(host, key, undefined);
  for (const address of addresses) giveBack(host, address);
}

function giveBack(host: Host, address: string): void {
  removeAddress(host, address);
  release(host, address);
}

const refOf = ({ metadata }: Service) => ({ namespace: metadata.namespace ?? "", name: metadata.name ?? "" });

/** With the resourceVersion in the patch: another writer's finalizer must not be lost. */
function setFinalizers(host: Host, service: Service, finalizers: string[]): void {
  const changed = host.api.patch<Service>(services, refOf(service), "merge", {
    metadata: { finalizers, resourceVersion: service.metadata.resourceVersion },
  });
  service.metadata.resourceVersion = changed.metadata.resourceVersion;
  service.metadata.finalizers = changed.metadata.finalizers;
}

function setStatus(host: Host, service: Service, ingress: Ingress[]): void {
  if (canonical(service.status?.loadBalancer?.ingress ?? []) === canonical(ingress)) return;
  const body = { status: { loadBalancer: { ingress: ingress.length > 0 ? ingress.map((i) => ({ ...i })) : null } } };
  host.api.patch<Service>(
    services,
    { ...refOf(service), subresource: "status" },
    "merge",
    JSON.parse(JSON.stringify(body)),
  );
}

const canonical = (ingress: Ingress[]): string =>
  JSON.stringify(ingress.map((i) => [i.ip, i.ipMode, (i.ports ?? []).map((p) => [p.port, p.protocol])]));

/** Telling what happened must not decide whether it happens: a refused event is dropped. */
function record(host: Host, service: Service, type: "Normal" | "Warning", reason: string, message: string): void {
  const { namespace, name } = refOf(service);
  const now = host.now();
  const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
  try {
    host.api.create(events, {
      apiVersion: "v1",
      kind: "Event",
      metadata: {
        namespace,
        name: `${name}.${Math.floor(now * 1000).toString(16)}${Math.floor(Math.random() * 4096).toString(16)}`,
      },
      involvedObject: {
        apiVersion: "v1",
        kind: "Service",
        namespace,
        name,
        uid: service.metadata.uid,
        resourceVersion: service.metadata.resourceVersion,
      },
      reason,
      message: message.slice(0, 1024),
      type,
      source: { component: COMPONENT },
      reportingComponent: COMPONENT,
      reportingInstance: "",
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    } as { metadata: { name: string; namespace: string } });
  } catch (error) {
    if (!(error instanceof PluginFailure)) throw error;
  }
}
