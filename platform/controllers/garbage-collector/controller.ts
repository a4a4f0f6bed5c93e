/** Watches the metadata of every resource and collects what has lost its owners. */
import { messageOf } from "#platform/base/log.ts";
import { runController } from "#sdk/client/controller.ts";
import { type DiscoveredResource, discover } from "#sdk/client/discovery.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { createBackoff, pause } from "#sdk/client/log.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import type { Controller, ControllerContext } from "../context.ts";
import { collect } from "./collect.ts";
import { createGraph } from "./graph.ts";

const WORKERS = 10;
/** New resources (custom ones) are found so often. */
const DISCOVER_EVERY_MS = 30_000;
/** Events come and go by the thousand and own nothing (upstream ignores them too). */
const IGNORED = new Set(["/events", "events.k8s.io/events"]);
const NEEDED = ["list", "watch", "delete", "patch"];

export const garbageCollector: Controller = {
  name: "garbage-collector",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 300_000 });
    const graph = createGraph();
    const watched = new Map<string, DiscoveredResource>();
    const resourceOf = (group: string, kind: string) =>
      [...watched.values()].find((r) => r.group === group && r.kind === kind);
    const enqueue = (ids: string[]) => {
      for (const id of ids) queue.add(id);
    };
    const watch = (resource: DiscoveredResource): Promise<void> => {
      watched.set(`${resource.group}/${resource.resource}`, resource);
      const informer = createInformer(context.client.tenant("*"), resource, { metadataOnly: true, log: context.log });
      informer.on({
        added: (object) => enqueue(graph.put(resource, object)),
        updated: (object) => enqueue(graph.put(resource, object)),
        deleted: (object) => enqueue(graph.remove(object)),
      });
      return informer.start(context.signal);
    };
    const discovering = keepDiscovering(context, async (resources) => {
      const added = resources.filter((r) => !watched.has(`${r.group}/${r.resource}`));
      await Promise.all(added.map(watch));
    });
    await discovering.first;

    await runController({
      name: "garbage-collector",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      reconcile: (id) => collect({ client: context.client, graph, resourceOf, enqueue: queue.add }, id),
    });
    await discovering.done;
  },
};

/** `first` resolves when the resources found first are watched; nothing is collected before that. */
function keepDiscovering(
  context: ControllerContext,
  found: (resources: DiscoveredResource[]) => Promise<void>,
): { first: Promise<void>; done: Promise<void> } {
  const first = Promise.withResolvers<void>();
  const loop = async () => {
    const backoff = createBackoff(500, DISCOVER_EVERY_MS);
    while (!context.signal.aborted) {
      try {
        const { resources } = await discover(context.client);
        const usable = resources.filter(
          (r) => NEEDED.every((verb) => r.verbs.includes(verb)) && !IGNORED.has(`${r.group}/${r.resource}`),
        );
        await found(usable);
        first.resolve();
        await pause(DISCOVER_EVERY_MS, context.signal);
      } catch (error) {
        context.log.warn("discovery failed", { controller: "garbage-collector", error: messageOf(error) });
        await pause(backoff.nextMs(), context.signal);
      }
    }
    first.resolve();
  };
  return { first: first.promise, done: loop() };
}
