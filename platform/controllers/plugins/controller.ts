/** Writes the conditions of Plugin objects, keeps their revisions, and records events when one stops serving or waits for approval. */
import { systemClock } from "#platform/base/clock.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { keyOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { PLUGINS, type Plugin, type PluginCondition } from "#sdk/plugin/manifest.ts";
import { type Controller, synced } from "../context.ts";
import { sameJson } from "../objects.ts";
import { findings } from "./reconcile.ts";

export const pluginController: Controller = {
  name: "plugin",
  async start(context) {
    const queue = createWorkQueue();
    const plugins = createInformer<Plugin>(context.client.tenant("*"), PLUGINS, { log: context.log });
    const recorder = context.recorder("plugin-controller");
    plugins.on({
      added: (plugin) => queue.add(keyOf(plugin)),
      updated: (plugin, old) => {
        // The counts of its processes change every other second; what is found here depends on none.
        if (!sameJson(told(plugin), told(old))) queue.add(keyOf(plugin));
      },
    });
    const following = plugins.start(context.signal);
    if (!(await synced(context.signal, plugins))) return;
    await runController({
      name: "plugin",
      queue,
      workers: 2,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const plugin = plugins.get(key);
        if (!plugin) return undefined;
        const found = findings(plugin, systemClock.now());
        const { asked = "", conditions = [], revisions = [] } = plugin.status ?? {};
        if (sameJson(found, { asked, conditions, revisions })) return undefined;
        const { tenant, name } = splitKey(key);
        try {
          const body = { status: JSON.parse(JSON.stringify(found)) };
          await context.client
            .tenant(tenant)
            .patch(PLUGINS, { name }, { type: "merge", body }, { subresource: "status" });
        } catch (error) {
          if (!isReason(error, "NotFound")) throw error;
        }
        tell(recorder, plugin, conditions, found.conditions);
        return undefined;
      },
    });
    await following;
  },
};

const told = ({ metadata, spec, status }: Plugin) => [
  metadata.generation,
  spec,
  Object.entries(status?.hosts ?? {}).map(([at, { state, reason }]) => [at, state, reason]),
];

const WARNINGS = new Set(["Quarantined", "BackingOff", "InvalidSpec", "NotLoaded"]);

/** An event for each condition that has become false, or true again. */
function tell(
  recorder: Recorder,
  plugin: Plugin,
  before: readonly PluginCondition[],
  after: readonly PluginCondition[],
) {
  for (const { type, status, reason, message } of after) {
    const was = before.find((condition) => condition.type === type);
    if (status === "Unknown" || (was?.status === status && was.reason === reason)) continue;
    if (!was && status === "True") continue;
    recorder.event(plugin, WARNINGS.has(reason) ? "Warning" : "Normal", reason, message);
  }
}
