/**
 * An API in memory for tests of loops: it implements the client's port with the semantics loops depend on (one revision
 * counter, compare-and-swap, finalizers, generation, watch from a revision, the tenant wildcard), and nothing else: no
 * defaulting, no validation, no authorization.
 */
import { randomUUID } from "node:crypto";
import { resourceByGVR } from "../api/facts.ts";
import {
  apiVersionOf,
  type DynamicObject,
  type GroupVersionResource,
  type JsonObject,
  type KubeObject,
} from "../api/object.ts";
import { alreadyExists, conflict, expired, methodNotSupported, notFound, OPTIMISTIC_LOCK } from "../api/status.ts";
import {
  type Client,
  type ListOptions,
  type Name,
  type Patch,
  TENANT_ANNOTATION,
  type WatchEvent,
  type WatchOptions,
} from "../client/port.ts";
import { fakeDiscovery } from "./fake-discovery.ts";
import { matchesFields, matchesLabels, mergePatch } from "./fake-match.ts";

interface Change {
  revision: number;
  tenant: string;
  resource: string;
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: DynamicObject;
}

export interface FakeApi {
  client: Client;
  /** Every write that reached the API, in order: "POST root/default/pods/web-1". */
  readonly requests: string[];
  /** Forgets the log: a watch from an older revision is answered with 410. */
  compact(): void;
  /** Ends every open watch, as a restarting server does. */
  dropWatches(): void;
  /** Decides about a write before it happens; a throw refuses it. */
  intercept(hook: ((verb: string, resource: string, object: KubeObject) => void) | undefined): void;
  revision(): number;
}

const idOf = (tenant: string, r: { group: string; resource: string }, n: Name) =>
  JSON.stringify([tenant, r.group, r.resource, n.namespace ?? "", n.name]);

