/**
 * The watch cache: the Store that API servers use, over the backing store and its log (S4, S7, S8, S9).
 * A gap (the log was compacted before it was read, or the database lost its last moment) ends every watch with 410 and loads anew.
 * The state (states.ts) changes only in `#to`; everything between two awaits sees one revision.
 */
import { type Clock, delay } from "#platform/base/clock.ts";
import type { Metric } from "#platform/base/exposition.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { expired, StatusError, unavailable } from "#sdk/api/status.ts";
import type { Backing, Follower, Position } from "../backing.ts";
import type {
  Change,
  Freshness,
  Key,
  ListRequest,
  ListResult,
  Revision,
  Store,
  StoredObject,
  WatchEvent,
  WatchRequest,
  Write,
  WriteResult,
} from "../port.ts";
import { Dispatch } from "./dispatch.ts";
import { type Budget, History, type HistoryLimits } from "./history.ts";
import { Horizon } from "./horizon.ts";
import { listAt, listNow } from "./list.ts";
import { type CacheFigures, cacheMetrics } from "./metrics.ts";
import { Pace, TURN_MS } from "./pace.ts";
import { type Opened, Reading } from "./reading.ts";
import { Repeated } from "./repeated.ts";
import { rowsOf } from "./seen.ts";
import { Shelf } from "./shelf.ts";
import { type Event, next, type State } from "./states.ts";
import { Watcher } from "./watcher.ts";

export interface WatchCacheOptions {
  backing: Backing;
  clock: Clock;
  log: Log;
  /** resource → fields that lists are asked by. */
  indexedFields?: Record<string, readonly string[]>;
  /** Resources whose objects each tenant has anew, nearly equal. */
  repeated?: readonly string[];
  /** Per resource. */
  history?: HistoryLimits;
  bookmarkMs?: number;
  /** How long a busy watcher's events gather, and how long those of resources that nobody is in a hurry to read. */
  turnMs?: number;
  turnsMs?: Record<string, number>;
}

const TICK_MS = 1_000;
/** What is read back from the log at a load, so that watches from before a restart go on: all resources together. */
const RECENT = { entriesMax: 20_000, bytesMax: 64 * 1024 * 1024 };
/** What all histories hold together. */
const HISTORY_BYTES_MAX = 512 * 1024 * 1024;
/** How long a reader waits for the cache to reach what it asked for. */
const FRESHNESS_MS_MAX = 10_000;
const FUTURE_MS_MAX = 3_000;

interface Resource {
  shelf: Shelf;
  history: History;
  /** How an object is kept. */
  kept(object: StoredObject): StoredObject;
}

/** Not told of one's own writes: it is what was held. */
const withPrevious = (change: Change, before: StoredObject | undefined): Change =>
  change.previous || change.type === "added" || !before
    ? change
    : { ...change, previous: { labels: before.labels, fields: before.fields } };

const asItIs = (object: StoredObject): StoredObject => object;

interface Waiter {
  revision: Revision;
  resolve(): void;
}

export class WatchCache implements Store {
  readonly #options: Required<WatchCacheOptions>;
  readonly #stop = new AbortController();
  readonly #waiters = new Set<Waiter>();
  readonly #repeated = new Repeated();
  /** By the length of their turns. */
  readonly #paces = new Map<number, Pace>();
  /** Every watcher that has not ended. */
  readonly #watchers = new Map<string, Dispatch>();
  readonly #ticker: NodeJS.Timeout;
  readonly #running: Promise<void>;
  /** Resolves when the first load is in. */
  readonly loaded: Promise<void>;
  #onLoaded: () => void = () => undefined;
  #state: State = "loading";
  #resources = new Map<string, Resource>();
  #position: Position = { revision: 0, epoch: 0 };
  #loads = 0;
  readonly #ended = { slow: 0, gap: 0 };
  /** The revision of the snapshot that was loaded: nothing can be put back before it, so no list is answered from there. */
  #loadedAt: Revision = 0;
  /** From here on the log was read back: watches may begin here. */
  #floor: Revision = 0;
  readonly #horizon: Horizon;
  #budget: Budget = { bytes: 0, bytesMax: HISTORY_BYTES_MAX };
  #follower: Follower | undefined;
  #loadAgain: (() => void) | undefined;

