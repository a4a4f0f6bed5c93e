/**
 * By which pods one that asks for no spreading is spread all the same: those that its services and its controller select (upstream:
 * pkg/scheduler/framework/plugins/helper/spread.go). The component topology-spread makes constraints of it.
 */
import type {
  LabelSelector,
  OwnerReference,
  Pod,
  ReplicaSet,
  ReplicationController,
  Service,
  StatefulSet,
} from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { createInformer } from "#sdk/client/informer.ts";
import type { ClientLog } from "#sdk/client/log.ts";
import { type Client, type Informer, keyOf, tenantOf } from "#sdk/client/port.ts";

const core = (resource: string): GroupVersionResource => ({ group: "", version: "v1", resource });
const apps = (resource: string): GroupVersionResource => ({ group: "apps", version: "v1", resource });
const namespaceOf = (object: KubeObject): string => `${tenantOf(object)}/${object.metadata.namespace ?? ""}`;
const isPartOf = (labels: Record<string, string>, whole: Record<string, string>): boolean =>
  Object.entries(labels).every(([key, value]) => whole[key] === value);

export interface DefaultSelectors {
  /** Undefined where nothing selects the pod. */
  of(pod: Pod): LabelSelector | undefined;
  /** Resolves when everything is known that there was. */
  start(signal: AbortSignal): Promise<unknown>;
}

export function createDefaultSelectors(client: Client, log: ClientLog): DefaultSelectors {
  const wildcard = client.tenant("*");
  const services = createInformer<Service>(wildcard, core("services"), {
    log,
    indexes: { namespace: (service) => [namespaceOf(service)] },
  });
  const controllers = createInformer<ReplicationController>(wildcard, core("replicationcontrollers"), { log });
  const sets: Readonly<Record<string, Informer<ReplicaSet | StatefulSet>>> = {
    ReplicaSet: createInformer<ReplicaSet>(wildcard, apps("replicasets"), { log }),
    StatefulSet: createInformer<StatefulSet>(wildcard, apps("statefulsets"), { log }),
  };

  const ofServices = (pod: Pod): Record<string, string> => {
    const labels: Record<string, string> = {};
    for (const { spec } of services.byIndex("namespace", namespaceOf(pod)))
      if (spec?.selector && isPartOf(spec.selector, pod.metadata.labels ?? {})) Object.assign(labels, spec.selector);
    return labels;
  };

  const ofOwner = (pod: Pod, { apiVersion, kind, name }: OwnerReference): LabelSelector => {
    const key = keyOf({ ...pod, metadata: { ...pod.metadata, name } });
    if (apiVersion === "v1" && kind === "ReplicationController")
      return { matchLabels: controllers.get(key)?.spec?.selector ?? {} };
    return (apiVersion === "apps/v1" && sets[kind]?.get(key)?.spec?.selector) || {};
  };

  return {
    of(pod) {
      // What asks for its own spreading needs no other.
      if (pod.spec?.topologySpreadConstraints?.length) return undefined;
      const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
      const own = owner ? ofOwner(pod, owner) : {};
      const matchLabels = { ...ofServices(pod), ...own.matchLabels };
      const matchExpressions = own.matchExpressions ?? [];
      if (Object.keys(matchLabels).length === 0 && matchExpressions.length === 0) return undefined;
      return { matchLabels, ...(matchExpressions.length > 0 ? { matchExpressions } : {}) };
    },
    start: (signal) =>
      Promise.all([services, controllers, ...Object.values(sets)].map((informer) => informer.start(signal))),
  };
}
