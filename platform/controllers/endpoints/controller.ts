/** Keeps the Endpoints objects of services with a selector, for clients that don't read slices (upstream: pkg/controller/endpoint). */
import { isReason } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { enqueueServices, isManaged, selects } from "../endpointslice/services.ts";
import { isTerminating, namespaceKey, sameJson } from "../objects.ts";
import { ENDPOINTS } from "../resources.ts";
import { endpointsFor } from "./reconcile.ts";

const WORKERS = 5;

export const endpointsController: Controller = {
  name: "endpoints",
  async start(context) {
    const queue = createWorkQueue();
    const services = context.informers.services();
    const pods = context.informers.pods();
    const endpoints = context.informers.endpoints();
    enqueueServices(queue, services, pods);
    if (!(await synced(context.signal, services, pods, endpoints))) return;

    await runController({
      name: "endpoints",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const service = services.get(key);
        const present = endpoints.get(key);
        if (!service) {
          // Endpoints have no owner reference: they go with their service by name.
          const { tenant, namespace, name } = splitKey(key);
          const { uid } = present?.metadata ?? {};
          if (!present) return;
          await context.client
            .tenant(tenant)
            .delete(ENDPOINTS, { namespace, name }, { preconditions: { uid } })
            .catch((error: unknown) => {
              if (!isReason(error, "NotFound")) throw error;
            });
          return;
        }
        if (isTerminating(service) || !isManaged(service)) return;
        const selected = pods.byIndex("namespace", namespaceKey(service)).filter((pod) => selects(service, pod));
        const next = endpointsFor(service, selected, present);
        const client = clientFor(context, service);
        if (!present) await client.create(ENDPOINTS, next);
        else if (
          !sameJson(present.subsets ?? [], next.subsets) ||
          !sameJson(present.metadata.labels, next.metadata.labels)
        ) {
          await client.update(ENDPOINTS, next);
        }
      },
    });
  },
};
