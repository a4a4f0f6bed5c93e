/** Watches the metadata of every resource and collects what has lost its owners. */
import { messageOf } from "#platform/base/log.ts";
import type { CustomResourceDefinition } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { runController } from "#sdk/client/controller.ts";
import { type DiscoveredResource, discover } from "#sdk/client/discovery.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { createBackoff, pause } from "#sdk/client/log.ts";
import { type Informer, TENANT_ANNOTATION, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, synced } from "../context.ts";
import { keyOfResource } from "../resources.ts";
import { collect } from "./collect.ts";
import { createGraph } from "./graph.ts";
import { Resources } from "./resources.ts";

const WORKERS = 10;
/** Resources of extension servers are found so often. */
const DISCOVER_EVERY_MS = 30_000;
/** Events come and go by the thousand and own nothing (upstream ignores them too). */
const IGNORED = new Set(["/events", "events.k8s.io/events"]);
const DEFINITIONS = { group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions" };
const NEEDED = ["list", "watch", "delete", "patch"];

export const garbageCollector: Controller = {
  name: "garbage-collector",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 300_000 });
    const graph = createGraph();
    const resources = new Resources();
    const watched = new Set<string>();
    const enqueue = (ids: string[]) => {
      for (const id of ids) queue.add(id);
    };
    /** In all tenants at once, whichever of them has it. */
    const watch = async (resource: DiscoveredResource): Promise<void> => {
      if (watched.has(keyOfResource(resource))) return;
      watched.add(keyOfResource(resource));
      const put = (object: KubeObject) => graph.put(resources.inTenant(tenantOf(object), resource), object);
      const informer = context.informers.of(resource) ?? ownershipOf(context, resource);
      informer.on({
        added: (object) => enqueue(put(object)),
        updated: (object) => enqueue(put(object)),
        deleted: (object) => enqueue(graph.remove(object)),
      });
      await synced(context.signal, informer);
    };
    const definitions = createInformer<CustomResourceDefinition>(context.client.tenant("*"), DEFINITIONS, {
      log: context.log,
    });
    const define = async (definition: CustomResourceDefinition) => {
      const resource = resources.define(definition);
      if (resource) await watch(resource);
    };
    definitions.on({ added: define, updated: define, deleted: (definition) => resources.forget(definition) });
    await definitions.start(context.signal);
    const discovering = keepDiscovering(context, async (found) => {
      await Promise.all(resources.discovered(found).map(watch));
    });
    await discovering.first;

    await runController({
      name: "garbage-collector",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      reconcile: (id) =>
        collect(
          { client: context.client, graph, resourceOf: resources.ofKind.bind(resources), enqueue: queue.add },
          id,
        ),
    });
    await discovering.done;
  },
};

/** What no other loop reads whole; of each object is kept what the graph is made of. */
function ownershipOf({ client, log, signal }: ControllerContext, resource: DiscoveredResource): Informer<KubeObject> {
  const informer = createInformer(client.tenant("*"), resource, { metadataOnly: true, transform: ownership, log });
  informer
    .start(signal)
    .catch((error: unknown) =>
      log.error("an informer ended", { resource: resource.resource, error: messageOf(error) }),
    );
  return informer;
}

function ownership(object: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, annotations, ...others } = object.metadata;
  const { ownerReferences, finalizers, deletionTimestamp } = others;
  const tenant = annotations?.[TENANT_ANNOTATION];
  return {
    ...(object.kind ? { apiVersion: object.apiVersion, kind: object.kind } : {}),
    metadata: {
      name,
      ...(namespace ? { namespace } : {}),
      uid,
      resourceVersion,
      ...(tenant ? { annotations: { [TENANT_ANNOTATION]: tenant } } : {}),
      ...(ownerReferences ? { ownerReferences } : {}),
      ...(finalizers ? { finalizers } : {}),
      ...(deletionTimestamp ? { deletionTimestamp } : {}),
    },
  };
}

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
