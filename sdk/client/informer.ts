/**
 * A live copy of one resource. WatchList where the server has it, list and watch elsewhere; after a lost connection the
 * watch resumes where it was; after 410 everything is read anew and the handlers see the difference.
 */
import type { GroupVersionResource, KubeObject } from "../api/object.ts";
import { StatusError } from "../api/status.ts";
import { type ClientLog, createBackoff, messageOf, noLog, pause } from "./log.ts";
import { type Client, type Informer, type InformerOptions, keyOf } from "./port.ts";

const INITIAL_EVENTS_END = "k8s.io/initial-events-end";
const PAGE = 500;
/** So many objects are told to handlers at a time: a leader renews its Lease between them, however many there are. */
const SLICE = 500;

type Handler<T> = Parameters<Informer<T & KubeObject>["on"]>[0];

export function createInformer<T extends KubeObject>(
  client: Client,
  resource: GroupVersionResource,
  options: InformerOptions<T> & { log?: ClientLog } = {},
): Informer<T> {
  const { indexes = {}, log = noLog, transform = (object: T) => object, ...selection } = options;
  const cache = createCache<T>(indexes);
  const handlers: Handler<T>[] = [];
  let synced = false;
  let watchListSupported = true;
  let resourceVersion = "";

  const notify = (call: (handler: Handler<T>) => void) => {
    for (const handler of handlers) {
      try {
        call(handler);
      } catch (error) {
        log.warn("an informer's handler failed", { resource: resource.resource, error: messageOf(error) });
      }
    }
  };

  const put = (object: T) => {
    const old = cache.put(object);
    if (old === undefined) notify((h) => h.added?.(object));
    else if (old.metadata.resourceVersion !== object.metadata.resourceVersion) notify((h) => h.updated?.(object, old));
  };
  const remove = (object: T) => {
    if (cache.remove(keyOf(object))) notify((h) => h.deleted?.(object));
  };

  /** The whole truth at one revision: what is missing in it was deleted while nobody watched. */
  const replace = async (objects: Map<string, T>, revision: string) => {
    for (const gone of cache.list().filter((o) => !objects.has(keyOf(o)))) remove(gone);
    let count = 0;
    for (const object of objects.values()) {
      const old = cache.get(keyOf(object));
      if (old && old.metadata.uid !== object.metadata.uid) remove(old);
      put(object);
      count += 1;
      if (count % SLICE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    resourceVersion = revision;
    synced = true;
  };

  const listAll = async () => {
    const objects = new Map<string, T>();
    let next: string | undefined;
    let revision = "";
    do {
      const page = await client.list<T>(resource, { ...selection, limit: PAGE, continue: next });
      for (const object of page.items) objects.set(keyOf(object), transform(object));
      next = page.metadata.continue || undefined;
      revision = page.metadata.resourceVersion ?? "";
    } while (next);
    await replace(objects, revision);
  };

  const apply = (type: "ADDED" | "MODIFIED" | "DELETED", object: T) => {
    resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
    if (type === "DELETED") return remove(object);
    const old = cache.get(keyOf(object));
    if (old && old.metadata.uid !== object.metadata.uid) remove(old);
    put(object);
  };

  /** One watch until it ends. Without a resourceVersion to resume from it starts with everything (WatchList). */
  const watchOnce = async (signal: AbortSignal, onSynced: () => void) => {
    let initial: Map<string, T> | undefined = resourceVersion === "" ? new Map() : undefined;
    const { resourceVersionMatch: _, ...selected } = selection;
    const events = client.watch<T>(resource, {
      ...selected,
      resourceVersion: initial ? selection.resourceVersion : resourceVersion,
      sendInitialEvents: initial ? true : undefined,
      signal,
    });
    for await (const event of events) {
      if (event.type === "BOOKMARK") {
        const revision = event.object.metadata.resourceVersion ?? resourceVersion;
        if (initial && event.object.metadata.annotations?.[INITIAL_EVENTS_END] === "true") {
          await replace(initial, revision);
          initial = undefined;
          onSynced();
        } else if (!initial) resourceVersion = revision;
      } else if (!initial) apply(event.type, transform(event.object));
      else if (event.type === "DELETED") initial.delete(keyOf(event.object));
      else initial.set(keyOf(event.object), transform(event.object));
    }
  };

  const run = async (signal: AbortSignal, onSynced: () => void) => {
    const backoff = createBackoff(200, 15_000);
    while (!signal.aborted) {
      const startedAt = performance.now();
      try {
        if (resourceVersion === "" && !watchListSupported) {
          await listAll();
          onSynced();
        }
        await watchOnce(signal, onSynced);
        // A watch that ended by itself after a while is the normal case; one that ends at once must not spin.
        if (performance.now() - startedAt > 1_000) backoff.reset();
        else await pause(backoff.nextMs(), signal);
      } catch (error) {
        if (signal.aborted) return;
        const code = error instanceof StatusError ? error.code : 0;
        const refusesWatchList = resourceVersion === "" && watchListSupported && (code === 400 || code === 422);
        if (refusesWatchList) {
          watchListSupported = false;
          continue;
        }
        if (code === 410) resourceVersion = "";
        if (performance.now() - startedAt > 60_000) backoff.reset();
        const waitMs = backoff.nextMs();
        log.warn("a watch was lost", {
          resource: resource.resource,
          error: messageOf(error),
          retryInMs: Math.round(waitMs),
        });
        await pause(waitMs, signal);
      }
    }
  };

  return {
    start: (signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        signal.addEventListener("abort", () => resolve(), { once: true });
        void run(signal, resolve);
      }),
    synced: () => synced,
    get: cache.get,
    list: cache.list,
    size: cache.size,
    byIndex: cache.byIndex,
    on: (handler) => {
      handlers.push(handler);
      for (const object of cache.list()) handler.added?.(object);
    },
  };
}

interface Cache<T> {
  get(key: string): T | undefined;
  list(): T[];
  size(): number;
  byIndex(index: string, value: string): T[];
  /** The object it replaced. */
  put(object: T): T | undefined;
  remove(key: string): boolean;
}

function createCache<T extends KubeObject>(indexes: Record<string, (object: T) => string[]>): Cache<T> {
  const objects = new Map<string, T>();
  /** index → value → keys */
  const indexed = new Map(Object.keys(indexes).map((name) => [name, new Map<string, Set<string>>()]));

  const eachValue = (object: T, visit: (values: Map<string, Set<string>>, value: string) => void) => {
    for (const [name, valuesOf] of Object.entries(indexes)) {
      const values = indexed.get(name);
      if (values) for (const value of valuesOf(object)) visit(values, value);
    }
  };
  const unindex = (key: string, object: T) =>
    eachValue(object, (values, value) => {
      const keys = values.get(value);
      keys?.delete(key);
      if (keys?.size === 0) values.delete(value);
    });

  return {
    get: (key) => objects.get(key),
    list: () => [...objects.values()],
    size: () => objects.size,
    byIndex(index, value) {
      const values = indexed.get(index);
      if (!values) throw new Error(`no index "${index}"`);
      return [...(values.get(value) ?? [])].map((key) => objects.get(key)!);
    },
    put(object) {
      const key = keyOf(object);
      const old = objects.get(key);
      if (old) unindex(key, old);
      objects.set(key, object);
      eachValue(object, (values, value) => {
        const keys = values.get(value);
        if (keys) keys.add(key);
        else values.set(value, new Set([key]));
      });
      return old;
    },
    remove(key) {
      const old = objects.get(key);
      if (!old) return false;
      unindex(key, old);
      return objects.delete(key);
    },
  };
}
