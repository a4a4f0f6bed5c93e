/** Which services a change is about: shared by the loops for EndpointSlices and Endpoints. */
import type { Pod, Service } from "#sdk/api/generated/types.ts";
import { matchesLabels } from "#sdk/api/labels.ts";
import type { Informer } from "#sdk/client/port.ts";
import { keyOf } from "#sdk/client/port.ts";
import type { WorkQueue } from "#sdk/client/workqueue.ts";
import { namespaceKey } from "../objects.ts";

export const selects = (service: Service, pod: Pod): boolean =>
  matchesLabels(
    Object.entries(service.spec?.selector ?? {}).map(([key, value]) => ({ key, operator: "=", values: [value] })),
    pod.metadata.labels,
  );

/** Services without a selector have endpoints made by others; external names have none. */
export const isManaged = (service: Service): boolean =>
  service.spec?.type !== "ExternalName" && Object.keys(service.spec?.selector ?? {}).length > 0;

/** Bursts of pod changes are gathered for so long before a service is looked at. */
const GATHER_MS = 50;

export function enqueueServices(queue: WorkQueue, services: Informer<Service>, pods: Informer<Pod>): void {
  const enqueue = (pod: Pod, old?: Pod) => {
    for (const service of services.byIndex("namespace", namespaceKey(pod))) {
      if (!isManaged(service)) continue;
      if (selects(service, pod) || (old && selects(service, old))) queue.addAfter(keyOf(service), GATHER_MS);
    }
  };
  const add = (service: Service) => queue.add(keyOf(service));
  services.on({ added: add, updated: add, deleted: add });
  pods.on({ added: (pod) => enqueue(pod), updated: enqueue, deleted: (pod) => enqueue(pod) });
}
