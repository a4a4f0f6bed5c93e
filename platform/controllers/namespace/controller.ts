/** Empties namespaces that end, then lets them go (upstream: pkg/controller/namespace). */
import { messageOf } from "#platform/base/log.ts";
import type { Namespace, Pod } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type DiscoveredResource, discover } from "#sdk/client/discovery.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { isFinished, isTerminating, sameJson } from "../objects.ts";
import { NAMESPACES, PODS } from "../resources.ts";
import { namespaceConditions, type Remains } from "./conditions.ts";

const FINALIZER = "kubernetes";
const WORKERS = 5;
const RECHECK_MS = 1000;

export const namespaceController: Controller = {
  name: "namespace",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 60_000 });
    const namespaces = context.informers.namespaces();
    const pods = context.informers.pods();
    const add = (namespace: Namespace) => {
      if (isTerminating(namespace)) queue.add(keyOf(namespace));
    };
    namespaces.on({ added: add, updated: add });
    // The rest goes when the last pod has gone.
    pods.on({
      deleted(pod) {
        const namespace = namespaces.get(`${tenantOf(pod)}//${pod.metadata.namespace}`);
        if (namespace) add(namespace);
      },
    });
    if (!(await synced(context.signal, namespaces, pods))) return;

    await runController({
      name: "namespace",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const namespace = namespaces.get(key);
        if (!namespace || !isTerminating(namespace)) return;
        if (!namespace.spec?.finalizers?.includes(FINALIZER)) return;
        return endNamespace(clientFor(context, namespace), namespace);
      },
    });
  },
};

async function endNamespace(client: Client, namespace: Namespace): Promise<{ requeueAfterMs: number } | undefined> {
  const remains: Remains = { discoveryFailures: [], deletionFailures: [], resources: new Map(), finalizers: new Map() };
  const { resources, failures } = await discover(client);
  remains.discoveryFailures = failures;
  const name = namespace.metadata.name ?? "";
  const waitMs = await emptyNamespace(client, resources, name, remains);
  const current = await writeConditions(client, namespace, remains);
  if (failures.length > 0 || remains.deletionFailures.length > 0) {
    throw new Error(`namespace ${name}: ${[...failures, ...remains.deletionFailures].join(", ")}`);
  }
  if (remains.resources.size > 0) return { requeueAfterMs: waitMs };
  const finalizers = (current.spec?.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
  await client.update(NAMESPACES, { ...current, spec: { ...current.spec, finalizers } }, { subresource: "finalize" });
  return undefined;
}

/** Pods first, so that what they use is still there while they end. Returns how long to wait before looking again. */
async function emptyNamespace(
  client: Client,
  all: readonly DiscoveredResource[],
  namespace: string,
  remains: Remains,
): Promise<number> {
  const deletable = all.filter((r) => r.namespaced && r.verbs.includes("delete") && r.verbs.includes("list"));
  const isPods = (r: DiscoveredResource) => r.group === "" && r.resource === "pods";
  for (const resource of deletable.filter(isPods)) await emptyResource(client, resource, namespace, remains);
  if (remains.resources.size > 0) return podsWaitMs(client, namespace);
  for (const resource of deletable.filter((r) => !isPods(r))) await emptyResource(client, resource, namespace, remains);
  return RECHECK_MS;
}

async function emptyResource(
  client: Client,
  r: DiscoveredResource,
  namespace: string,
  remains: Remains,
): Promise<void> {
  try {
    const before = await client.list(r, { namespace, metadataOnly: true });
    if (before.items.length === 0) return;
    if (r.verbs.includes("deletecollection"))
      await client.deleteCollection(r, { namespace, propagationPolicy: "Background" });
    else for (const { metadata } of before.items) await deleteOne(client, r, namespace, metadata.name ?? "");
    const { items } = await client.list(r, { namespace, metadataOnly: true });
    if (items.length > 0) remains.resources.set(`${r.resource}.${r.group}`, items.length);
    for (const finalizer of items.flatMap((item) => item.metadata.finalizers ?? [])) {
      remains.finalizers.set(finalizer, (remains.finalizers.get(finalizer) ?? 0) + 1);
    }
  } catch (error) {
    const absent = isReason(error, "NotFound") || isReason(error, "MethodNotAllowed");
    if (!absent) remains.deletionFailures.push(messageOf(error));
  }
}

async function deleteOne(client: Client, r: DiscoveredResource, namespace: string, name: string): Promise<void> {
  try {
    await client.delete(r, { namespace, name }, { propagationPolicy: "Background" });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}

/** Half of the longest grace period among the pods, and a second. */
async function podsWaitMs(client: Client, namespace: string): Promise<number> {
  const { items } = await client.list<Pod>(PODS, { namespace });
  const graces = items.filter((pod) => !isFinished(pod)).map((pod) => pod.spec?.terminationGracePeriodSeconds ?? 0);
  return (Math.max(0, ...graces) / 2) * 1000 + RECHECK_MS;
}

async function writeConditions(client: Client, namespace: Namespace, remains: Remains): Promise<Namespace> {
  const conditions = namespaceConditions(namespace.status?.conditions, remains, Date.now());
  const status = { ...namespace.status, phase: "Terminating", conditions };
  if (sameJson(status, namespace.status)) return namespace;
  return client.update(NAMESPACES, { ...namespace, status }, { subresource: "status" });
}
