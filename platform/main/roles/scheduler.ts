/** The role "scheduler". Several may run: none leads, the API refuses what is decided twice. */
import { hostname } from "node:os";
import { createSchedulingPlugins } from "#platform/plugin-host/worlds/v1/scheduling.ts";
import { startScheduler } from "#platform/scheduler/scheduler.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { paths } from "../config.ts";
import { pluginClients } from "../plugin-users.ts";
import { rolePlugins } from "../plugins.ts";
import type { StartRole } from "../role.ts";

export const start: StartRole = async ({ config, log }) => {
  const kubeconfig = loadKubeconfig(paths(config.dataDir).roleKubeconfig("scheduler"));
  const client = createClient({ ...kubeconfig, userAgent: "capstan-scheduler" });
  const stopping = new AbortController();
  const { signal } = stopping;
  const users = pluginClients(kubeconfig);
  const loader = rolePlugins({
    role: "scheduler",
    clientFor: users.clientFor,
    instance: `scheduler-${hostname()}`,
    worlds: ["filter", "score"],
    config,
    client,
    log,
    signal,
  });
  const plugins = createSchedulingPlugins(loader.host, log);
  // No pod is bound before the filters are there: without one, every node would be feasible.
  const scheduler = loader.load().then(() => startScheduler({ client, plugins, log, signal }));
  return {
    ready: scheduler.then(({ ready }) => ready),
    async stop() {
      stopping.abort();
      await (await scheduler).done;
      await loader.host.close();
      users.close();
      client.close();
    },
  };
};
