/**
 * The watch cache against a model too simple to be wrong: the whole log in an array, folded anew for each question. Random changes,
 * deliveries that lag behind, compactions, lost moments (new epochs), lists of all kinds and watchers of all scopes; each seed
 * repeats its run.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Backing, LogHandler, Position } from "../backing.ts";
import type { Change, Freshness, Key, ListRequest, Revision, Scope, StoredObject, WatchEvent } from "../port.ts";
import { collect } from "../testing.ts";
import { WatchCache } from "./cache.ts";

const SEEDS = 60;
const STEPS = 250;
/** In every other run watchers' events gather. */
const TURN_MS = 2;
const FIELD = "spec.nodeName";

/** mulberry32. */
function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const text = ({ tenant, resource, namespace, name }: Key): string =>
  `${tenant} ${resource} ${namespace || "-"} ${name}`;
const inScope = (scope: Scope, key: Key): boolean =>
  key.resource === scope.resource &&
  (scope.tenant === "*" || scope.tenant === key.tenant) &&
  (scope.namespace === undefined || scope.namespace === key.namespace) &&
  (scope.name === undefined || scope.name === key.name);
const has = (scope: Scope, fields: Readonly<Record<string, string>> | undefined): boolean =>
  fields !== undefined && (scope.field === undefined || fields[scope.field.name] === scope.field.value);
const isExpired = (error: unknown): boolean => isReason(error, "Expired");

/** The database: its log, what the cache was told of it, and what there was at any place. */
class Model implements Backing {
  log: Change[] = [];
  current: Position = { revision: 1, epoch: 1 };
  told: Revision = 1;
  /** Nothing is read back from before this. */
  floor: Revision = 1;
  handler: LogHandler | undefined;

  at(revision: Revision): StoredObject[] {
    const objects = new Map<string, StoredObject>();
    for (const { type, object } of this.log.filter((change) => change.revision <= revision))
      if (type === "deleted") objects.delete(text(object.key));
      else objects.set(text(object.key), object);
    return [...objects.values()].sort(
      ({ key: a }, { key: b }) =>
        a.tenant - b.tenant ||
        Math.sign(+(a.namespace > b.namespace) - +(a.namespace < b.namespace)) ||
        +(a.name > b.name) - +(a.name < b.name),
    );
  }

  write(): Promise<never> {
    return Promise.reject(new Error("the model takes no writes"));
  }
  async position() {
    return this.current;
  }
  async snapshot() {
    const [position, objects] = [this.current, this.at(this.current.revision)];
    this.told = position.revision;
    const pages = async function* () {
      yield objects;
    };
    return { position, objects: pages() };
  }
  async recent(upTo: Revision) {
    return { floor: this.floor, changes: this.log.filter((c) => c.revision > this.floor && c.revision <= upTo) };
  }
  follow(_from: Position, handler: LogHandler) {
    this.handler = handler;
    return { poke: () => undefined, close: async () => undefined };
  }

  change(key: Key, node: string): void {
    const before = this.at(this.current.revision).find((object) => text(object.key) === text(key));
    // Every third change of an object is its end.
    const type = !before ? "added" : this.current.revision % 3 === 0 ? "deleted" : "modified";
    this.current = { ...this.current, revision: this.current.revision + 1 + (this.current.revision % 2) };
    const { revision } = this.current;
    const document = `{"metadata":{"name":"${key.name}"},"at":${revision}}`;
    const object = { key, uid: text(key), revision, document, labels: {}, fields: { [FIELD]: node } };
    const previous = before && { labels: before.labels, fields: before.fields };
    this.log.push({ type, revision, object, ...(previous ? { previous } : {}) });
  }

  /** Tells the cache the next changes, at most `count`. */
  deliver(count: number): void {
    const next = this.log.filter((change) => change.revision > this.told).slice(0, count);
    const last = next.at(-1)?.revision ?? this.told;
    const all = this.log.every((change) => change.revision <= last);
    this.told = all ? this.current.revision : last;
    this.handler?.changes(next, this.told);
  }

  compacted(): void {
    this.floor = this.current.revision - 3;
    this.handler?.gap("compacted");
  }

  /** A crash takes the last changes along, though they may have been told. */
  crashed(lost: number): void {
    this.log = this.log.slice(0, this.log.length - lost);
    this.current = { revision: this.current.revision + 1_000, epoch: this.current.epoch + 1 };
    this.floor = this.current.revision;
    this.handler?.gap("epoch");
  }
}

/** What a watcher must have been told: all of it when it lives, a beginning of it when it was told 410. */
interface Watching {
  scope: Scope;
  watch: ReturnType<typeof collect>;
  start: Revision;
  initial: boolean;
  /** The log as it was when a gap ended the watch. */
  endedWith?: readonly Change[];
}

class Run {
  readonly below: (n: number) => number;
  readonly model = new Model();
  readonly watches: Watching[] = [];
  readonly cache: WatchCache;
  now = 0;

  constructor(seed: number) {
    this.below = dice(seed);
    this.cache = new WatchCache({
      backing: this.model,
      clock: { now: () => this.now },
      log: silentLog,
      history: { entriesMax: 40, bytesMax: 1e9, ageMs: 1e9 },
      indexedFields: { pods: [FIELD] },
      turnMs: seed % 2 === 0 ? 0 : TURN_MS,
    });
  }

  pick<T>(...of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }

  key(): Key {
    const name = `n-${this.below(5)}`;
    return {
      tenant: this.pick(1, 2),
      resource: this.pick("pods", "secrets"),
      namespace: this.pick("", "x", "y"),
      name,
    };
  }