  constructor(options: WatchCacheOptions) {
    this.#options = {
      indexedFields: {},
      repeated: [],
      history: { entriesMax: 20_000, bytesMax: 64 * 1024 * 1024, ageMs: 5 * 60_000 },
      bookmarkMs: 10_000,
      turnMs: TURN_MS,
      turnsMs: {},
      ...options,
    };
    this.#horizon = new Horizon(this.#options.history.ageMs);
    this.loaded = new Promise((resolve) => {
      this.#onLoaded = resolve;
    });
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#ticker.unref();
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#to("closing");
    clearInterval(this.#ticker);
    this.#stop.abort();
    this.#loadAgain?.();
    for (const watcher of this.#allWatchers()) watcher.end();
    await this.#follower?.close();
    await this.#running;
  }

  revision(): Revision {
    return this.#position.revision;
  }

  isStale(object: StoredObject): boolean {
    return this.#options.backing.isStale?.(object) ?? false;
  }

  write(write: Write): Promise<WriteResult> {
    if (this.#state !== "following") return this.#options.backing.write(write);
    const rows = rowsOf(write, (key) => this.#resources.get(key.resource)?.shelf.get(key));
    return this.#options.backing.write({ ...write, seen: { revision: this.#position.revision, rows } });
  }

  metrics(): Metric[] {
    const figures: CacheFigures = {
      ...this.#position,
      following: this.#state === "following",
      objects: new Map([...this.#resources].map(([name, { shelf }]) => [name, shelf.size])),
      historyEntries: [...this.#resources.values()].reduce((sum, { history }) => sum + history.length, 0),
      historyBytes: this.#budget.bytes,
      watchers: { idle: 0, behind: 0 },
      ended: this.#ended,
      loads: this.#loads,
    };
    for (const watcher of this.#allWatchers()) figures.watchers[watcher.waiting > 0 ? "behind" : "idle"]++;
    return cacheMetrics(figures);
  }

  /** Why reads cannot be served; undefined when they can. */
  trouble(): string | undefined {
    return this.#state === "following" ? undefined : `the store is ${this.#state}`;
  }

  /** Living objects of a resource that were last written at or before a revision, at most `limit`. */
  lastWrittenBefore(resource: string, revision: Revision, limit: number): StoredObject[] {
    const found: StoredObject[] = [];
    for (const object of this.#resources.get(resource)?.shelf.scan({ tenant: "*", resource }) ?? []) {
      if (object.revision <= revision) found.push(object);
      if (found.length >= limit) break;
    }
    return found;
  }

  async get(key: Key, freshness: Freshness): Promise<StoredObject | undefined> {
    await this.#fresh(freshness);
    if (freshness.type !== "exact") return this.#resources.get(key.resource)?.shelf.get(key);
    const { tenant, resource, namespace, name } = key;
    return this.#exact({ scope: { tenant, resource, namespace, name }, freshness }, freshness.revision).objects[0];
  }

  async list(request: ListRequest): Promise<ListResult> {
    const { freshness } = request;
    await this.#fresh(freshness);
    if (freshness.type === "exact" && freshness.revision !== this.#position.revision)
      return this.#exact(request, freshness.revision);
    return listNow(this.#resources.get(request.scope.resource)?.shelf, request, this.#position.revision);
  }

  #exact(request: ListRequest, revision: Revision): ListResult {
    this.#checkFloor(request.scope.resource, revision, Math.max(this.#loadedAt, this.#horizon.revision));
    const { shelf, history } = this.#resources.get(request.scope.resource) ?? {};
    return listAt(shelf, history?.differencesAt(revision) ?? new Map(), request, revision);
  }

  watch(request: WatchRequest): AsyncIterable<readonly WatchEvent[]> {
    return new Reading(request.signal, (onEnd) => this.#open(request, onEnd));
  }

  async #open(request: WatchRequest, onEnd: () => void): Promise<Opened> {
    const { scope, initial } = request;
    const after = await this.#watchStart(request);
    // From here on nothing is awaited: what the cache holds now and what the watcher is told next leave no gap (S7).
    const revision = initial ? this.#position.revision : after;
    const dispatch = this.#watchers.get(scope.resource) ?? new Dispatch();
    this.#watchers.set(scope.resource, dispatch);
    const watcher: Watcher = new Watcher({
      scope,
      bookmarks: request.bookmarks === true,
      after: revision,
      now: this.#options.clock.now(),
      pace: this.#paceOf(scope.resource),
      onSlow: () => void this.#ended.slow++,
      onEnd: () => {
        dispatch.delete(watcher);
        onEnd();
      },
    });
    if (!initial) this.#replay(watcher, revision);
    if (!watcher.ended) dispatch.add(watcher);
    const objects = initial ? [...(this.#resources.get(scope.resource)?.shelf.scan(scope) ?? [])] : [];
    return { watcher, ...(initial ? { initial: { objects, revision } } : {}) };
  }

  #paceOf(resource: string): Pace {
    const turnMs = this.#options.turnsMs[resource] ?? this.#options.turnMs;
    const pace = this.#paces.get(turnMs) ?? new Pace(turnMs);
    this.#paces.set(turnMs, pace);
    return pace;
  }

  /** After this revision; the cache is as fresh as the request asks. */
  async #watchStart({ after, initial, scope }: WatchRequest): Promise<Revision> {
    if (after === "now") {
      const { revision } = await this.#options.backing.position();
      await this.#reached(revision);
      return revision;
    }
    if (initial) {
      await this.#fresh({ type: "atLeast", revision: after });
      return after;
    }
    await this.#reached(1);
    this.#checkFloor(scope.resource, after, this.#floor);
    return after;
  }

  #replay(watcher: Watcher, after: Revision): void {
    const dispatch = new Dispatch();
    dispatch.add(watcher);
    for (const { change } of this.#resources.get(watcher.scope.resource)?.history.since(after) ?? [])
      dispatch.send(change);
  }

  #checkFloor(resource: string, revision: Revision, least: Revision): void {
    const floor = Math.max(this.#resources.get(resource)?.history.floor ?? this.#floor, least);
    if (revision < floor) throw expired(`too old resource version: ${revision} (${floor})`);
  }

  /** S8. */
  async #fresh(freshness: Freshness): Promise<void> {
    if (freshness.type === "consistent") {
      const { revision } = await this.#options.backing.position();
      return this.#reached(revision);
    }
    if (freshness.revision <= this.#position.revision && this.#state === "following") return;
    await this.#reached(1);
    await this.#reached(freshness.revision, FUTURE_MS_MAX);
  }

  /** Resolves when the cache follows the log and holds this revision. */
  async #reached(revision: Revision, waitMs = FRESHNESS_MS_MAX): Promise<void> {
    if (this.#state === "following" && this.#position.revision >= revision) return;
    if (this.#state === "closed") throw unavailable("the store is closed");
    this.#follower?.poke(revision);
    const waiter: Waiter = { revision, resolve: () => undefined };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), waitMs);
      waiter.resolve = () => resolve(true);
    });
    this.#waiters.add(waiter);
    const inTime = await late;
    clearTimeout(timer);
    this.#waiters.delete(waiter);
    if (this.#stop.signal.aborted) throw unavailable("the store is closed");
    if (!inTime) throw this.#tooLate(revision);
  }

  #tooLate(revision: Revision): StatusError {
    if (this.#state !== "following") return unavailable("the store is still loading");
    const text = `Too large resource version: ${revision}, current: ${this.#position.revision}`;
    const causes = [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }];
    return new StatusError(504, "Timeout", `Timeout: ${text}`, { causes, retryAfterSeconds: 1 });
  }

  #to(event: Event): void {
    this.#state = next(this.#state, event);
  }

  /** Loads and follows, again after every gap, until closed. */
  async #run(): Promise<void> {
    const { backing, log, clock } = this.#options;
    for (let backoffMs = 50; !this.#stop.signal.aborted; ) {
      try {
        const started = clock.now();
        const position = await this.#load();
        if (this.#stop.signal.aborted) return;
        log.info("the watch cache is loaded", { revision: position.revision, tookMs: clock.now() - started });
        const gap = new Promise<void>((resolve) => {
          this.#loadAgain = resolve;
        });
        this.#follower = backing.follow(position, {
          changes: (changes, upTo) => this.#apply(changes, upTo),
          gap: (why) => this.#gap(why),
        });
        await gap;
        await this.#follower.close();
        backoffMs = 50;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        log.warn("the watch cache could not be loaded", { error: messageOf(error), retryInMs: backoffMs });
        await delay(backoffMs, this.#stop.signal);
        backoffMs = Math.min(backoffMs * 2, 2_000);
      }
    }
  }

  async #load(): Promise<Position> {
    this.#loads++;
    const { position, objects } = await this.#options.backing.snapshot(this.#stop.signal);
    const resources = new Map<string, Resource>();
    this.#budget = { bytes: 0, bytesMax: HISTORY_BYTES_MAX };
    for await (const page of objects)
      for (const object of page) {
        const { shelf, kept } = this.#resource(resources, object.key.resource, position.revision);
        shelf.put(kept(object));
      }
    const { floor, changes } = await this.#options.backing.recent(position.revision, RECENT);
    this.#floor = Math.min(floor, position.revision);
    for (const { history } of resources.values()) history.floor = this.#floor;
    const at = this.#options.clock.now();
    for (const change of changes) {
      const { key } = change.object;
      const { shelf, history, kept } = this.#resource(resources, key.resource, this.#floor);
      const held = shelf.get(key);
      // The newest change of a living object is the object: one copy in memory.
      const object = held?.revision === change.revision ? held : kept(change.object);
      history.push({ change: { ...change, object }, before: undefined, at });
    }
    this.#resources = resources;
    this.#position = position;
    this.#loadedAt = position.revision;
    this.#to("loaded");
    this.#onLoaded();
    this.#wakeWaiters();
    return position;
  }

  #resource(resources: Map<string, Resource>, name: string, floor: Revision): Resource {
    const found = resources.get(name);
    if (found) return found;
    const shelf = new Shelf(this.#options.indexedFields[name] ?? []);
    const kept = this.#options.repeated.includes(name)
      ? (object: StoredObject) => this.#repeated.share(object)
      : asItIs;
    const made = { shelf, history: new History(floor, this.#options.history, this.#budget), kept };
    resources.set(name, made);
    return made;
  }

  /** Must not be interleaved: state, history and watchers move together. No await here. */
  #apply(changes: readonly Change[], upTo: Revision): void {
    if (this.#state !== "following") return;
    const at = this.#options.clock.now();
    for (const told of changes) {
      if (told.revision <= this.#position.revision) continue;
      const { key } = told.object;
      const { shelf, history, kept } = this.#resource(this.#resources, key.resource, this.#floor);
      const object = kept(told.object);
      const before = told.type === "deleted" ? shelf.remove(key) : shelf.put(object);
      const change = withPrevious(object === told.object ? told : { ...told, object }, before);
      history.push({ change, before, at });
      this.#watchers.get(key.resource)?.send(change);
    }
    this.#position = { revision: upTo, epoch: this.#position.epoch };
    this.#wakeWaiters();
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters) if (waiter.revision <= this.#position.revision) waiter.resolve();
  }

  #gap(why: "compacted" | "epoch"): void {
    if (this.#state !== "following") return;
    this.#options.log.warn("the watch cache lost its place in the log and loads anew", { why });
    this.#to("gap");
    for (const watcher of this.#allWatchers()) {
      this.#ended.gap++;
      watcher.end(expired("the log has a gap here; list again and watch from there"));
    }
    this.#loadAgain?.();
  }

  *#allWatchers(): Generator<Watcher> {
    for (const dispatch of this.#watchers.values()) yield* dispatch.all();
  }

  /** One timer for all: bookmarks for quiet watchers (also past revisions of other resources), and the history's window. */
  #tick(): void {
    if (this.#state !== "following") return;
    const now = this.#options.clock.now();
    this.#horizon.note(now, this.#position.revision);
    for (const { history } of this.#resources.values()) history.expire(now);
    for (const watcher of this.#allWatchers())
      if (watcher.bookmarks && now - watcher.bookmarkedAt >= this.#options.bookmarkMs)
        watcher.bookmark(this.#position.revision, now);
  }
}
