/** Mirrors Endpoints that somebody else keeps, of services without a selector, to EndpointSlices (upstream: pkg/controller/endpointslicemirroring). */
import type { EndpointSlice, Service } from "#sdk/api/generated/types.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, synced } from "../context.ts";
import { MadeSlices, remove } from "../endpointslice/made.ts";
import { MANAGED_BY, SERVICE_NAME } from "../endpointslice/reconcile.ts";
import { isTerminating, namespaceKey } from "../objects.ts";
import { isMirrored, MIRROR_MANAGER, MIRRORED_MAX, planMirror } from "./reconcile.ts";

const WORKERS = 5;
const isMirror = (slice: EndpointSlice): boolean => slice.metadata.labels?.[MANAGED_BY] === MIRROR_MANAGER;

export const endpointSliceMirroringController: Controller = {
  name: "endpointslice-mirroring",
  async start(context) {
    const queue = createWorkQueue();
    const { informers } = context;
    const [endpoints, services, slices] = [informers.endpoints(), informers.services(), informers.endpointSlices()];
    const recorder = context.recorder("endpoint-slice-mirroring-controller");
    const add = (object: Service) => queue.add(keyOf(object));
    const ofSlice = (slice: EndpointSlice) => {
      if (isMirror(slice)) queue.add(`${namespaceKey(slice)}/${slice.metadata.labels?.[SERVICE_NAME]}`);
    };
    endpoints.on({ added: add, updated: add, deleted: add });
    services.on({ added: add, updated: add, deleted: add });
    slices.on({ added: ofSlice, updated: ofSlice, deleted: ofSlice });
    const made = new MadeSlices();
    if (!(await synced(context.signal, endpoints, services, slices))) return;

    await runController({
      name: "endpointslice-mirroring",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const shown = () => slices.byIndex("service", key).filter(isMirror);
        const mirrors = made.with(key, shown());
        const source = endpoints.get(key);
        if (!source || isTerminating(source) || !isMirrored(source, services.get(key))) {
          for (const slice of mirrors) await remove(context.client.tenant(splitKey(key).tenant), slice);
          return made.forget(key);
        }
        const client = context.client.tenant(tenantOf(source));
        const plan = planMirror(source, mirrors);
        if (plan.invalid > 0) {
          const message = `Skipped ${plan.invalid} invalid IP addresses when mirroring to EndpointSlices`;
          recorder.event(source, "Warning", "InvalidIPAddress", message);
        }
        if (plan.skipped > 0) {
          const message = `A max of ${MIRRORED_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. ${plan.skipped + plan.invalid} addresses were skipped`;
          recorder.event(source, "Warning", "TooManyAddressesToMirror", message);
        }
        await made.apply(client, key, plan, shown);
      },
    });
  },
};
