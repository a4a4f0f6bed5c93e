/** Our scheduler in this process, with the real components, against any API server. */
import { resolve } from "node:path";
import { silentLog } from "#platform/base/log.ts";
import { createPluginHost } from "#platform/plugin-host/host.ts";
import { createFakeSource } from "#platform/plugin-host/testing/source.ts";
import { createSchedulingPlugins } from "#platform/plugin-host/worlds/v1/scheduling.ts";
import { startScheduler } from "#platform/scheduler/scheduler.ts";
import { builtPlugins } from "#plugins/build.ts";
import type { Client } from "#sdk/client/port.ts";
import { addonReady } from "#sdk/engine/addon.ts";

const components = resolve(import.meta.dirname, "../../plugins/dist");

/** The original has no tenants: every one of them is the API itself. */
export const withoutTenants = (client: Client): Client => {
  const same: Client = Object.assign(Object.create(client) as Client, { tenant: () => same });
  return same;
};

export async function startOurs(client: Client): Promise<{ stop(): Promise<void> }> {
  const predicates = builtPlugins(components).filter(
    ({ spec }) => spec.enabled && spec.worlds.some((world) => world === "filter" || world === "score"),
  );
  const host = createPluginHost({
    role: "scheduler",
    instance: "e2e",
    engine: addonReady() ? "wasmtime" : "jco",
    componentsDir: components,
    worlds: ["filter", "score"],
    plugins: createFakeSource(predicates),
    log: silentLog,
  });
  const plugins = createSchedulingPlugins(host, silentLog);
  host.start();
  await host.ready();
  const stopping = new AbortController();
  const scheduler = startScheduler({ client, plugins, log: silentLog, signal: stopping.signal });
  await scheduler.ready;
  return {
    async stop() {
      stopping.abort();
      await scheduler.done;
      await host.close();
    },
  };
}
