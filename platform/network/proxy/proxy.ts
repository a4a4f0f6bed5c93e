/** The node's service proxy: watches Services and EndpointSlices of all tenants and keeps this node's table true to them. */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, type Informer, keyOf, tenantOf } from "#sdk/client/port.ts";
import { type RunProgram, runProgram } from "../host/program.ts";
import {
  type EndpointSlice,
  endpointSlices,
  SERVICE_NAME_LABEL,
  type Service,
  services as servicesResource,
} from "../objects.ts";
import { forgetUdpFlows } from "./conntrack.ts";
import { type Fragment, type ProxySettings, renderBase, renderService, SHARED_SETS } from "./render.ts";
import { ServiceRules } from "./state.ts";
import { createNftTable } from "./table.ts";

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

/** Changes that come together are written together. */
const GATHER_MS = 50;
const RETRY_MS = 2_000;
const CHECK_EVERY_MS = 30_000;
const BY_SERVICE = "service";

const serviceKeyOf = (slice: EndpointSlice): string =>
  `${tenantOf(slice)}/${slice.metadata.namespace ?? ""}/${slice.metadata.labels?.[SERVICE_NAME_LABEL] ?? ""}`;

export function startProxy(options: ProxyOptions): RunningProxy {
  const { log, signal } = options;
  const client = options.client.tenant("*");
  const services = createInformer<Service>(client, servicesResource, { log });
  const slices = createInformer<EndpointSlice>(client, endpointSlices, {
    log,
    labelSelector: SERVICE_NAME_LABEL,
    indexes: { [BY_SERVICE]: (slice) => [serviceKeyOf(slice)] },
  });
  const loop = new ProxyLoop(options, services, slices);
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

class ProxyLoop {
  private readonly dirty = new Set<string>();
  private wake: () => void = () => undefined;
  private readonly rules: ServiceRules;
  private readonly options: ProxyOptions;
  private readonly services: Informer<Service>;
  private readonly slices: Informer<EndpointSlice>;

  constructor(options: ProxyOptions, services: Informer<Service>, slices: Informer<EndpointSlice>) {
    this.options = options;
    this.services = services;
    this.slices = slices;
    this.rules = new ServiceRules(options.settings.table, SHARED_SETS);
  }

  touch(key: string): void {
    this.dirty.add(key);
    this.wake();
  }

  /** Until the signal aborts: whole at the start and after a failure, otherwise only what changed. */
  async run(synced: () => void): Promise<void> {
    const { settings, log, signal, run = runProgram } = this.options;
    const table = createNftTable(settings.table, run);
    let whole = true;
    while (!signal.aborted) {
      try {
        if (whole) {
          await this.writeAll(table);
          whole = false;
          synced();
        } else if (this.dirty.size > 0) await this.writeChanges(table, run);
        else if (!(await table.present())) {
          log.warn("the service rules were removed by somebody else and are written anew", { table: settings.table });
          whole = true;
          continue;
        }
        await this.nextChange(signal);
        await delay(GATHER_MS, signal);
      } catch (error) {
        log.error("services could not be programmed and are tried again", {
          error: messageOf(error),
          retryMs: RETRY_MS,
        });
        whole = true;
        await delay(RETRY_MS, signal);
      }
    }
  }

  private render(key: string): Fragment | undefined {
    const service = this.services.get(key);
    return service && renderService(service, this.slices.byIndex(BY_SERVICE, key), this.options.settings);
  }

  private async writeAll(table: ReturnType<typeof createNftTable>): Promise<void> {
    this.dirty.clear();
    this.rules.clear();
    const updates = new Map(this.services.list().map((service) => [keyOf(service), this.render(keyOf(service))]));
    this.rules.change(updates).commit();
    await table.replace(this.rules.all(renderBase(this.options.settings)));
    this.options.log.info("services are programmed", { services: updates.size, table: this.options.settings.table });
  }

  private async writeChanges(table: ReturnType<typeof createNftTable>, run: RunProgram): Promise<void> {
    const keys = [...this.dirty];
    this.dirty.clear();
    const change = this.rules.change(new Map(keys.map((key) => [key, this.render(key)])));
    await table.transact(change.script);
    change.commit();
    for (const problem of await forgetUdpFlows(change.udp, run))
      this.options.log.warn("flows of an endpoint that is gone could not be forgotten", { problem });
  }

  /** Resolves at the next change, or after a while, to look whether the table is still there. */
  private nextChange(signal: AbortSignal): Promise<void> {
    if (this.dirty.size > 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(done, CHECK_EVERY_MS);
      signal.addEventListener("abort", done);
      this.wake = done;
    });
  }
}
