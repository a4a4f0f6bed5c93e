/** The role "scheduler". Several may run: none leads, the API refuses what is decided twice. */
import { noPlugins } from "#platform/scheduler/framework.ts";
import { startScheduler } from "#platform/scheduler/scheduler.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { paths } from "../config.ts";
import type { StartRole } from "../role.ts";

export const start: StartRole = async ({ config, log }) => {
  const kubeconfig = loadKubeconfig(paths(config.dataDir).roleKubeconfig("scheduler"));
  const client = createClient({ ...kubeconfig, userAgent: "capstan-scheduler" });
  const stopping = new AbortController();
  const scheduler = startScheduler({ client, plugins: noPlugins, log, signal: stopping.signal });
  return {
    ready: scheduler.ready,
    async stop() {
      stopping.abort();
      await scheduler.done;
      client.close();
    },
  };
};
