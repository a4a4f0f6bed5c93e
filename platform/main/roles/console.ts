/** The role "console": the web console's server. Its kubeconfig names the API server and its authority, and no user. */
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { consoleDist } from "#web/build.ts";
import { createConsole } from "#web/server/index.ts";
import { paths } from "../config.ts";
import type { StartRole } from "../role.ts";

export const start: StartRole = async ({ config, log }) => {
  const { server, ca = "" } = loadKubeconfig(paths(config.dataDir).roleKubeconfig("console"));
  const console_ = await createConsole({
    apiUrl: server,
    ca,
    host: config.console.host,
    port: config.console.port,
    log,
    staticDir: consoleDist,
  });
  log.info("listening", { url: console_.url });
  return { ready: Promise.resolve(), stop: () => console_.close() };
};
