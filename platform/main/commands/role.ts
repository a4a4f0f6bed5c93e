/** Runs one role in this process until it is told to stop. */
import { enableCompileCache, flushCompileCache } from "node:module";
import { createLog, messageOf } from "#platform/base/log.ts";
import type { Command } from "../command.ts";
import { paths, readConfig } from "../config.ts";
import { markReady } from "../processes.ts";
import type { StartRole } from "../role.ts";
import { UserError } from "../steps.ts";

/** One list: adding a role is a file in roles/ and a line. Loaded on demand, so that a role's process holds only its own code. */
const roles: Record<string, () => Promise<{ start: StartRole }>> = {
  apiserver: () => import("../roles/apiserver.ts"),
  controllers: () => import("../roles/controllers.ts"),
  scheduler: () => import("../roles/scheduler.ts"),
  console: () => import("../roles/console.ts"),
  node: () => import("../roles/node.ts"),
};

const STOP_MS_MAX = 15_000;

export const role: Command = {
  usage: "role NAME",
  help: "run one role in the foreground (also: up --role NAME)",
  async run(options, [name]) {
    const process_ = name ?? "";
    const [kind = ""] = /^(node|scheduler)(?=-)/.exec(process_) ?? [process_];
    const load = roles[kind];
    if (!load)
      throw new UserError(
        `there is no role "${process_}"`,
        `one of: ${Object.keys(roles).join(", ")} (node-NAME for a node)`,
      );
    const config = readConfig(options.dataDir);
    const log = createLog("info", { role: process_ });
    // Stripping types and compiling is more than half of a start (decisions/116).
    enableCompileCache(paths(config.dataDir).compiled);
    const { start } = await load();
    const running = await start({
      config,
      log,
      ...(kind === "node" ? { nodeName: process_.slice("node-".length) } : {}),
      ...(kind === "scheduler" ? { index: Number(/-(\d+)$/.exec(process_)?.[1] ?? 1) - 1 } : {}),
    });
    const stopped = new Promise<string>((resolve) => {
      for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve(signal));
    });
    running.ready.then(
      () => {
        markReady(paths(config.dataDir).run, process_);
        log.info("ready");
        // Whoever is killed leaves it, too.
        flushCompileCache();
      },
      (error: unknown) => {
        log.error("cannot start", { error: messageOf(error) });
        process.exit(1);
      },
    );
    log.info("stopping", { signal: await stopped });
    setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
    await running.stop();
    process.exit(0);
  },
};
