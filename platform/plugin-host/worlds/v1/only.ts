import type { World } from "#sdk/plugin/manifest.ts";
import { PluginCallError } from "../../errors.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";

/** The enabled plugin of a world that one plugin fills; of several, the first by name. */
export function only(host: PluginHost, world: World, hook: string): LoadedPlugin {
  const plugin = host.loaded(world)[0];
  if (!plugin) throw new PluginCallError(world, hook, "unavailable", `no plugin of world ${world} is enabled`);
  return plugin;
}
