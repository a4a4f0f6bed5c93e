/** The node's service proxy: watches Services and EndpointSlices of all tenants and keeps this node's table true to them. */
import type { Log } from "#platform/base/log.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { type RunProgram, runProgram } from "../host/program.ts";
import { TableLoop } from "../nft/loop.ts";
import {
  type EndpointSlice,
  endpointSlices,
  SERVICE_NAME_LABEL,
  type Service,
  services as servicesResource,
} from "../objects.ts";
import { forgetUdpFlows } from "./conntrack.ts";
import { type Fragment, type ProxySettings, renderBase, renderService, SHARED_SETS } from "./render.ts";
import { udpChanges } from "./state.ts";

export interface ProxyOptions {
  /** Its tenant is changed to the wildcard here. */
  client: Client;
  settings: ProxySettings;
  log: Log;
  signal: AbortSignal;
  run?: RunProgram;
}

export interface RunningProxy {
  /** Resolves once all services that there were at the start are programmed. */
  ready: Promise<void>;
  /** Resolves when the signal has aborted and the last transaction is over. The rules stay: traffic outlives the process. */
  stopped: Promise<void>;
}

const BY_SERVICE = "service";

const serviceKeyOf = (slice: EndpointSlice): string =>
  `${tenantOf(slice)}/${slice.metadata.namespace ?? ""}/${slice.metadata.labels?.[SERVICE_NAME_LABEL] ?? ""}`;

export function startProxy(options: ProxyOptions): RunningProxy {
  const { log, signal, settings, run = runProgram } = options;
  const client = options.client.tenant("*");
  const services = createInformer<Service>(client, servicesResource, { log });
  const slices = createInformer<EndpointSlice>(client, endpointSlices, {
    log,
    labelSelector: SERVICE_NAME_LABEL,
    indexes: { [BY_SERVICE]: (slice) => [serviceKeyOf(slice)] },
  });
  const loop = new TableLoop<Fragment>({
    table: settings.table,
    what: "services",
    base: renderBase(settings),
    sharedSets: SHARED_SETS,
    keys: () => services.list().map(keyOf),
    render(key) {
      const service = services.get(key);
      return service && renderService(service, slices.byIndex(BY_SERVICE, key), settings);
    },
    async written(updates, before) {
      for (const problem of await forgetUdpFlows(udpChanges(updates, before), run))
        log.warn("flows of an endpoint that is gone could not be forgotten", { problem });
    },
    log,
    signal,
    run,
  });
  services.on({
    added: (s) => loop.touch(keyOf(s)),
    updated: (s) => loop.touch(keyOf(s)),
    deleted: (s) => loop.touch(keyOf(s)),
  });
  slices.on({
    added: (s) => loop.touch(serviceKeyOf(s)),
    updated: (s, old) => {
      loop.touch(serviceKeyOf(s));
      loop.touch(serviceKeyOf(old));
    },
    deleted: (s) => loop.touch(serviceKeyOf(s)),
  });
  let synced: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    synced = resolve;
  });
  const stopped = (async () => {
    await Promise.all([services.start(signal), slices.start(signal)]);
    await loop.run(synced);
  })();
  return { ready, stopped };
}
