/**
 * One live list: what is there, then every change, in order, nothing missed and nothing told twice.
 *
 *   listing ──last page──▶ following ──410──▶ listing (from the start: the browser forgets what it had)
 *      ▲                      │
 *      └──── 503 and the like: wait, then go on (listing: anew; following: from the last revision)
 *
 * All pages are of one revision and the watch begins right after it, so no change can fall between them. Each message has
 * an id; a browser that lost its connection sends the last one back: "list" starts anew, a revision goes on after it.
 */

import type { DynamicObject, GroupVersionResource } from "#sdk/api/object.ts";
import { StatusError, unavailable } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { batches } from "./batches.ts";
import type { Column, Row, View } from "./views.ts";

export type LiveChange<Item> = { type: "put"; item: Item } | { type: "remove"; key: string };

export type LiveMessage<Item> =
  /** Forget everything: a list follows. */
  | { type: "reset"; columns: Column[] }
  /** A page of the list; `remaining` objects follow, where the server knows. */
  | { type: "page"; items: Item[]; remaining?: number }
  /** The list is complete; from here on it changes. */
  | { type: "synced" }
  | { type: "changes"; changes: LiveChange<Item>[] }
  /** The API server does not answer; the reading goes on by itself. */
  | { type: "waiting"; message: string };

export interface LiveRequest<Item> {
  client: Client;
  resource: GroupVersionResource;
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  columns: Column[];
  itemOf(object: DynamicObject): Item;
  /** The id of the last message the browser has. */
  after: string | undefined;
  signal: AbortSignal;
  drained?(): Promise<void>;
}

export const LISTING = "list";
const PAGE = 500;
const BATCH = 500;
const WAIT_MS_MIN = 250;
const WAIT_MS_MAX = 10_000;
const TRANSIENT = new Set([429, 500, 502, 503, 504]);

export const keyOf = (object: DynamicObject): string =>
  `${object.metadata.namespace ?? ""}/${object.metadata.name ?? ""}`;

type Told<Item> = readonly [id: string, message: LiveMessage<Item>];

export async function* live<Item>(request: LiveRequest<Item>): AsyncGenerator<Told<Item>> {
  const { signal } = request;
  let revision = request.after === LISTING ? undefined : request.after;
  let waitMs = WAIT_MS_MIN;
  while (!signal.aborted) {
    try {
      if (revision === undefined) revision = yield* listAll(request);
      for await (const [id, message] of follow(request, revision)) {
        revision = id;
        waitMs = WAIT_MS_MIN;
        yield [id, message];
      }
      if (!signal.aborted) await pause(WAIT_MS_MIN, signal);
    } catch (thrown) {
      if (signal.aborted) return;
      const error = thrown instanceof StatusError ? thrown : unavailable(String(thrown));
      if (error.code === 410) revision = undefined;
      else if (!TRANSIENT.has(error.code)) throw error;
      else yield [revision ?? LISTING, { type: "waiting", message: error.message }];
      await pause(waitMs, signal);
      waitMs = Math.min(waitMs * 2, WAIT_MS_MAX);
    }
  }
}

/** Returns the list's revision. */
async function* listAll<Item>(request: LiveRequest<Item>): AsyncGenerator<Told<Item>, string> {
  yield [LISTING, { type: "reset", columns: request.columns }];
  let next: string | undefined;
  for (;;) {
    const list = await request.client.list<DynamicObject>(request.resource, {
      ...selection(request),
      limit: PAGE,
      continue: next,
    });
    await request.drained?.();
    yield [
      LISTING,
      { type: "page", items: list.items.map(request.itemOf), remaining: list.metadata.remainingItemCount },
    ];
    next = list.metadata.continue || undefined;
    if (next) continue;
    const revision = list.metadata.resourceVersion ?? "";
    yield [revision, { type: "synced" }];
    return revision;
  }
}

async function* follow<Item>(request: LiveRequest<Item>, revision: string): AsyncGenerator<Told<Item>> {
  const events = request.client.watch<DynamicObject>(request.resource, {
    ...selection(request),
    resourceVersion: revision,
    signal: request.signal,
  });
  for await (const batch of batches(events, BATCH)) {
    const changes: LiveChange<Item>[] = [];
    for (const event of batch) {
      if (event.type === "BOOKMARK") continue;
      if (event.type === "DELETED") changes.push({ type: "remove", key: keyOf(event.object) });
      else changes.push({ type: "put", item: request.itemOf(event.object) });
    }
    const last = batch.at(-1)?.object.metadata.resourceVersion;
    await request.drained?.();
    // A bookmark alone is told too: it moves the place from which a lost connection goes on.
    yield [last ?? revision, { type: "changes", changes }];
  }
}

const selection = ({ namespace, labelSelector, fieldSelector }: LiveRequest<unknown>) => ({
  namespace,
  labelSelector,
  fieldSelector,
});

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}

/** A row of a view, with what a table needs whatever the kind. */
export function rowOf(view: View, object: DynamicObject): Row {
  const { name = "", namespace = "", creationTimestamp = "", deletionTimestamp } = object.metadata;
  const { cells, tone } = view.row(object);
  return {
    key: keyOf(object),
    name,
    namespace,
    created: creationTimestamp,
    cells,
    tone: deletionTimestamp ? "off" : tone,
  };
}

/** The whole object without bookkeeping that nobody reads on a page. */
export function plainObject(object: DynamicObject): DynamicObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}
