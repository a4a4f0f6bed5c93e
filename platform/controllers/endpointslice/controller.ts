/** Keeps the EndpointSlices of services with a selector (upstream: pkg/controller/endpointslice). */
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import type { keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { isTerminating, namespaceKey } from "../objects.ts";
import { ENDPOINT_SLICES } from "../resources.ts";
import { MANAGED_BY, MANAGER, planSlices } from "./reconcile.ts";
import { enqueueServices, isManaged, selects } from "./services.ts";

const WORKERS = 5;

export const endpointSliceController: Controller = {
  name: "endpointslice",
  async start(context) {
    const queue = createWorkQueue();
    const { informers } = context;
    const [services, pods, nodes, slices] = [
      informers.services(),
      informers.pods(),
      informers.nodes(),
      informers.endpointSlices(),
    ];
    enqueueServices(queue, services, pods);
    slices.on({
      // Somebody else's change of one of ours is undone; our own comes out as no difference.
      updated: (slice) => enqueueServiceOf(slice),
      deleted: (slice) => enqueueServiceOf(slice),
    });
    const enqueueServiceOf = (slice: Parameters<typeof keyOf>[0]) => {
      const service = slice.metadata.labels?.["kubernetes.io/service-name"];
      if (service && slice.metadata.labels?.[MANAGED_BY] === MANAGER) queue.add(`${namespaceKey(slice)}/${service}`);
    };
    if (!(await synced(context.signal, services, pods, nodes, slices))) return;

    await runController({
      name: "endpointslice",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const service = services.get(key);
        // The slices of a service that is gone are collected by their owner reference.
        if (!service || isTerminating(service) || !isManaged(service)) return;
        const client = clientFor(context, service);
        const existing = slices.byIndex("service", key).filter((s) => s.metadata.labels?.[MANAGED_BY] === MANAGER);
        const selected = pods.byIndex("namespace", namespaceKey(service)).filter((pod) => selects(service, pod));
        // Nodes are root's, whoever's the pod is.
        const plan = planSlices(service, selected, existing, (name) => nodes.get(`root//${name}`));
        for (const slice of plan.create) await client.create(ENDPOINT_SLICES, slice);
        for (const slice of plan.update) await client.update(ENDPOINT_SLICES, slice);
        for (const { metadata } of plan.delete) {
          try {
            const { namespace, name = "", uid } = metadata;
            await client.delete(ENDPOINT_SLICES, { namespace, name }, { preconditions: { uid } });
          } catch (error) {
            if (!isReason(error, "NotFound")) throw error;
          }
        }
      },
    });
  },
};
