/**
 * Programs of a node that serve gRPC at a socket of their own (volume drivers, device plugins): for each an instance of the one component that
 * speaks their API, which reaches that socket and no other (decisions/046); and the components of the same world that need no program. What
 * people approved in the adapter's Plugin stands for all of its instances.
 */
import { createPluginHost } from "#platform/plugin-host/host.ts";
import type { LoadedPlugin, PluginHost, PluginHostOptions, PluginSource } from "#platform/plugin-host/port.ts";
import type { Plugin, World } from "#sdk/plugin/manifest.ts";

export interface Adapter {
  world: World;
  /** The Plugin that stands for every program with a socket, and the variable in its grant. */
  plugin: string;
  socketVariable: string;
  /** Other adapters of the world. */
  others?: readonly string[];
}

export interface SocketAdapters {
  /** The host of the components that need no program. */
  natives: PluginHost;
  /** Resolves when the instance serves, or is known not to; in place of what had the name. `facts`: for `config.host`. */
  add(name: string, socket: string, facts?: Record<string, unknown>): Promise<void>;
  remove(name: string): void;
  /** The instance that speaks with this program. */
  host(name: string): PluginHost | undefined;
  /** The adapter in that instance; undefined where it is not loaded. */
  find(name: string): LoadedPlugin | undefined;
  close(): Promise<void>;
}

/** Those of a source that `isMine` names. */
function part(source: PluginSource, isMine: (plugin: Plugin) => boolean): PluginSource {
  return {
    list: () => source.list().filter(isMine),
    on: ({ added, updated, deleted }) =>
      source.on({
        added: (plugin) => void (isMine(plugin) && added?.(plugin)),
        updated: (plugin, old) => void (isMine(plugin) && updated?.(plugin, old)),
        deleted: (plugin) => void (isMine(plugin) && deleted?.(plugin)),
      }),
  };
}

/** `options.client` is used for the components without a program: what a socket's instance has to say is said in pods' events. */
export function createSocketAdapters(options: Omit<PluginHostOptions, "worlds">, adapter: Adapter): SocketAdapters {
  const isAdapter = ({ metadata }: Plugin) => metadata.name === adapter.plugin;
  const isNative = (plugin: Plugin) =>
    !isAdapter(plugin) && adapter.others?.includes(plugin.metadata.name ?? "") !== true;
  const natives = createPluginHost({
    ...options,
    worlds: [adapter.world],
    plugins: part(options.plugins, isNative),
  });
  const programs = new Map<string, { host: PluginHost; entry: object }>();
  const { client: _, ...silent } = options;

  const end = async (name: string): Promise<void> => {
    const known = programs.get(name);
    programs.delete(name);
    await known?.host.close();
  };
  return {
    natives,
    async add(name, socket, facts = {}) {
      await end(name);
      const entry = {};
      const host = createPluginHost({
        ...silent,
        instance: `${options.instance}-${name}`,
        worlds: [adapter.world],
        // The source goes on telling a host that has ended.
        plugins: part(options.plugins, (plugin) => isAdapter(plugin) && programs.get(name)?.entry === entry),
        variables: { ...options.variables, [adapter.socketVariable]: socket },
        facts: { ...options.facts, ...facts },
      });
      programs.set(name, { host, entry });
      host.start();
      await host.ready();
    },
    remove: (name) => void end(name).catch(() => undefined),
    host: (name) => programs.get(name)?.host,
    find: (name) =>
      programs
        .get(name)
        ?.host.loaded(adapter.world)
        .find((one) => one.name === adapter.plugin),
    async close() {
      await Promise.all([natives.close(), ...[...programs.keys()].map(end)]);
    },
  };
}