  scope(): Scope {
    const { tenant, resource, namespace, name } = this.key();
    const scope: Scope = { tenant: this.pick<Scope["tenant"]>(tenant, "*"), resource };
    if (this.below(3) === 0) scope.namespace = namespace;
    if (this.below(5) === 0) scope.name = name;
    if (this.below(3) === 0) scope.field = { name: FIELD, value: this.pick("one", "two") };
    return scope;
  }

  async list(): Promise<void> {
    const { model, cache } = this;
    const asked = model.current.revision;
    const past = Math.max(1, model.told - this.below(30));
    const freshness = this.pick<Freshness>(
      { type: "consistent" },
      { type: "atLeast", revision: 0 },
      { type: "exact", revision: past },
      { type: "exact", revision: model.told },
    );
    const request: ListRequest = { scope: this.scope(), freshness };
    if (this.below(2) === 0) request.limit = 1 + this.below(4);
    if (this.below(2) === 0) request.after = this.key();
    const answer = cache.list(request).then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    );
    if (freshness.type === "consistent") {
      await settled();
      model.deliver(1_000);
    }
    const outcome = await answer;
    if ("error" in outcome) {
      assert.ok(freshness.type === "exact" && isExpired(outcome.error), String(outcome.error));
      assert.notEqual(freshness.revision, model.told, "the present is never too old");
      return;
    }
    const { objects, revision, more, remaining } = outcome.result;
    if (freshness.type === "exact") assert.equal(revision, freshness.revision);
    if (freshness.type === "consistent") assert.ok(revision >= asked);
    const { after, limit = 1_000 } = request;
    const all = model
      .at(revision)
      .filter(({ key, fields }) => inScope(request.scope, key) && has(request.scope, fields));
    const rest = all.filter(({ key }) => !after || isAfter(key, after));
    assert.deepEqual(objects, rest.slice(0, limit), JSON.stringify(request));
    assert.equal(more, rest.length > limit);
    if (remaining !== undefined) assert.equal(remaining, Math.max(0, rest.length - limit));
  }

  watch(): void {
    const scope = this.scope();
    const initial = this.below(3) === 0;
    const start = initial ? 0 : Math.max(1, this.model.told - this.below(30));
    const watch = collect(this.cache, { scope, after: start, initial, bookmarks: true });
    this.watches.push({ scope, watch, start, initial });
  }

  async gap(): Promise<void> {
    const { model } = this;
    for (const one of this.watches) one.endedWith ??= [...model.log];
    if (this.below(2) === 0) model.compacted();
    else model.crashed(this.below(3));
    await this.cache.list({ scope: { tenant: 1, resource: "pods" }, freshness: { type: "consistent" } });
  }

  async step(): Promise<void> {
    const roll = this.below(100);
    if (roll < 45) this.model.change(this.key(), this.pick("one", "two"));
    else if (roll < 70) this.model.deliver(1 + this.below(4));
    else if (roll < 88) await this.list();
    else if (roll < 97) this.watch();
    else if (roll < 98) await this.gap();
    else this.now += 5_000;
    await settled();
  }

  async check(): Promise<void> {
    this.model.deliver(1_000);
    await settled();
    await new Promise((resolve) => setTimeout(resolve, 2 * TURN_MS));
    await settled();
    for (const one of this.watches) {
      const lives = one.endedWith === undefined;
      const error = await Promise.race([one.watch.outcome, Promise.resolve("lives")]);
      if (error !== "lives") assert.ok(isExpired(error), String(error));
      else assert.ok(lives, "a gap ends every watch");
      checkEvents(one, one.endedWith ?? this.model.log, error === "lives", this.model);
      await one.watch.stop();
    }
    await this.cache.close();
  }
}

const isAfter = (key: Key, after: Pick<Key, "tenant" | "namespace" | "name">): boolean =>
  key.tenant !== after.tenant
    ? key.tenant > after.tenant
    : key.namespace !== after.namespace
      ? key.namespace > after.namespace
      : key.name > after.name;

/** Collectors read in turns of the event loop. */
const settled = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
};

function checkEvents({ scope, watch, start, initial }: Watching, log: readonly Change[], lives: boolean, model: Model) {
  let events: readonly WatchEvent[] = watch.events;
  let from = start;
  if (initial) {
    const end = events.findIndex((event) => event.type === "bookmark" && event.initialEnd);
    if (end < 0) return assert.ok(!lives);
    const mark = events[end]!;
    from = mark.type === "bookmark" ? mark.revision : 0;
    const present = events.slice(0, end).map((event) => event.type === "change" && event.change.object);
    const was = new Model();
    was.log = [...log];
    assert.deepEqual(
      present,
      was.at(from).filter(({ key, fields }) => inScope(scope, key) && has(scope, fields)),
    );
    events = events.slice(end + 1);
  }
  let reached = from;
  for (const event of events) {
    const { revision } = event.type === "change" ? event.change : event;
    assert.ok(revision > reached, "in order, and nothing twice");
    reached = revision;
  }
  const told = events.flatMap((event) => (event.type === "change" ? [event.change] : []));
  const concerns = ({ object, previous }: Change) =>
    inScope(scope, object.key) && (has(scope, object.fields) || has(scope, previous?.fields));
  const expected = log.filter((change) => change.revision > from && concerns(change));
  assert.deepEqual(
    told,
    lives ? expected.filter((change) => change.revision <= model.told) : expected.slice(0, told.length),
  );
}

test("the watch cache answers as the log would, over random changes, lags, gaps and epochs", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  for (let seed = 1; seed <= SEEDS; seed++) {
    const run = new Run(seed);
    try {
      await run.cache.loaded;
      for (let i = 0; i < STEPS; i++) await run.step();
      await run.check();
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
});
