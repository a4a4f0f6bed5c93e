/** Plugin objects in memory, for tests of the host. */
import { tenantOf } from "#sdk/client/port.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";
import type { PluginSource } from "../host.ts";

export interface FakeSource extends PluginSource {
  put(plugin: Plugin): void;
  remove(name: string): void;
}

/** "name" of root's, "tenant/name" of another tenant's. */
const keyOf = (plugin: Plugin): string =>
  [tenantOf(plugin), plugin.metadata.name].filter((part) => part !== "root").join("/");

export function createFakeSource(plugins: Plugin[] = []): FakeSource {
  const objects = new Map(plugins.map((plugin) => [keyOf(plugin), plugin]));
  const handlers: Parameters<PluginSource["on"]>[0][] = [];
  return {
    list: () => [...objects.values()],
    on: (handler) => void handlers.push(handler),
    put(plugin) {
      const old = objects.get(keyOf(plugin));
      objects.set(keyOf(plugin), plugin);
      for (const handler of handlers) old ? handler.updated?.(plugin, old) : handler.added?.(plugin);
    },
    remove(name) {
      const old = objects.get(name);
      objects.delete(name);
      if (old) for (const handler of handlers) handler.deleted?.(old);
    },
  };
}
