/** A plugin's own user; what it may do is RBAC's to say, like for anybody else. */
import type { PluginHostOptions } from "#platform/plugin-host/host.ts";
import { installPlugins as install } from "#plugins/build.ts";
import { PLUGIN_USER_PREFIX, PLUGINS_GROUP, TENANT_PLUGIN_USER_PREFIX } from "#sdk/api/object.ts";
import { type ClientOptions, createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { admissionSwitches } from "./admission-options.ts";
import { type Config, paths } from "./config.ts";

/** Root's plugins are judged by root's roles wherever they are called; another tenant's, by that tenant's. */
export const pluginUser = (plugin: string, owner: string): string =>
  (owner === "root" ? PLUGIN_USER_PREFIX : TENANT_PLUGIN_USER_PREFIX) + plugin;

/** Connections of people for whom panels act. */
const VIEWERS_MAX = 100;

/** The API as the plugins' own users, over connections that a role's credential opens. */
export function pluginClients(role: ClientOptions): {
  clientFor: NonNullable<PluginHostOptions["clientFor"]>;
  close(): void;
} {
  const clients = new Map<string, Client>();
  const viewers: string[] = [];
  return {
    clientFor(plugin, tenant, owner, viewer) {
      const user = viewer?.name ?? pluginUser(plugin, owner);
      const group = viewer?.groups ?? PLUGINS_GROUP;
      const key = viewer ? JSON.stringify(["viewer", user, group]) : user;
      let client = clients.get(key);
      if (!client) {
        client = createClient({ ...role, userAgent: `capstan-plugin/${plugin}`, impersonate: { user, group } });
        clients.set(key, client);
        if (viewer) viewers.push(key);
      }
      if (viewers.length > VIEWERS_MAX) {
        const oldest = viewers.shift() ?? "";
        clients.get(oldest)?.close();
        clients.delete(oldest);
      }
      // A tenant's plugin is at home there and nowhere else, whatever the call is for.
      return client.tenant(owner === "root" ? tenant : owner);
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
    const { enableAdmissionPlugins, disableAdmissionPlugins } = config.server ?? {};
    const { components } = admissionSwitches(enableAdmissionPlugins, disableAdmissionPlugins);
    return await install(client, paths(config.dataDir).components, components);
  } finally {
    client.close();
  }
}
