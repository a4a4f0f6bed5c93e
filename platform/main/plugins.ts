/** The plugin host of one role: fed by the Plugin objects of root, ready once those that are there now are loaded. */
import type { Log } from "#platform/base/log.ts";
import { createPluginHost, type PluginHost, type PluginHostOptions } from "#platform/plugin-host/host.ts";
import { createInformer } from "#sdk/client/informer.ts";
import type { Client } from "#sdk/client/port.ts";
import { PLUGINS, type Plugin, type World } from "#sdk/plugin/manifest.ts";
import { type Config, paths } from "./config.ts";

export interface RolePlugins extends Pick<PluginHostOptions, "clientFor" | "variables" | "facts"> {
  role: string;
  instance: string;
  worlds: readonly World[];
  config: Config;
  client: Client;
  log: Log;
  signal: AbortSignal;
}

export interface StartedPlugins {
  host: PluginHost;
  /** Starts loading. Resolves when every plugin that is there now serves, or is known not to for now. */
  load(): Promise<void>;
}

/** Adapters of the worlds are made on `host` between this and `load`. */
export function rolePlugins(options: RolePlugins): StartedPlugins {
  const { config, client, log, signal, ...rest } = options;
  const plugins = createInformer<Plugin>(client, PLUGINS, { log });
  const componentsDir = paths(config.dataDir).components;
  const host = createPluginHost({ ...rest, engine: config.engine, componentsDir, plugins, client, log });
  return {
    host,
    async load() {
      await plugins.start(signal);
      if (signal.aborted) return;
      host.start();
      await host.ready();
    },
  };
}
