/** Mirrors Endpoints that somebody else keeps, of services without a selector, to EndpointSlices (upstream: pkg/controller/endpointslicemirroring). */
import type { EndpointSlice, Service } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, synced } from "../context.ts";
import { MANAGED_BY, SERVICE_NAME } from "../endpointslice/reconcile.ts";
import { isTerminating, namespaceKey } from "../objects.ts";
import { ENDPOINT_SLICES } from "../resources.ts";
import { isMirrored, MIRROR_MANAGER, MIRRORED_MAX, planMirror } from "./reconcile.ts";

const WORKERS = 5;
const isMirror = (slice: EndpointSlice): boolean => slice.metadata.labels?.[MANAGED_BY] === MIRROR_MANAGER;

async function remove(client: Client, { metadata }: EndpointSlice): Promise<void> {
  const { namespace, name = "", uid } = metadata;
  try {
    await client.delete(ENDPOINT_SLICES, { namespace, name }, { preconditions: { uid } });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}

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
    slices.on({ updated: ofSlice, deleted: ofSlice });
    if (!(await synced(context.signal, endpoints, services, slices))) return;

    await runController({
      name: "endpointslice-mirroring",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const mirrors = slices.byIndex("service", key).filter(isMirror);
        const source = endpoints.get(key);
        if (!source || isTerminating(source) || !isMirrored(source, services.get(key))) {
          for (const slice of mirrors) await remove(context.client.tenant(tenantOf(slice)), slice);
          return;
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
        for (const slice of plan.create) await client.create(ENDPOINT_SLICES, slice);
        for (const slice of plan.update) await client.update(ENDPOINT_SLICES, slice);
        for (const slice of plan.delete) await remove(client, slice);
      },
    });
  },
};
