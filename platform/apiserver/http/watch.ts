/** Watch: frames of JSON, one a line, or of protobuf, each after its length, until the client, the server or the timeout ends it. */
import { setTimeout as after } from "node:timers";
import type { Store, StoredObject, TenantId, WatchEvent } from "#platform/store/port.ts";
import { requiredValue } from "#sdk/api/fields.ts";
import { apiVersionOf } from "#sdk/api/object.ts";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import { encodeProtobuf, watchFrame } from "../protobuf/encode.ts";
import { inVersion, isConverted, selectsInVersion, type Versioned } from "../registry/conversion.ts";
import { matcherOf } from "../registry/selectors.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import type { Exchange } from "./exchange.ts";
import { RecentFrames } from "./frames.ts";
import { indexedField } from "./list.ts";
import { type ListParameters, listParameters, parseWatchVersion } from "./options.ts";
import { type Outlet, outletOf } from "./outlet.ts";
import { type RenderRequest, renderObject, sharedWith, tableOf } from "./render.ts";
import { remembering, seenAs } from "./seen.ts";

const TIMEOUT_MIN_SECONDS = 1800;
const PROTOBUF_STREAM = "application/vnd.kubernetes.protobuf;stream=watch";
const NOTHING: Buffer = Buffer.alloc(0);

/** An event with an object that no watcher shares. */
function frame(r: RenderRequest, type: string, object: { kind?: string; apiVersion?: string }): Buffer {
  const bytes = r.accepted.encoding === "protobuf" ? encodeProtobuf(object) : undefined;
  return bytes ? watchFrame(type, bytes) : Buffer.from(`{"type":"${type}","object":${JSON.stringify(object)}}\n`);
}

