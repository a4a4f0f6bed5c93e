/**
 * World controller: for each enabled plugin the informers it asks for, one queue, and as many workers as it may have instances. Runs in
 * the process that leads. Objects are read over all tenants; a reconcile is a call in the object's tenant.
 */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import type { KeyFrom, ReconcileOutcome, Watch } from "#sdk/plugin/types.ts";
import { PluginCallError } from "../../errors.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";

const WATCHES_RETRY_MS = 2000;
const RETRY_MS_MAX = 60_000;

export interface ControllerPluginsOptions {
  host: PluginHost;
  /** May read through the wildcard what root's plugins watch. */
  client: Client;
  /** The API as the user of a tenant's own plugin, which watches by its own rights. Left out: tenants' plugins are not run. */
  clientFor?: (plugin: string, tenant: string, owner: string) => Client;
  log: Log;
  /** Ends with this process's leadership. */
  signal: AbortSignal;
}

/** Resolves when the signal has aborted and the last reconcile is over. */
export async function runControllerPlugins(o: ControllerPluginsOptions): Promise<void> {
  const running = new Map<string, { stop: AbortController; done: Promise<void> }>();
  const update = () => {
    if (o.signal.aborted) return;
    const plugins = o.clientFor ? o.host.everybodys("controller") : o.host.loaded("controller");
    const wanted = new Map(plugins.map((plugin) => [versionOf(plugin), plugin]));
    for (const [version, { stop }] of running) {
      if (!wanted.has(version)) stop.abort();
    }
    for (const [version, plugin] of wanted) {
      if (running.has(version)) continue;
      const stop = new AbortController();
      const done = runPlugin(plugin, o, AbortSignal.any([o.signal, stop.signal])).catch((error: unknown) =>
        o.log.error("a controller plugin ended", { plugin: plugin.name, error: messageOf(error) }),
      );
      const ended = done.then(() => {
        running.delete(version);
        // Enabled again while its last reconcile was still under way.
        if (stop.signal.aborted) update();
      });
      running.set(version, { stop, done: ended });
    }
  };
  o.host.onChange(update);
  update();
  await new Promise<void>((resolve) => {
    if (o.signal.aborted) resolve();
    o.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await Promise.all([...running.values()].map(({ done }) => done));
}

/** Another component or configuration may watch other things. */
const versionOf = ({ name, spec }: LoadedPlugin): string => `${name} ${spec.digest} ${JSON.stringify(spec.config)}`;

async function runPlugin(plugin: LoadedPlugin, o: ControllerPluginsOptions, signal: AbortSignal): Promise<void> {
  const log = o.log.with({ plugin: plugin.name });
  const watches = await askWatches(plugin, log, signal);
  if (!watches) return;
  const queue = createWorkQueue({ lastRetryMs: RETRY_MS_MAX });
  const { tenant } = plugin;
  const own = tenant === "root" ? undefined : o.clientFor?.(plugin.name.slice(tenant.length + 1), tenant, tenant);
  const client = own ?? o.client.tenant("*");
  for (const watch of watches) {
    const informer = createInformer<KubeObject>(client, watch, {
      ...(watch.labelSelector ? { labelSelector: watch.labelSelector } : {}),
      ...(watch.fieldSelector ? { fieldSelector: watch.fieldSelector } : {}),
      log,
    });
    const concern = (object: KubeObject) => {
      const key = reconciledKey(object, watch.key, own ? tenant : tenantOf(object));
      if (key !== undefined) queue.add(key);
    };
    informer.on({
      added: concern,
      updated: (object, old) => {
        concern(old);
        concern(object);
      },
      deleted: concern,
    });
    informer.start(signal).catch((error: unknown) => {
      if (!signal.aborted) log.error("a watch ended", { resource: watch.resource, error: messageOf(error) });
    });
  }
  await runController({
    name: plugin.name,
    queue,
    workers: plugin.spec.limits.instances,
    log,
    signal,
    async reconcile(key) {
      const { requeueMs } = await reconcile(plugin, key);
      return requeueMs > 0 ? { requeueAfterMs: requeueMs } : undefined;
    },
  });
}

/** Undefined when the signal aborts first. */
async function askWatches(plugin: LoadedPlugin, log: Log, signal: AbortSignal): Promise<Watch[] | undefined> {
  while (!signal.aborted) {
    try {
      return (await plugin.call("controller-hooks", "watches", [])) as Watch[];
    } catch (error) {
      log.warn("a controller plugin does not say what it watches", { error: messageOf(error) });
      await delay(WATCHES_RETRY_MS, signal);
    }
  }
  return undefined;
}

async function reconcile(plugin: LoadedPlugin, key: string): Promise<ReconcileOutcome> {
  const request = splitKey(key);
  try {
    return (await plugin.call("controller-hooks", "reconcile", [request], {
      tenant: request.tenant,
    })) as ReconcileOutcome;
  } catch (error) {
    // A lost compare-and-swap stays what it is for the loop, which then doesn't warn of it.
    if (error instanceof PluginCallError && error.kind === "failure" && error.code === 409) {
      throw new StatusError(error.code, error.reason, error.message);
    }
    throw error;
  }
}

/** "tenant/namespace/name" of the reconciled object that a watched one is about. */
export function reconciledKey(object: KubeObject, from: KeyFrom, tenant = tenantOf(object)): string | undefined {
  const name = nameFrom(object, from);
  return name ? `${tenant}/${object.metadata.namespace ?? ""}/${name}` : undefined;
}

function nameFrom({ metadata }: KubeObject, from: KeyFrom): string | undefined {
  switch (from.tag) {
    case "self":
      return metadata.name;
    case "owner":
      return metadata.ownerReferences?.find(({ controller, kind }) => controller && kind === from.val)?.name;
    case "label":
      return metadata.labels?.[from.val];
  }
}
