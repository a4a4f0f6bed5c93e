/** Plugin objects in memory, for tests of the host. */
import type { Plugin } from "#sdk/plugin/manifest.ts";
import type { PluginSource } from "../host.ts";

export interface FakeSource extends PluginSource {
  put(plugin: Plugin): void;
  remove(name: string): void;
}

export function createFakeSource(plugins: Plugin[] = []): FakeSource {
  const objects = new Map(plugins.map((plugin) => [plugin.metadata.name, plugin]));
  const handlers: Parameters<PluginSource["on"]>[0][] = [];
  return {
    list: () => [...objects.values()],
    on: (handler) => void handlers.push(handler),
    put(plugin) {
      const old = objects.get(plugin.metadata.name);
      objects.set(plugin.metadata.name, plugin);
      for (const handler of handlers) old ? handler.updated?.(plugin, old) : handler.added?.(plugin);
    },
    remove(name) {
      const old = objects.get(name);
      objects.delete(name);
      if (old) for (const handler of handlers) handler.deleted?.(old);
    },
  };
}
