/**
 * The volume drivers of a node: for each that registered a socket an instance of the component `csi`, which reaches that socket and no other;
 * and the volume components that are drivers themselves. What people approved in the Plugin `csi` stands for all of the former.
 */
import type { VolumeCalls } from "#platform/node/ports.ts";
import { createPluginHost } from "#platform/plugin-host/host.ts";
import type { PluginHost, PluginHostOptions, PluginSource } from "#platform/plugin-host/port.ts";
import { createVolumeCalls } from "#platform/plugin-host/worlds/v1/volume.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";

/** The Plugin that stands for every driver with a socket, and the variable in its grant. */
const ADAPTER = "csi";
const SOCKET = "volumeDriverSocket";

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

export interface VolumeDriverHost extends VolumeCalls {
  start(): void;
  close(): Promise<void>;
}

/** `options.client` is used for the components that are drivers: what a socket's instance has to say is said in pods' events. */
export function createVolumeDrivers(options: Omit<PluginHostOptions, "worlds">): VolumeDriverHost {
  const isAdapter = ({ metadata }: Plugin) => metadata.name === ADAPTER;
  const natives = createPluginHost({
    ...options,
    worlds: ["volume"],
    plugins: part(options.plugins, (plugin) => !isAdapter(plugin)),
  });
  const callNative = createVolumeCalls(natives);
  const drivers = new Map<string, { host: PluginHost; entry: object }>();
  const { client: _, ...silent } = options;

  const end = async (driver: string): Promise<void> => {
    const known = drivers.get(driver);
    drivers.delete(driver);
    await known?.host.close();
  };
  return {
    start: () => natives.start(),
    natives: () => natives.loaded("volume").map(({ name }) => name),
    async add(driver, socket) {
      await end(driver);
      const entry = {};
      const host = createPluginHost({
        ...silent,
        instance: `${options.instance}-${driver}`,
        worlds: ["volume"],
        // The source goes on telling a host that has ended.
        plugins: part(options.plugins, (plugin) => isAdapter(plugin) && drivers.get(driver)?.entry === entry),
        variables: { ...options.variables, [SOCKET]: socket },
      });
      drivers.set(driver, { host, entry });
      host.start();
      await host.ready();
    },
    remove: (driver) => void end(driver).catch(() => undefined),
    async call(driver, service, hook, request) {
      const known = drivers.get(driver);
      const answer = known
        ? createVolumeCalls(known.host)(ADAPTER, service, hook, request)
        : callNative(driver, service, hook, request);
      return (await answer) as object;
    },
    async close() {
      await Promise.all([natives.close(), ...[...drivers.keys()].map(end)]);
    },
  };
}
