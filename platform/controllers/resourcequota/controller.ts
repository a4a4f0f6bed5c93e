/**
 * Keeps ResourceQuotas' status true (upstream: pkg/controller/resourcequota). The server charges a quota in the transaction of each write; what
 * gives back (deletions, pods that end) and what was there before the quota is counted here. A count reads the quota, then the objects, then
 * writes by compare-and-swap: a write between the two has moved the quota, and the count is made again.
 */
import { delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import { resourcesCounted } from "#platform/rules/quota/evaluate.ts";
import type { Pod, ResourceQuota, Service } from "#sdk/api/generated/types.ts";
import type { DynamicObject, GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue, type WorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, synced } from "../context.ts";
import { sameJson } from "../objects.ts";
import { resourceNamed } from "./discovery.ts";
import { countUsage } from "./reconcile.ts";

const QUOTAS: GroupVersionResource = { group: "", version: "v1", resource: "resourcequotas" };
/** As upstream: what was missed is found at the latest then. */
const RESYNC_MS = 5 * 60_000;
/** Many objects leave together; one count serves them. */
const SETTLE_MS = 100;
const WATCH_RETRY_MS = 1_000;
const PAGE = 500;

const namespaceIndex = (quota: KubeObject): string[] => [`${tenantOf(quota)}/${quota.metadata.namespace ?? ""}`];

export const resourceQuotaController: Controller = {
  name: "resourcequota",
  async start(context) {
    const queue = createWorkQueue();
    const wildcard = context.client.tenant("*");
    const quotas = createInformer<ResourceQuota>(wildcard, QUOTAS, {
      indexes: { namespace: namespaceIndex },
      log: context.log,
    });
    const monitors = new Monitors(context, queue, (tenant, namespace) =>
      quotas.byIndex("namespace", `${tenant}/${namespace}`).map(keyOf),
    );
    const look = (quota: ResourceQuota): void => {
      monitors.follow(Object.keys(quota.spec?.hard ?? {}));
      queue.add(keyOf(quota));
    };
    quotas.on({
      added: look,
      updated: (quota, old) => {
        if (!sameJson(quota.spec, old.spec) || !sameJson(quota.status?.hard, old.status?.hard)) look(quota);
      },
    });
    const following = quotas.start(context.signal);
    if (!(await synced(context.signal, quotas))) return;
    await runController({
      name: "resourcequota",
      queue,
      workers: 3,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const { tenant, namespace, name } = splitKey(key);
        const exists = await recount(context.client.tenant(tenant), context.client.tenant("root"), namespace, name);
        return exists ? { requeueAfterMs: RESYNC_MS } : undefined;
      },
    });
    await following;
  },
};

/** Of root's and of the tenant's own: these count where they have the same name. */
const DEVICE_CLASSES = "deviceclasses.resource.k8s.io";

/** False when the quota is gone. */
async function recount(client: Client, root: Client, namespace: string, name: string): Promise<boolean> {
  let quota: ResourceQuota;
  try {
    quota = await client.get<ResourceQuota>(QUOTAS, { namespace, name });
  } catch (error) {
    if (isReason(error, "NotFound")) return false;
    throw error;
  }
  const hard = quota.spec?.hard ?? {};
  const list = async (resource: string): Promise<DynamicObject[]> => {
    if (resource !== DEVICE_CLASSES) return await objectsOf(client, resource, namespace);
    const all = [...(await objectsOf(root, resource)), ...(await objectsOf(client, resource))];
    return [...new Map(all.map((one) => [one.metadata.name, one])).values()];
  };
  const used = await countUsage(quota, list, Date.now());
  const status = { hard, used };
  if (!sameJson(quota.status, status)) await client.update(QUOTAS, { ...quota, status }, { subresource: "status" });
  return true;
}

/** All objects of a resource, in a namespace where one is named; none when nothing of that name is served. */
async function objectsOf(client: Client, resource: string, namespace?: string): Promise<DynamicObject[]> {
  const served = await resourceNamed(client, resource);
  if (!served) return [];
  const objects: DynamicObject[] = [];
  let next: string | undefined;
  do {
    const page = await client.list<DynamicObject>(served, {
      ...(namespace === undefined ? {} : { namespace }),
      limit: PAGE,
      ...(next ? { continue: next } : {}),
    });
    objects.push(...page.items);
    next = page.metadata.continue || undefined;
  } while (next);
  return objects;
}

/** Watches what quotas count, in all tenants; nothing is kept but which resources are watched. */
class Monitors {
  readonly #context: ControllerContext;
  readonly #queue: WorkQueue;
  readonly #quotasIn: (tenant: string, namespace: string) => string[];
  readonly #followed = new Set<string>();

  constructor(context: ControllerContext, queue: WorkQueue, quotasIn: (tenant: string, namespace: string) => string[]) {
    this.#context = context;
    this.#queue = queue;
    this.#quotasIn = quotasIn;
  }

  follow(names: readonly string[]): void {
    for (const resource of names.flatMap(resourcesCounted)) {
      if (this.#followed.has(resource)) continue;
      this.#followed.add(resource);
      void this.#watch(resource);
    }
  }

  async #watch(resource: string): Promise<void> {
    const { client, signal, log } = this.#context;
    const wildcard = client.tenant("*");
    while (!signal.aborted) {
      try {
        const served = await resourceNamed(wildcard, resource);
        if (served) await this.#watchServed(wildcard, served);
      } catch (error) {
        log.debug("watching what quotas count failed, starting again", { resource, error: messageOf(error) });
      }
      await delay(WATCH_RETRY_MS, signal);
    }
  }

  async #watchServed(wildcard: Client, served: GroupVersionResource): Promise<void> {
    const { signal } = this.#context;
    const { metadata } = await wildcard.list(served, { limit: 1, metadataOnly: true });
    const resourceVersion = metadata.resourceVersion ?? "";
    const whole = served.group === "" && ["pods", "services", "persistentvolumeclaims"].includes(served.resource);
    for await (const event of wildcard.watch<DynamicObject>(served, {
      resourceVersion,
      metadataOnly: !whole,
      signal,
    })) {
      if (event.type === "BOOKMARK" || event.type === "ADDED") continue;
      if (event.type === "DELETED" || maySpare(served.resource, event.object)) this.#changed(event.object);
    }
  }

  #changed(object: KubeObject): void {
    const { namespace } = object.metadata;
    if (!namespace) return;
    for (const key of this.#quotasIn(tenantOf(object), namespace)) this.#queue.addAfter(key, SETTLE_MS);
  }
}

/** A change by which an object may count less: a pod that ended, a service of another type, a claim that was resized. */
function maySpare(resource: string, object: DynamicObject): boolean {
  if (resource === "services") return (object as unknown as Service).spec !== undefined;
  if (resource === "persistentvolumeclaims") return true;
  const phase = (object as unknown as Pod).status?.phase;
  return resource === "pods" && (phase === "Succeeded" || phase === "Failed");
}
