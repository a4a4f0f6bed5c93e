/** An API in memory, as much of it as the agent uses: objects by tenant, watches through the wildcard, merge patches, final deletes. */
import { randomUUID } from "node:crypto";
import type { DynamicObject, GroupVersionResource, Json, JsonObject, KubeObject } from "#sdk/api/object.ts";
import { alreadyExists, notFound, StatusError } from "#sdk/api/status.ts";
import { type Client, type Name, TENANT_ANNOTATION, type WatchEvent } from "#sdk/client/port.ts";

type Listener = { resource: string; push(event: WatchEvent<DynamicObject>): void };

export interface FakeApi {
  client: Client;
  events: { reason: string; message: string; type: string; name: string }[];
  /** Adds or replaces an object of a tenant. */
  put(resource: string, object: KubeObject, tenant?: string): void;
  get<T extends KubeObject>(resource: string, namespace: string, name: string, tenant?: string): T | undefined;
  /** What a user's DELETE does to a pod that has a node. */
  deletePod(namespace: string, name: string, graceSeconds: number, tenant?: string): void;
  /** Resolves when the condition holds; rejects after `ms` with what the last object was. */
  until<T extends KubeObject>(
    resource: string,
    namespace: string,
    name: string,
    holds: (object: T | undefined) => boolean,
    ms?: number,
    tenant?: string,
  ): Promise<T>;
}

export function createFakeApi(): FakeApi {
  const objects = new Map<string, DynamicObject>();
  const listeners = new Set<Listener>();
  const events: FakeApi["events"] = [];
  let revision = 0;
  const key = (tenant: string, resource: string, n: { namespace?: string; name?: string }) =>
    `${tenant}|${resource}|${n.namespace ?? ""}|${n.name ?? ""}`;
  const announce = (type: "ADDED" | "MODIFIED" | "DELETED", resource: string, object: DynamicObject) => {
    for (const listener of listeners)
      if (listener.resource === resource) listener.push({ type, object: structuredClone(object) });
  };
  const set = (tenant: string, resource: string, object: KubeObject): DynamicObject => {
    const at = key(tenant, resource, object.metadata);
    const before = objects.get(at);
    const stored: DynamicObject = structuredClone({
      ...object,
      metadata: {
        ...object.metadata,
        uid: object.metadata.uid ?? before?.metadata.uid ?? randomUUID(),
        creationTimestamp: object.metadata.creationTimestamp ?? new Date().toISOString(),
        resourceVersion: String(++revision),
        annotations: { ...object.metadata.annotations, [TENANT_ANNOTATION]: tenant },
      },
    });
    objects.set(at, stored);
    announce(before === undefined ? "ADDED" : "MODIFIED", resource, stored);
    return stored;
  };
  const nothing = (r: GroupVersionResource, name: string) => notFound(r, name);

  const clientOf = (tenant: string): Client => ({
    tenant: clientOf,
    get: async <T extends KubeObject>(r: GroupVersionResource, n: Name) => {
      const object = objects.get(key(tenant, r.resource, n));
      if (object === undefined) throw nothing(r, n.name);
      return structuredClone(object) as unknown as T;
    },
    list: async <T extends KubeObject>(r: GroupVersionResource) => ({
      metadata: { resourceVersion: String(revision) },
      items: [...objects]
        .filter(([at]) => at.split("|")[1] === r.resource)
        .map(([, one]) => structuredClone(one)) as unknown as T[],
    }),
    watch: <T extends KubeObject>(r: GroupVersionResource, o: { signal: AbortSignal; sendInitialEvents?: boolean }) => {
      if (o.sendInitialEvents) throw new StatusError(422, "Invalid", "sendInitialEvents is not offered here");
      return watchOf(r.resource, o.signal) as AsyncIterable<WatchEvent<T>>;
    },
    create: async <T extends KubeObject>(r: GroupVersionResource, object: T, o?: { subresource?: string }) => {
      if (o?.subresource === "token")
        return {
          ...object,
          status: { token: "token", expirationTimestamp: new Date(Date.now() + 3_600_000).toISOString() },
        };
      if (r.resource === "events") {
        const event = object as unknown as {
          reason: string;
          message: string;
          type: string;
          involvedObject: { name: string };
        };
        events.push({
          reason: event.reason,
          message: event.message,
          type: event.type,
          name: event.involvedObject.name,
        });
      }
      if (objects.has(key(tenant, r.resource, object.metadata))) throw alreadyExists(r, object.metadata.name ?? "");
      return set(tenant, r.resource, object) as unknown as T;
    },
    update: async <T extends KubeObject>(r: GroupVersionResource, object: T) =>
      set(tenant, r.resource, object) as unknown as T,
    patch: async <T extends KubeObject>(r: GroupVersionResource, n: Name, patch: { body: unknown }) => {
      const before = objects.get(key(tenant, r.resource, n));
      if (before === undefined) throw nothing(r, n.name);
      return set(
        tenant,
        r.resource,
        merge(before as unknown as Json, patch.body as Json) as unknown as KubeObject,
      ) as unknown as T;
    },
    delete: async (r, n) => {
      const before = objects.get(key(tenant, r.resource, n));
      if (before === undefined) throw nothing(r, n.name);
      objects.delete(key(tenant, r.resource, n));
      announce("DELETED", r.resource, before);
    },
    deleteCollection: async () => undefined,
    raw: async () => ({ code: 404, body: "" }),
    close: () => undefined,
  });

  async function* watchOf(resource: string, signal: AbortSignal): AsyncGenerator<WatchEvent<DynamicObject>> {
    const queue: WatchEvent<DynamicObject>[] = [];
    let wake: () => void = () => undefined;
    const listener: Listener = {
      resource,
      push(event) {
        queue.push(event);
        wake();
      },
    };
    listeners.add(listener);
    signal.addEventListener("abort", () => wake());
    while (!signal.aborted) {
      const next = queue.shift();
      if (next !== undefined) yield next;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
    listeners.delete(listener);
  }

  return {
    client: clientOf("root"),
    events,
    put: (resource, object, tenant = "root") => void set(tenant, resource, object),
    get: <T extends KubeObject>(resource: string, namespace: string, name: string, tenant = "root") =>
      objects.get(key(tenant, resource, { namespace, name })) as T | undefined,
    deletePod(namespace, name, graceSeconds, tenant = "root") {
      const pod = objects.get(key(tenant, "pods", { namespace, name }));
      if (pod === undefined) throw new Error(`there is no pod ${name}`);
      const deletionTimestamp = new Date(Date.now() + graceSeconds * 1000).toISOString();
      set(tenant, "pods", {
        ...pod,
        metadata: { ...pod.metadata, deletionTimestamp, deletionGracePeriodSeconds: graceSeconds },
      });
    },
    async until<T extends KubeObject>(
      resource: string,
      namespace: string,
      name: string,
      holds: (object: T | undefined) => boolean,
      ms = 30_000,
      tenant = "root",
    ) {
      const read = () => objects.get(key(tenant, resource, { namespace, name })) as T | undefined;
      const last = Date.now() + ms;
      while (!holds(read())) {
        if (Date.now() > last)
          throw new Error(`after ${ms} ms: ${JSON.stringify(read())} ${JSON.stringify(events.slice(-8))}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return read() as T;
    },
  };
}

function merge(before: Json | undefined, patch: Json): Json {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: JsonObject =
    typeof before === "object" && before !== null && !Array.isArray(before) ? { ...before } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else if (value !== undefined) result[name] = merge(result[name], value);
  }
  return result;
}
