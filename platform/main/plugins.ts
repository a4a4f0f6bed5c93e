/** The plugin host of one role: fed by the Plugin objects of all tenants, ready once those that are there now are loaded. */
import { join } from "node:path";
import type { Log } from "#platform/base/log.ts";
import { createPluginHost, type PluginHost, type PluginHostOptions } from "#platform/plugin-host/host.ts";
import { PluginLogs } from "#platform/plugin-host/logs.ts";
import { quotaOf } from "#platform/plugin-host/quota.ts";
import type { Tenant } from "#sdk/api/generated/types.ts";
import { createInformer } from "#sdk/client/informer.ts";
import type { Client } from "#sdk/client/port.ts";
import { PLUGINS, type Plugin, type World } from "#sdk/plugin/manifest.ts";
import { type Config, paths } from "./config.ts";

export interface RolePlugins extends Pick<PluginHostOptions, "clientFor" | "variables" | "facts" | "pureMsMax"> {
  role: string;
  instance: string;
  worlds: readonly World[];
  config: Config;
  client: Client;
  log: Log;
  signal: AbortSignal;
}

const TENANTS = { group: "capstan.dev", version: "v1", resource: "tenants" } as const;

export interface StartedPlugins {
  host: PluginHost;
  /** Every tenant's, with what all processes say of them. */
  objects(): Plugin[];
  /** Starts loading. Resolves when every plugin that is there now serves, or is known not to for now. */
  load(): Promise<void>;
}

/** Adapters of the worlds are made on `host` between this and `load`. */
export function rolePlugins(options: RolePlugins): StartedPlugins {
  const { config, client, log, signal, ...rest } = options;
  const plugins = createInformer<Plugin>(client.tenant("*"), PLUGINS, { log });
  const tenants = createInformer<Tenant>(client, TENANTS, { log });
  const host = createPluginHost({
    ...rest,
    engine: config.engine,
    componentsDir: paths(config.dataDir).components,
    plugins,
    client,
    quota: (tenant) => quotaOf(tenants.get(keyOfTenant(tenant))?.spec?.plugins),
    logs: pluginLogs(config, rest.role, log),
    log,
  });
  return {
    host,
    objects: () => plugins.list(),
    async load() {
      await Promise.all([plugins.start(signal), tenants.start(signal)]);
      if (signal.aborted) return;
      host.start();
      await host.ready();
    },
  };
}

/** As the informer on root's tenants keys them. */
const keyOfTenant = (name: string): string => `root//${name}`;

/** Beside the roles' logs. */
export const pluginLogDirectory = (config: Config): string => join(paths(config.dataDir).logs, "plugins");

export const pluginLogs = (config: Config, role: string, log: Log): PluginLogs =>
  new PluginLogs(pluginLogDirectory(config), role, log);
