/** World proxy: one enabled plugin makes the node's rules of services. The shapes are those of the node network's port. */
import type { ProxyDelta } from "#sdk/plugin/types.ts";
import type { PluginHost } from "../../host.ts";
import { only } from "./only.ts";

const HOOKS = "proxy-hooks";

export interface ProxyCalls {
  /** The plugin with its version; undefined: none is enabled. */
  current(): string | undefined;
  onChange(listener: () => void): void;
  startsWith(whole: () => ProxyDelta): void;
  render(delta: ProxyDelta): Promise<void>;
  addresses(addresses: string[]): Promise<void>;
}

/** Call before `host.start()`. Calls reject with PluginCallError, whose message a person can act on. */
export function createProxyCalls(host: PluginHost): ProxyCalls {
  let whole: (() => ProxyDelta) | undefined;
  // An instance has what the one before it knew, whichever call it is made for.
  host.prepare("proxy", () => async (call) => {
    if (whole) await call(`capstan:plugin/${HOOKS}@1.0.0`, "render", [whole()]);
  });
  host.parting("proxy", HOOKS, "remove");
  const call = (hook: string, args: unknown[]) => only(host, "proxy", hook).call(HOOKS, hook, args);
  return {
    current() {
      const plugin = host.loaded("proxy")[0];
      return plugin && `${plugin.name} ${plugin.spec.version} (${plugin.spec.digest})`;
    },
    onChange: (listener) => host.onChange(listener),
    startsWith(answer) {
      whole = answer;
    },
    render: async (delta) => void (await call("render", [delta])),
    addresses: async (addresses) => void (await call("addresses", [addresses])),
  };
}
