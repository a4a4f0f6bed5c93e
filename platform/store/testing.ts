/** Small makers for the store's tests. */
import type { Key, NewDocument, Operation, Store, StoredObject, WatchEvent, WatchRequest, Write } from "./port.ts";

export const key = (name: string, more: Partial<Key> = {}): Key => ({
  tenant: 1,
  resource: "configmaps",
  namespace: "default",
  name,
  ...more,
});

let uids = 0;

export function documentOf(at: Key, data = "", more: Partial<NewDocument> = {}): NewDocument {
  const uid = more.uid ?? `uid-${++uids}`;
  const ending = more.terminating ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {};
  const metadata = { name: at.name, namespace: at.namespace, uid, ...ending };
  return {
    uid,
    document: JSON.stringify({ kind: "ConfigMap", apiVersion: "v1", metadata, data: { data } }),
    labels: {},
    fields: { "metadata.name": at.name, "metadata.namespace": at.namespace },
    terminating: false,
    ...more,
  };
}

export const create = (at: Key, data = "", more: Partial<NewDocument> = {}): Operation => ({
  type: "create",
  key: at,
  object: documentOf(at, data, more),
});

type Held = Pick<StoredObject, "uid" | "revision">;

export const update = (at: Key, { uid, revision }: Held, data = "", more: Partial<NewDocument> = {}): Operation => ({
  type: "update",
  key: at,
  object: documentOf(at, data, { uid, ...more }),
  expected: { uid, revision },
});

export const remove = (at: Key, { uid, revision }: Held): Operation => ({
  type: "delete",
  key: at,
  object: documentOf(at, "last", { uid }),
  expected: { uid, revision },
});

/** Writes and returns what a read would show; throws when the store refuses. */
export async function put(
  store: Pick<Store, "write">,
  operation: Operation,
  more: Partial<Write> = {},
): Promise<StoredObject> {
  const result = await store.write({ operations: [operation], ...more });
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result)}`);
  const { uid, document, labels, fields } = operation.object;
  return { key: operation.key, uid, revision: result.revisions[0] ?? 0, document, labels, fields };
}

/** Collects a watch's events in the background until `stop`. */
export function collect(store: Pick<Store, "watch">, request: Omit<WatchRequest, "signal">) {
  const abort = new AbortController();
  const events: WatchEvent[] = [];
  let changed: () => void = () => undefined;
  const done = (async () => {
    for await (const batch of store.watch({ ...request, signal: abort.signal })) {
      events.push(...batch);
      changed();
    }
  })();
  const outcome = done.then(
    () => undefined,
    (error: unknown) => error,
  );
  return {
    events,
    /** Resolves when the condition holds; rejects when the watch ends before. */
    until: async (condition: (events: WatchEvent[]) => boolean): Promise<void> => {
      while (!condition(events))
        await Promise.race([
          new Promise<void>((resolve) => {
            changed = resolve;
          }),
          done.then(() => Promise.reject(new Error("the watch ended"))),
        ]);
    },
    /** How the watch ended: undefined normally, else the error. */
    outcome,
    stop: async () => {
      abort.abort();
      return outcome;
    },
  };
}
