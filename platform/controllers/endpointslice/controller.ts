/** Keeps the EndpointSlices of services with a selector (upstream: pkg/controller/endpointslice). */
import type { EndpointSlice } from "#sdk/api/generated/types.ts";
import { runController } from "#sdk/client/controller.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { isTerminating, namespaceKey } from "../objects.ts";
import { MadeSlices } from "./made.ts";
import { MANAGED_BY, MANAGER, planSlices, SERVICE_NAME } from "./reconcile.ts";
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
    const made = new MadeSlices();
    const enqueueServiceOf = (slice: EndpointSlice) => {
      const service = slice.metadata.labels?.[SERVICE_NAME];
      if (service && slice.metadata.labels?.[MANAGED_BY] === MANAGER) queue.add(`${namespaceKey(slice)}/${service}`);
    };
    // Somebody else's change of one of ours is undone; our own comes out as no difference.
    slices.on({ added: enqueueServiceOf, updated: enqueueServiceOf, deleted: enqueueServiceOf });
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
        if (!service || isTerminating(service) || !isManaged(service)) return made.forget(key);
        const shown = () => slices.byIndex("service", key).filter((s) => s.metadata.labels?.[MANAGED_BY] === MANAGER);
        const selected = pods.byIndex("namespace", namespaceKey(service)).filter((pod) => selects(service, pod));
        // Nodes are root's, whoever's the pod is.
        const plan = planSlices(service, selected, made.with(key, shown()), (name) => nodes.get(`root//${name}`));
        await made.apply(clientFor(context, service), key, plan, shown);
      },
    });
  },
};
