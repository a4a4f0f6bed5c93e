/** `capstan plugin dev`: builds at each change of the source, runs the tests, and swaps the component in the running platform. */
import { watch } from "node:fs";
import { join, relative, resolve } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import { outDirOf } from "#sdk/cli/test.ts";
import type { Client } from "#sdk/client/port.ts";
import { buildPlugin } from "#sdk/plugin/build.ts";
import { agreed, placeComponent, putPlugin, serving } from "./install.ts";
import { buildOptions, type PluginOptions, pluginClient, say } from "./options.ts";

/** Editors write a file in several steps. */
const SETTLE_MS = 50;
/** What a build writes, and what is not source. */
const IGNORED = /^(dist|node_modules|capstan|\.git)(\/|$)|^capstan\.h$|~$|\.swp$/;

export const dev = {
  usage: "dev [DIR]",
  help: "builds and swaps it in the running platform at each change",
  async run(options: PluginOptions, [dir = "."]: string[]): Promise<number> {
    const folder = resolve(dir);
    const { client, close } = pluginClient(options);
    const { manifest } = await buildPlugin(folder, outDirOf(folder), buildOptions(options));
    if (!(await agreed(manifest, options))) return 1;
    await swap(folder, options, client);
    await new Promise<void>((resolve_) => {
      const stop = watching(folder, () => swap(folder, options, client));
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve_(stop()));
    });
    close();
    return 0;
  },
};

/** Calls `changed` after changes, one at a time. Answers what ends it. */
function watching(folder: string, changed: () => Promise<void>): () => void {
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  let again = false;
  const run = async () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    do {
      again = false;
      await changed();
    } while (again);
    running = false;
  };
  const watcher = watch(folder, { recursive: true }, (_event, name) => {
    if (name === null || IGNORED.test(relative(folder, join(folder, name)))) return;
    clearTimeout(timer);
    timer = setTimeout(() => void run(), SETTLE_MS);
  });
  say(`watching ${folder}: Ctrl-C ends it, the plugin stays`);
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}

/** One build and swap; what goes wrong is said, and the version before goes on serving. */
async function swap(folder: string, options: PluginOptions, client: Client): Promise<void> {
  const started = Date.now();
  const seconds = () => ((Date.now() - started) / 1000).toFixed(1);
  try {
    const { manifest, digest, path } = await buildPlugin(folder, outDirOf(folder), buildOptions(options));
    const builtIn = seconds();
    placeComponent(options, path, digest);
    await putPlugin(client, { manifest, digest }, options.tenant);
    const where = await serving(client, manifest.name, digest);
    say(`✔ ${digest.slice(0, 19)}  built in ${builtIn} s, swapped after ${seconds()} s\n${where}`);
  } catch (error) {
    say(`✖ ${messageOf(error)}`);
  }
}
