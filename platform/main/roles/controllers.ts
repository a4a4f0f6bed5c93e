/** The role "controllers": the built-in loops and controller plugins, while this process holds the Lease. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { controllers } from "#platform/controllers/index.ts";
import { runControllers } from "#platform/controllers/run.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { leaderElect } from "#sdk/client/leader.ts";
import { paths } from "../config.ts";
import type { StartRole } from "../role.ts";
import { whenServed } from "../served.ts";

export const start: StartRole = async ({ config, log }) => {
  const { roleKubeconfig, pki } = paths(config.dataDir);
  const client = createClient({ ...loadKubeconfig(roleKubeconfig("controllers")), userAgent: "capstan-controllers" });
  const rootCA = readFileSync(join(pki, "ca.crt"), "utf8");
  const stopping = new AbortController();
  const running = leaderElect({
    client,
    name: "capstan-controllers",
    identity: `${hostname()}_${randomUUID()}`,
    lead: (signal) => runControllers(controllers, { client, log, signal, rootCA }),
    log,
    signal: stopping.signal,
  });
  return {
    ready: whenServed(client, stopping.signal),
    async stop() {
      stopping.abort();
      await running;
      client.close();
    },
  };
};
