/** A plugin's own user; what it may do is RBAC's to say, like for anybody else. */
import type { PluginHostOptions } from "#platform/plugin-host/host.ts";
import { installPlugins as install } from "#plugins/build.ts";
import { PLUGIN_USER_PREFIX, PLUGINS_GROUP } from "#sdk/api/object.ts";
import { type ClientOptions, createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { type Config, paths } from "./config.ts";

export const pluginUser = (plugin: string): string => PLUGIN_USER_PREFIX + plugin;

/** The API as the plugins' own users, over connections that a role's credential opens. */
export function pluginClients(role: ClientOptions): {
  clientFor: NonNullable<PluginHostOptions["clientFor"]>;
  close(): void;
} {
  const clients = new Map<string, Client>();
  return {
    clientFor(plugin, tenant) {
      let client = clients.get(plugin);
      if (!client) {
        const impersonate = { user: pluginUser(plugin), group: PLUGINS_GROUP };
        client = createClient({ ...role, userAgent: `capstan-plugin/${plugin}`, impersonate });
        clients.set(plugin, client);
      }
      return client.tenant(tenant);
    },
    close() {
      for (const client of clients.values()) client.close();
    },
  };
}

/** The first-party Plugin objects, as the admin; answers the names of those that were not as they should be. */
export async function installPlugins(config: Config): Promise<string[]> {
  const client = createClient({ ...loadKubeconfig(paths(config.dataDir).kubeconfig), userAgent: "capstan-up" });
  try {
    return await install(client, paths(config.dataDir).components);
  } finally {
    client.close();
  }
}
