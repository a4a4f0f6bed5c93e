/** The supervisor's own process. SIGTERM: stop everything in order, pods too. */
import { createLog, messageOf } from "#platform/base/log.ts";
import { stopBalancers } from "#platform/network/host/balancer.ts";
import { stopComponents } from "#platform/node/wasm/runtime.ts";
import type { Command } from "../command.ts";
import { paths, readConfig } from "../config.ts";
import { releaseHostPorts } from "../host-changes.ts";
import { stopPods } from "../pods.ts";
import { forget, isAlive, readIdentity, writeIdentity } from "../processes.ts";
import { processSpecs } from "../specs.ts";
import { UserError } from "../steps.ts";
import { Supervisor } from "../supervisor.ts";

export const supervise: Command = {
  usage: "supervise",
  help: "",
  internal: true,
  async run(options) {
    const config = readConfig(options.dataDir);
    const log = createLog("info", { role: "supervisor" });
    const { run, logs } = paths(config.dataDir);
    const other = readIdentity(run, "supervisor");
    if (isAlive(other) && other.pid !== process.pid)
      throw new UserError(`a supervisor already runs (pid ${other.pid})`, "npm run down");
    writeIdentity(run, "supervisor", process.pid);
    const ending = new AbortController();
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => ending.abort());
    const supervisor = new Supervisor(await processSpecs(config), { runDir: run, logsDir: logs, log });
    await supervisor.run(ending.signal);
    log.info("stopping everything");
    // The agent is gone by then, so nothing starts again what is stopped here; its containerd still answers.
    await supervisor.stopAll(async (name) => {
      const node = config.nodes.find((n) => `node-${n.name}` === name);
      if (!node) return;
      await stopComponents(paths(config.dataDir).wasm(node.name));
      if (!node.componentsOnly) await stopPods(node, log);
    });
    if (config.nodes.some((node) => !node.componentsOnly)) {
      await stopBalancers(config.dataDir);
      await releaseHostPorts(config).catch((error: unknown) =>
        log.warn("host ports of stopped pods could not be released", { error: messageOf(error) }),
      );
    }
    forget(run, "supervisor");
    return 0;
  },
};
