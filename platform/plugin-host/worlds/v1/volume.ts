/** World volume: each plugin is one driver. Requests and answers are JSON text of CSI's messages. */
import { PluginCallError } from "../../errors.ts";
import type { PluginHost } from "../../host.ts";

export type VolumeService = "identity" | "controller" | "node";
const HOOKS: Readonly<Record<VolumeService, string>> = {
  identity: "volume-hooks",
  controller: "volume-controller-hooks",
  node: "volume-node-hooks",
};

/** Hook names are the WIT's in camelCase. Without a request: a hook that takes none. Rejects with PluginCallError. */
export type CallVolume = (plugin: string, service: VolumeService, hook: string, request?: object) => Promise<unknown>;

export const createVolumeCalls =
  (host: PluginHost): CallVolume =>
  async (name, service, hook, request) => {
    const plugin = host.loaded("volume").find((one) => one.name === name);
    if (plugin === undefined)
      throw new PluginCallError(name, hook, "unavailable", `the volume component ${name} is not loaded`);
    const answer = await plugin.call(HOOKS[service], hook, request === undefined ? [] : [JSON.stringify(request)]);
    return answer === undefined ? {} : JSON.parse(String(answer));
  };
