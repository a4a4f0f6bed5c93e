import * as api from "#sdk/plugin/api.ts";
import { readConfig, readHost } from "#sdk/plugin/config.ts";
import { defineController } from "#sdk/plugin/define.ts";
import { run } from "#sdk/plugin/exec.ts";
import { PluginFailure } from "#sdk/plugin/failure.ts";
import * as files from "#sdk/plugin/files.ts";
import { createHooks } from "./reconcile.ts";

/** Undefined where there is none. */
function read(tree: string, path: string): string | undefined {
  try {
    return files.read(tree, path);
  } catch (error) {
    if (error instanceof PluginFailure && error.reason === "NotFound") return undefined;
    throw error;
  }
}

export const controller = defineController(
  createHooks({
    api,
    files: { ...files, read },
    run: (program, args, o = {}) => run(program, { args, ...o }),
    settings() {
      const { brokers = [], directory = "" } = readConfig<{ brokers?: string[]; directory?: string }>();
      const { collectorDir = "", podLogs = "" } = readHost() as { collectorDir?: string; podLogs?: string };
      return { brokers, directory: directory || `${collectorDir}/topics`, podLogs, state: collectorDir };
    },
  }),
);
