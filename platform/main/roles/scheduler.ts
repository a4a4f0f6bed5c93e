/** The role "scheduler". Several may run: none leads, the API refuses what is decided twice. */
import { readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { type Log, messageOf } from "#platform/base/log.ts";
import { createFrameworks } from "#platform/plugin-host/worlds/v1/offers.ts";
import { createPermitPlugins } from "#platform/plugin-host/worlds/v1/permit.ts";
import { createSchedulingPlugins } from "#platform/plugin-host/worlds/v1/scheduling.ts";
import { type Configuration, parseConfiguration } from "#platform/scheduler/configuration.ts";
import { type Scheduler, startScheduler } from "#platform/scheduler/scheduler.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { paths } from "../config.ts";
import { pluginClients } from "../plugin-users.ts";
import { rolePlugins } from "../plugins.ts";
import type { StartRole } from "../role.ts";
import { schedulerCount } from "../server-options.ts";

/** Nobody waits for this process but pods: with thousands of nodes a first answer may take a while, and a call is dearer on other threads. */
const PURE_MS_MAX = 1_000;

/** Throws where the file cannot be read, or is none. */
function configurationOf(file: string | undefined): Configuration | undefined {
  if (file === undefined) return undefined;
  return parseConfiguration(parse(readFileSync(file, "utf8")));
}

/**
 * DATA/run/scheduler.sock (scheduler-2.sock …), for the owner of the instance: /metrics, and /traces with what was decided lately
 * (?pod=TENANT/NAMESPACE/NAME). Of several processes with the same one, the first has it.
 */
function serveInsight(scheduler: Scheduler, path: string, log: Log): Promise<Server | undefined> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://scheduler");
    if (pathname === "/metrics") response.end(scheduler.metrics());
    else if (pathname === "/traces")
      response.end(JSON.stringify(scheduler.traces(searchParams.get("pod") ?? undefined)));
    else response.writeHead(404).end();
  });
  return new Promise((resolve) => {
    const listen = () => server.listen(path, () => resolve(server));
    server.on("error", (error) => {
      log.warn("metrics and traces of the scheduler are not served", { error: messageOf(error) });
      resolve(undefined);
    });
    // A socket that nobody listens at is what a process left that was killed.
    const probe = connect(path, () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.on("error", () => {
      rmSync(path, { force: true });
      const mask = process.umask(0o077);
      listen();
      process.umask(mask);
    });
  });
}

export const start: StartRole = async ({ config, log, index = 0 }) => {
  const kubeconfig = loadKubeconfig(paths(config.dataDir).roleKubeconfig("scheduler"));
  const client = createClient({ ...kubeconfig, userAgent: "capstan-scheduler" });
  const name = index === 0 ? "scheduler" : `scheduler-${index + 1}`;
  const socket = join(paths(config.dataDir).run, `${name}.sock`);
  const stopping = new AbortController();
  const { signal } = stopping;
  const users = pluginClients(kubeconfig);
  const loader = rolePlugins({
    role: "scheduler",
    clientFor: users.clientFor,
    instance: `${name}-${hostname()}`,
    worlds: ["filter", "score", "permit", "offers"],
    pureMsMax: PURE_MS_MAX,
    config,
    client,
    log,
    signal,
  });
  const plugins = createSchedulingPlugins(loader.host, log);
  const frameworks = createFrameworks(loader.host);
  const permits = createPermitPlugins(loader.host, log);
  // No pod is bound before the filters are there: without one, every node would be feasible.
  const share = { index, count: schedulerCount(config) };
  const configuration = configurationOf(config.server?.schedulerConfig);
  const scheduler = loader
    .load()
    .then(() => startScheduler({ client, plugins, log, signal, configuration, share, frameworks, permits }));
  const looking = scheduler.then((running) => serveInsight(running, socket, log)).catch(() => undefined);
  return {
    ready: scheduler.then(({ ready }) => ready),
    async stop() {
      stopping.abort();
      (await looking)?.close();
      await (await scheduler).done;
      await loader.host.close();
      users.close();
      client.close();
    },
  };
};