/** An object of the watched kind that is nothing but its revision. `columns` says whether a table of it tells its columns. */
function bookmark(r: RenderRequest, revision: number, initialEnd: boolean, columns: boolean): Buffer {
  const { group, version, kind } = r.entry.facts;
  const metadata = {
    resourceVersion: String(revision),
    ...(initialEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
  };
  const { shape } = r.accepted;
  const object = { kind, apiVersion: apiVersionOf({ group, version }), metadata };
  if (shape === "table")
    return frame(r, "BOOKMARK", tableOf(r, [object], { resourceVersion: String(revision) }, columns));
  const type = { kind: "PartialObjectMetadata", apiVersion: `meta.k8s.io/${r.accepted.version}` };
  return frame(r, "BOOKMARK", shape === "metadata" ? { ...type, metadata } : object);
}

interface Mode {
  after: number | "now";
  initial: boolean;
  /** The client asked for the mark that ends the initial events. */
  marksEnd: boolean;
}

function modeOf(p: ListParameters): Mode {
  const revision = p.resourceVersion === "" ? 0 : parseWatchVersion(p.resourceVersion);
  if (p.sendInitialEvents !== undefined) {
    return p.sendInitialEvents
      ? { after: revision, initial: true, marksEnd: p.allowWatchBookmarks }
      : { after: revision === 0 ? "now" : revision, initial: false, marksEnd: false };
  }
  // Without a version (or with 0) upstream begins with what is there, as added events.
  return { after: revision, initial: revision === 0, marksEnd: false };
}

const shared = new RecentFrames();

const frameOf = (type: string, object: string | Buffer): Buffer =>
  typeof object === "string" ? Buffer.from(`{"type":"${type}","object":${object}}\n`) : watchFrame(type, object);

interface Watching {
  events: AsyncIterable<readonly WatchEvent[]>;
  /** What comes together goes out together; nothing where none of it is seen by this watcher. */
  encode(events: readonly WatchEvent[]): Buffer | Promise<Buffer>;
}

async function watching(
  store: Store,
  exchange: Exchange,
  r: RenderRequest,
  { mode, ...p }: ListParameters & { mode: Mode },
  signal: AbortSignal,
  outlet: Outlet,
): Promise<Watching> {
  const late = exchange.scope === "*" ? undefined : selectsInVersion(r.entry, p.selection.fields);
  const selection = late ? { ...p.selection, fields: late.others } : p.selection;
  const matcher = matcherOf(selection);
  const name = requiredValue(selection.fields, "metadata.name");
  const scope = {
    tenant: exchange.scope,
    resource: r.entry.storeResource,
    ...(r.entry.facts.namespaced && exchange.info.namespace ? { namespace: exchange.info.namespace } : {}),
    ...(exchange.info.name || name ? { name: exchange.info.name || name } : {}),
    ...indexedField(r.entry.storeResource, selection.fields),
  };
  let first = true;
  let ready: ReadonlyMap<StoredObject, Versioned> = new Map();
  const had = mode.initial || mode.after === "now" ? undefined : mode.after;
  const recall = late && (await remembering(store, scope, r.entry, had, matcher, late));
  const one = (event: WatchEvent): Buffer => {
    if (event.type === "bookmark") {
      if (event.initialEnd ? !mode.marksEnd : !p.allowWatchBookmarks) return NOTHING;
      const columns = first;
      first = false;
      return outlet.encode(bookmark(r, event.revision, event.initialEnd ?? false, columns));
    }
    const type = recall ? recall(event.change, (of) => ready.get(of) ?? of) : seenAs(event.change, matcher);
    if (!type) return NOTHING;
    const { object: stored } = event.change;
    const shown = ready.get(stored) ?? stored;
    const frame = () => outlet.encode(frameOf(type, renderObject(r, shown, first)));
    const readers = shown === stored ? sharedWith(r, stored) : undefined;
    const made = readers === undefined ? frame() : shared.get(stored, `${type}${readers}${outlet.coding}`, frame);
    first = false;
    return made;
  };
  const all = (events: readonly WatchEvent[]): Buffer =>
    events.length === 1 ? one(events[0]!) : Buffer.concat(events.map(one));
  const events = store.watch({
    scope,
    after: mode.after,
    initial: mode.initial,
    bookmarks: p.allowWatchBookmarks,
    signal,
  });
  const converts = isConverted(r.entry) && exchange.scope !== "*" && (late || r.accepted.shape !== "metadata");
  if (!converts) return { events, encode: all };
  return {
    events,
    async encode(events) {
      ready = await convertedIn(r.entry, exchange.scope as TenantId, events);
      return all(events);
    },
  };
}

/** What the events show, in the version that is watched. */
async function convertedIn(
  entry: ResourceEntry,
  tenant: TenantId,
  events: readonly WatchEvent[],
): Promise<Map<StoredObject, Versioned>> {
  const stored = events.flatMap((event) => (event.type === "change" ? [event.change.object] : []));
  const ready = await inVersion(entry, tenant, stored);
  return new Map(stored.map((of, i) => [of, ready[i] ?? of]));
}

export async function serveWatch(
  store: Store,
  exchange: Exchange,
  entry: ResourceEntry,
  r: RenderRequest,
): Promise<void> {
  if (r.accepted.encoding === "yaml") throw badRequest("watch is only served as application/json and protobuf");
  const parameters = listParameters(exchange.query, entry, true);
  const p = { ...parameters, mode: modeOf(parameters) };
  // One signal of its own: asking a composite one (AbortSignal.any) asks all its sources, at each event.
  const ending = new AbortController();
  const { signal } = ending;
  const end = () => ending.abort();
  if (exchange.signal.aborted) end();
  exchange.signal.addEventListener("abort", end);
  const seconds =
    p.timeoutSeconds && p.timeoutSeconds > 0 ? p.timeoutSeconds : TIMEOUT_MIN_SECONDS * (1 + Math.random());
  const timer = after(end, Math.min(seconds, 24 * 3600) * 1000);
  const { response } = exchange;
  response.statusCode = 200;
  const protobuf = r.accepted.encoding === "protobuf";
  response.setHeader("Content-Type", protobuf ? PROTOBUF_STREAM : "application/json");
  response.setHeader("Cache-Control", "no-cache, private");
  (response as { flushHeaders?: () => void }).flushHeaders?.();
  const outlet = outletOf(response);
  try {
    const { events, encode } = await watching(store, exchange, r, p, signal, outlet);
    for await (const some of events) {
      const encoded = encode(some);
      const bytes = encoded instanceof Buffer ? encoded : await encoded;
      if (signal.aborted) break;
      if (bytes.length > 0 && !outlet.write(bytes)) await outlet.drained(signal);
    }
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    // The response has begun: the error travels as the last event, as upstream sends it.
    if (!signal.aborted) outlet.write(outlet.encode(frame(r, "ERROR", error.status)));
  } finally {
    clearTimeout(timer);
    exchange.signal.removeEventListener("abort", end);
    response.end();
  }
}