export function createFakeApi(): FakeApi {
  const objects = new Map<string, { tenant: string; resource: string; object: DynamicObject }>();
  let log: Change[] = [];
  let revision = 1;
  let compacted = 0;
  const wakers = new Set<() => void>();
  const watches = new Set<AbortController>();
  const requests: string[] = [];
  let hook: Parameters<FakeApi["intercept"]>[0];

  const resourceOf = (r: GroupVersionResource) => (r.group ? `${r.resource}.${r.group}` : r.resource);
  const record = (type: Change["type"], tenant: string, r: GroupVersionResource, object: DynamicObject) => {
    revision++;
    object.metadata.resourceVersion = String(revision);
    log.push({ revision, tenant, resource: resourceOf(r), type, object });
    for (const wake of wakers) wake();
  };
  const store = (
    id: string,
    type: "ADDED" | "MODIFIED",
    tenant: string,
    r: GroupVersionResource,
    object: DynamicObject,
  ) => {
    objects.set(id, { tenant, resource: resourceOf(r), object });
    record(type, tenant, r, object);
  };
  const drop = (id: string, tenant: string, r: GroupVersionResource, object: DynamicObject) => {
    objects.delete(id);
    record("DELETED", tenant, r, structuredClone(object));
  };

  const at = (tenant: string): Client => {
    const present = (r: GroupVersionResource, n: Name) => {
      const entry = objects.get(idOf(tenant, r, n));
      if (!entry) throw notFound(r, n.name);
      return entry.object;
    };
    const seen = <T>(object: DynamicObject, of: string): T => {
      const copy = structuredClone(object);
      if (tenant === "*") copy.metadata.annotations = { ...copy.metadata.annotations, [TENANT_ANNOTATION]: of };
      return copy as unknown as T;
    };
    const log_ = (
      verb: string,
      r: GroupVersionResource,
      namespace: string | undefined,
      name: string,
      subresource?: string,
    ) =>
      requests.push(
        `${verb} ${tenant}/${namespace ?? ""}/${r.resource}/${name}${subresource ? `/${subresource}` : ""}`,
      );
    const writable = (verb: string) => {
      if (tenant === "*") throw methodNotSupported({ group: "", resource: "tenants" }, verb);
    };
    const replace = (
      r: GroupVersionResource,
      n: Name,
      next: DynamicObject,
      subresource: string | undefined,
    ): DynamicObject => {
      const old = present(r, n);
      const given = next.metadata.resourceVersion;
      if (given && given !== old.metadata.resourceVersion) throw conflict(r, n.name, OPTIMISTIC_LOCK);
      if (next.metadata.uid && next.metadata.uid !== old.metadata.uid) {
        throw conflict(r, n.name, "Precondition failed: UID in precondition");
      }
      const stored =
        subresource === "status" ? { ...structuredClone(old), status: next["status"] } : structuredClone(next);
      stored.metadata = {
        ...stored.metadata,
        uid: old.metadata.uid,
        creationTimestamp: old.metadata.creationTimestamp,
        deletionTimestamp: old.metadata.deletionTimestamp,
        generation: old.metadata.generation,
      };
      if (subresource !== "status") {
        if ("status" in old) stored["status"] = structuredClone(old["status"]);
        if (JSON.stringify(stored["spec"]) !== JSON.stringify(old["spec"])) {
          stored.metadata.generation = (old.metadata.generation ?? 0) + 1;
        }
      }
      if (JSON.stringify(stored) === JSON.stringify(old)) return old;
      const id = idOf(tenant, r, n);
      if (stored.metadata.deletionTimestamp && !stored.metadata.finalizers?.length && !finalizing(stored)) {
        drop(id, tenant, r, stored);
      } else store(id, "MODIFIED", tenant, r, stored);
      return stored;
    };

    return {
      tenant: (name) => at(name),
      get: async (r, n) => seen(present(r, n), tenant),
      async list<T extends KubeObject>(r: GroupVersionResource, o: ListOptions = {}) {
        const items = [...objects.values()]
          .filter(
            (e) => e.resource === resourceOf(r) && (tenant === "*" || e.tenant === tenant) && selected(e.object, o),
          )
          .map((e) => seen<T>(e.object, e.tenant));
        const start = Number(o.continue ?? 0);
        const end = o.limit ? start + o.limit : items.length;
        return {
          apiVersion: apiVersionOf(r),
          kind: `${resourceByGVR(r)?.kind ?? ""}List`,
          metadata: { resourceVersion: String(revision), ...(end < items.length ? { continue: String(end) } : {}) },
          items: items.slice(start, end),
        };
      },
      watch: (r, o) => watch(r, o),
      async create<T extends KubeObject>(
        r: GroupVersionResource,
        given: T,
        o?: { subresource?: string; name?: string },
      ) {
        writable("create");
        const object = structuredClone(given) as unknown as DynamicObject;
        const { namespace } = object.metadata;
        const name = o?.name ?? object.metadata.name ?? `${object.metadata.generateName}${randomUUID().slice(0, 5)}`;
        hook?.("create", o?.subresource ? `${r.resource}/${o.subresource}` : r.resource, object);
        log_("POST", r, namespace, name, o?.subresource);
        if (o?.subresource === "binding") {
          const pod = structuredClone(present(r, { namespace, name }));
          const spec = pod["spec"] as { nodeName?: string };
          if (spec.nodeName)
            throw conflict(
              { group: "", resource: "pods/binding" },
              name,
              `pod ${name} is already assigned to node "${spec.nodeName}"`,
            );
          spec.nodeName = (object["target"] as { name: string }).name;
          replace(r, { namespace, name }, pod, undefined);
          return object as unknown as T;
        }
        if (o?.subresource) throw methodNotSupported(r, "create");
        const id = idOf(tenant, r, { namespace, name });
        if (objects.has(id)) throw alreadyExists(r, name);
        object.metadata = {
          ...object.metadata,
          name,
          uid: object.metadata.uid ?? randomUUID(),
          creationTimestamp: object.metadata.creationTimestamp ?? new Date().toISOString().replace(/\.\d+/, ""),
          generation: 1,
        };
        store(id, "ADDED", tenant, r, object);
        return seen<T>(object, tenant);
      },
      async update<T extends KubeObject>(r: GroupVersionResource, object: T, o?: { subresource?: string }) {
        writable("update");
        const n = { namespace: object.metadata.namespace, name: object.metadata.name ?? "" };
        hook?.("update", r.resource, object);
        log_("PUT", r, n.namespace, n.name, o?.subresource);
        return seen<T>(replace(r, n, structuredClone(object) as unknown as DynamicObject, o?.subresource), tenant);
      },
      async patch<T extends KubeObject>(r: GroupVersionResource, n: Name, patch: Patch, o?: { subresource?: string }) {
        writable("patch");
        if (patch.type === "json" || patch.type === "apply") throw new Error(`the fake has no ${patch.type} patch`);
        log_("PATCH", r, n.namespace, n.name, o?.subresource);
        const old = present(r, n);
        hook?.("patch", r.resource, old);
        const merged = mergePatch(
          structuredClone(old) as unknown as JsonObject,
          patch.body,
        ) as unknown as DynamicObject;
        return seen<T>(replace(r, n, merged, o?.subresource), tenant);
      },
      async delete(r, n, o) {
        writable("delete");
        const object = present(r, n);
        hook?.("delete", r.resource, object);
        log_("DELETE", r, n.namespace, n.name);
        const { uid, resourceVersion } = o?.preconditions ?? {};
        if (
          (uid && uid !== object.metadata.uid) ||
          (resourceVersion && resourceVersion !== object.metadata.resourceVersion)
        ) {
          throw conflict(r, n.name, "Precondition failed");
        }
        const finalizers = new Set(object.metadata.finalizers ?? []);
        if (o?.propagationPolicy === "Orphan") finalizers.add("orphan");
        if (o?.propagationPolicy === "Foreground") finalizers.add("foregroundDeletion");
        const id = idOf(tenant, r, n);
        if (finalizers.size === 0 && !finalizing(object)) return drop(id, tenant, r, object);
        const next = structuredClone(object);
        next.metadata.finalizers = [...finalizers];
        next.metadata.deletionTimestamp ??= new Date().toISOString().replace(/\.\d+/, "");
        store(id, "MODIFIED", tenant, r, next);
      },
      async deleteCollection(r, o) {
        const { items } = await this.list(r, o);
        for (const item of items)
          await this.delete(r, { namespace: item.metadata.namespace, name: item.metadata.name ?? "" }, o);
      },
      raw: async (_method, path) => fakeDiscovery(path),
      close: () => undefined,
    };

    async function* watch<T extends KubeObject>(
      r: GroupVersionResource,
      o: WatchOptions,
    ): AsyncGenerator<WatchEvent<T>> {
      const stop = new AbortController();
      watches.add(stop);
      const inScope = (c: { tenant: string; resource: string; object: DynamicObject }) =>
        c.resource === resourceOf(r) &&
        (tenant === "*" || c.tenant === tenant) &&
        selected(c.object, { namespace: o.namespace });
      const bookmark = (end: boolean): WatchEvent<T> => ({
        type: "BOOKMARK",
        object: {
          metadata: {
            resourceVersion: String(revision),
            ...(end ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
          },
        },
      });
      try {
        let after = o.resourceVersion ? Number(o.resourceVersion) : revision;
        if (!o.sendInitialEvents && after < compacted) throw expired("too old resource version");
        /** What this watcher has seen as matching: a change may turn into ADDED or DELETED for its selector. */
        const matching = new Set<string>();
        const keyIn = (tenant_: string, object: DynamicObject) =>
          idOf(tenant_, r, { namespace: object.metadata.namespace, name: object.metadata.name ?? "" });
        const initial = [...objects.values()].filter((e) => inScope(e) && selected(e.object, o));
        for (const entry of initial) matching.add(keyIn(entry.tenant, entry.object));
        if (o.sendInitialEvents) {
          after = revision;
          for (const entry of initial) yield { type: "ADDED", object: seen<T>(entry.object, entry.tenant) };
          yield bookmark(true);
        }
        while (!o.signal.aborted && !stop.signal.aborted) {
          const due = log.filter((c) => c.revision > after);
          for (const change of due) {
            after = change.revision;
            if (!inScope(change)) continue;
            const key = keyIn(change.tenant, change.object);
            const was = matching.has(key);
            const is = change.type !== "DELETED" && selected(change.object, o);
            if (is) matching.add(key);
            else matching.delete(key);
            const object = seen<T>(change.object, change.tenant);
            if (is) yield { type: was ? "MODIFIED" : "ADDED", object };
            else if (was) yield { type: "DELETED", object };
          }
          if (due.length === 0) await nextChange(o.signal, stop.signal);
        }
      } finally {
        watches.delete(stop);
      }
    }
  };

  const nextChange = (...signals: AbortSignal[]) =>
    new Promise<void>((resolve) => {
      const wake = () => {
        wakers.delete(wake);
        for (const signal of signals) signal.removeEventListener("abort", wake);
        resolve();
      };
      if (signals.some((s) => s.aborted)) return resolve();
      wakers.add(wake);
      for (const signal of signals) signal.addEventListener("abort", wake);
    });

  return {
    client: at("root"),
    requests,
    compact: () => {
      log = [];
      compacted = revision;
    },
    dropWatches: () => {
      for (const watch of watches) watch.abort();
    },
    intercept: (next) => {
      hook = next;
    },
    revision: () => revision,
  };
}

/** Namespaces live on until spec.finalizers is empty. */
const finalizing = (object: DynamicObject): boolean =>
  object.kind === "Namespace" &&
  ((object["spec"] as { finalizers?: string[] } | undefined)?.finalizers?.length ?? 0) > 0;

const selected = (
  object: DynamicObject,
  o: Pick<ListOptions, "namespace" | "labelSelector" | "fieldSelector">,
): boolean =>
  (!o.namespace || object.metadata.namespace === o.namespace) &&
  matchesLabels(o.labelSelector, object.metadata.labels ?? {}) &&
  matchesFields(o.fieldSelector, object as unknown as JsonObject);
