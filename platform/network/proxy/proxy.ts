/** The node's service proxy: watches Services and EndpointSlices of all tenants and keeps this node's table true to them. */
import type { Log } from "#platform/base/log.ts";
import type { Family } from "#platform/rules/ranges.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { type RunProgram, runProgram } from "../host/program.ts";
import { wordsFor } from "../nft/family.ts";
import { runTables, TableLoop } from "../nft/loop.ts";
import {
  type EndpointSlice,
  endpointSlices,
  nodes as nodesResource,
  SERVICE_NAME_LABEL,
  type Service,
  type ServicePort,
  services as servicesResource,
  ZONE_LABEL,
} from "../objects.ts";
import { type ServiceComponent, toldOf } from "./component.ts";
import { forgetUdpFlows } from "./conntrack.ts";
import { backendsOf } from "./endpoints.ts";
import { Handover } from "./handover.ts";
import { createHealthServers, type HealthCheck } from "./health.ts";
import { type Fragment, ignored, type ProxySettings, renderBase, renderService, SHARED_SETS } from "./render.ts";
import { udpChanges } from "./state.ts";

export interface ProxyOptions {
  /** Its tenant is changed to the wildcard here. */
  client: Client;
  settings: ProxySettings;
  /** The same of the second address family, in a table of its own. */
  secondary?: ProxySettings;
  /** Whether a tenant's services may lead to an address: not to another tenant's pod. */
  mayServe?(tenant: string, address: string): boolean;
  /** Programs services in place of these rules, while it has a component. */
  component?: ServiceComponent;
  log: Log;
  signal: AbortSignal;
  run?: RunProgram;
}

export interface RunningProxy {
  /** Resolves once all services that there were at the start are programmed. */
  ready: Promise<void>;
  /** Resolves when the signal has aborted and the last transaction is over. The rules stay: traffic outlives the process. */
  stopped: Promise<void>;
  /** Whether services may lead to this address (undefined: to any) may have changed. */
  touchAddress(address: string | undefined): void;
}

const BY_SERVICE = "service";
const BY_ADDRESS = "address";

const serviceKeyOf = (slice: EndpointSlice): string =>
  `${tenantOf(slice)}/${slice.metadata.namespace ?? ""}/${slice.metadata.labels?.[SERVICE_NAME_LABEL] ?? ""}`;

const addressesOf = (slice: EndpointSlice): string[] => [
  ...new Set((slice.endpoints ?? []).flatMap(({ addresses }) => addresses)),
];

export function startProxy(options: ProxyOptions): RunningProxy {
  const { log, signal, settings, run = runProgram } = options;
  const client = options.client.tenant("*");
  const services = createInformer<Service>(client, servicesResource, { log });
  const slices = createInformer<EndpointSlice>(client, endpointSlices, {
    log,
    labelSelector: SERVICE_NAME_LABEL,
    indexes: { [BY_SERVICE]: (slice) => [serviceKeyOf(slice)], [BY_ADDRESS]: addressesOf },
  });
  // Only the node's own object, for its zone.
  const nodes = createInformer<KubeObject>(options.client, nodesResource, {
    log,
    fieldSelector: `metadata.name=${settings.nodeName}`,
  });
  const zone = () => nodes.list()[0]?.metadata.labels?.[ZONE_LABEL] ?? "";
  const usableFor = (service: Service) => {
    const tenant = tenantOf(service);
    return (address: string) => options.mayServe?.(tenant, address) ?? true;
  };
  const all = [settings, ...(options.secondary ? [options.secondary] : [])];
  const handover =
    options.component &&
    new Handover({
      component: options.component,
      keys: () => services.list().map(keyOf),
      told(key) {
        const service = services.get(key);
        if (!service || all.every((own) => ignored(service, own))) return [];
        const place = { nodeName: settings.nodeName, zone: zone() };
        return toldOf(service, slices.byIndex(BY_SERVICE, key), place, usableFor(service));
      },
      changed() {
        for (const service of services.list()) for (const loop of loops) loop.touch(keyOf(service));
      },
      log,
      signal,
    });
  const health = createHealthServers(log);
  const tableLoop = (own: ProxySettings, isFirst: boolean) => {
    const { ip, conntrack } = wordsFor(own.serviceCIDR);
    return new TableLoop<Fragment>({
      table: `${ip} ${own.table}`,
      what: "services",
      base: renderBase(own),
      sharedSets: SHARED_SETS,
      keys: () => services.list().map(keyOf),
      render(key) {
        const service = services.get(key);
        const endpoints = slices.byIndex(BY_SERVICE, key);
        const where = { zone: zone(), usable: service ? usableFor(service) : () => true };
        // Its count is of all families.
        if (isFirst) health.set(key, service && healthCheckOf(service, endpoints, own.nodeName));
        return service && !handover?.serves ? renderService(service, endpoints, own, where) : undefined;
      },
      async written(updates, before) {
        for (const problem of await forgetUdpFlows(udpChanges(updates, before), conntrack, run))
          log.warn("flows of an endpoint that is gone could not be forgotten", { problem });
      },
      log,
      signal,
      run,
    });
  };
  const loops = all.map((own, i) => tableLoop(own, i === 0));
  const touch = (key: string) => {
    for (const loop of loops) loop.touch(key);
    handover?.touch(key);
  };
  services.on({
    added: (s) => touch(keyOf(s)),
    updated: (s) => touch(keyOf(s)),
    deleted: (s) => touch(keyOf(s)),
  });
  slices.on({
    added: (s) => touch(serviceKeyOf(s)),
    updated: (s, old) => {
      touch(serviceKeyOf(s));
      touch(serviceKeyOf(old));
    },
    deleted: (s) => touch(serviceKeyOf(s)),
  });
  const touchAll = () => {
    for (const service of services.list()) touch(keyOf(service));
  };
  let known = "";
  const zoneSeen = () => {
    if (zone() !== known) touchAll();
    known = zone();
  };
  nodes.on({ added: zoneSeen, updated: zoneSeen });
  let synced: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    synced = resolve;
  });
  const stopped = (async () => {
    await Promise.all([services.start(signal), slices.start(signal), nodes.start(signal)]);
    await Promise.all([runTables(loops, synced), handover?.run()]);
    health.close();
  })();
  return {
    ready,
    stopped,
    touchAddress(address) {
      if (address === undefined) touchAll();
      else for (const slice of slices.byIndex(BY_ADDRESS, address)) touch(serviceKeyOf(slice));
    },
  };
}

/** What the node says on the service's health check port; undefined where it has none. */
function healthCheckOf(service: Service, slices: readonly EndpointSlice[], nodeName: string): HealthCheck | undefined {
  const { type, externalTrafficPolicy, healthCheckNodePort: port = 0, ports = [] } = service.spec ?? {};
  if (type !== "LoadBalancer" || externalTrafficPolicy !== "Local" || port === 0) return undefined;
  const { name = "", namespace = "" } = service.metadata;
  const localOf = (one: ServicePort, family: Family) =>
    backendsOf(one, slices, { nodeName, zone: "" }, () => true, family).local.length;
  const local = ports.flatMap((one) => [localOf(one, "IPv4"), localOf(one, "IPv6")]);
  return { port, namespace, name, localEndpoints: Math.max(0, ...local) };
}
