/** The watch cache alone, over a log that the test writes by hand. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Backing, LogHandler, Position } from "../backing.ts";
import type { Change, StoredObject, WatchEvent } from "../port.ts";
import { collect, key } from "../testing.ts";
import { WatchCache } from "./cache.ts";
import { WATCHER_EVENTS_MAX } from "./watcher.ts";

/** A backing whose log moves when the test says so. */
class FakeLog implements Backing {
  current: Position = { revision: 1, epoch: 1 };
  handler: LogHandler | undefined;
  loads = 0;
  readonly stored = new Map<string, StoredObject>();

  write(): Promise<never> {
    return Promise.reject(new Error("the fake takes no writes"));
  }
  async position() {
    return this.current;
  }
  async snapshot() {
    this.loads++;
    const objects = [...this.stored.values()];
    const position = this.current;
    return {
      position,
      objects: (async function* () {
        yield objects;
      })(),
    };
  }
  /** What a load may read back. */
  kept: Change[] = [];
  floor = 0;
  async recent(upTo: number) {
    return { floor: this.floor || upTo, changes: this.kept };
  }
  follow(_from: Position, handler: LogHandler) {
    this.handler = handler;
    return { poke: () => undefined, close: async () => undefined };
  }

  /** Appends one change without telling the cache. */
  append(name: string, type: Change["type"], more: Partial<StoredObject> = {}): Change {
    this.current = { ...this.current, revision: this.current.revision + 1 };
    const at = more.key ?? key(name);
    const revision = this.current.revision;
    const object = {
      key: at,
      uid: name,
      revision,
      document: `{"metadata":{"name":"${name}"}}`,
      labels: {},
      fields: {},
      ...more,
    };
    const previous = this.stored.get(`${at.tenant} ${at.namespace} ${name}`);
    if (type === "deleted") this.stored.delete(`${at.tenant} ${at.namespace} ${name}`);
    else this.stored.set(`${at.tenant} ${at.namespace} ${name}`, object);
    return { type, revision, object, ...(previous ? { previous } : {}) };
  }
  tell(...changes: Change[]): void {
    this.handler?.changes(changes, this.current.revision);
  }
  add(name: string, more: Partial<StoredObject> = {}): void {
    this.tell(this.append(name, "added", more));
  }
}

async function open(history = { entriesMax: 1_000, bytesMax: 1e9, ageMs: 1e9 }) {
  const log = new FakeLog();
  let now = 0;
  const clock = { now: () => now, advance: (ms: number) => (now += ms) };
  for (const name of ["a", "b", "c"]) log.append(name, "added");
  const cache = new WatchCache({
    backing: log,
    clock,
    log: silentLog,
    history,
    indexedFields: { pods: ["spec.nodeName"] },
  });
  await cache.loaded;
  return { log, cache, clock };
}

const scope = { tenant: 1, resource: "configmaps" } as const;
const names = (objects: readonly StoredObject[]) => objects.map((object) => object.key.name);
const told = (events: readonly WatchEvent[]) =>
  events.flatMap((event) => (event.type === "change" ? [`${event.change.type} ${event.change.object.key.name}`] : []));

describe("the watch cache", () => {
  it("answers a consistent list only when it has what the database had (S8)", async () => {
    const { log, cache } = await open();
    const change = log.append("d", "added");
    const list = cache.list({ scope, freshness: { type: "consistent" } });
    const early = await Promise.race([list.then(() => "answered"), new Promise((r) => setImmediate(() => r("waits")))]);
    assert.equal(early, "waits");
    log.tell(change);
    const { objects, revision } = await list;
    assert.deepEqual(names(objects), ["a", "b", "c", "d"]);
    assert.equal(revision, log.current.revision);
    await cache.close();
  });

  it("pages through one revision while objects come, change and go (S4)", async () => {
    const { log, cache } = await open();
    const first = await cache.list({ scope, freshness: { type: "atLeast", revision: 0 }, limit: 1 });
    assert.deepEqual([names(first.objects), first.more, first.remaining], [["a"], true, 2]);
    log.add("aa");
    log.tell(log.append("b", "modified", { document: "changed" }));
    log.tell(log.append("c", "deleted"));
    const freshness = { type: "exact", revision: first.revision } as const;
    const rest = await cache.list({ scope, freshness, after: first.objects[0]!.key });
    assert.deepEqual(names(rest.objects), ["b", "c"]);
    const second = await cache.list({ scope, freshness, after: first.objects[0]!.key, limit: 1 });
    assert.deepEqual([names(second.objects), second.more, second.remaining], [["b"], true, 1]);
    assert.notEqual(rest.objects[0]?.document, "changed");
    assert.equal((await cache.get(key("c"), freshness))?.uid, "c");
    assert.deepEqual(names((await cache.list({ scope, freshness: { type: "atLeast", revision: 0 } })).objects), [
      "a",
      "aa",
      "b",
    ]);
    await cache.close();
  });

  it("says 410 Expired for a revision before its window, to lists and watches (S4, S5)", async () => {
    const { log, cache } = await open({ entriesMax: 2, bytesMax: 1e9, ageMs: 1e9 });
    const start = cache.revision();
    for (const name of ["d", "e", "f"]) log.add(name);
    const isExpired = (error: unknown) => isReason(error, "Expired");
    await assert.rejects(cache.list({ scope, freshness: { type: "exact", revision: start } }), isExpired);
    const watch = collect(cache, { scope, after: start });
    assert.ok(isExpired(await watch.outcome));
    const late = collect(cache, { scope, after: start + 1 });
    await late.until((events) => events.length === 2);
    assert.deepEqual(told(late.events), ["added e", "added f"]);
    await late.stop();
    await cache.close();
  });

  it("starts a WatchList with every object, marks the end, and goes on without a gap (S7)", async () => {
    const { log, cache } = await open();
    const watch = collect(cache, { scope, after: 0, initial: true });
    await watch.until((events) => events.length === 4);
    assert.deepEqual(watch.events.at(-1), { type: "bookmark", revision: cache.revision(), initialEnd: true });
    log.add("d");
    await watch.until((events) => events.length === 5);
    assert.deepEqual(told(watch.events), ["added a", "added b", "added c", "added d"]);
    await watch.stop();
    await cache.close();
  });

  it("shows each scope its own: tenants, namespaces, names and fields, before and after (S10)", async () => {
    const { log, cache } = await open();
    const after = cache.revision();
    const pod = (tenant: number, namespace: string, name: string) => key(name, { tenant, namespace, resource: "pods" });
    const on = (node: string) => ({ fields: { "spec.nodeName": node } });
    const field = { name: "spec.nodeName", value: "one" };
    const watch = (more: object) => collect(cache, { scope: { tenant: 1, resource: "pods", ...more }, after });
    const watches = [
      watch({}),
      watch({ tenant: "*" }),
      watch({ namespace: "x" }),
      watch({ tenant: "*", name: "q" }),
      watch({ tenant: "*", field }),
    ];
    log.add("p", { key: pod(1, "x", "p"), ...on("one") });
    log.add("q", { key: pod(2, "x", "q"), ...on("two") });
    log.add("r", { key: pod(1, "y", "r"), ...on("one") });
    log.tell(log.append("p", "modified", { key: pod(1, "x", "p"), ...on("two") }));
    log.add("end", { key: pod(1, "x", "end"), ...on("one") });
    log.add("q", { key: pod(3, "x", "q"), ...on("two") });
    const expected = [
      ["added p", "added r", "modified p", "added end"],
      ["added p", "added q", "added r", "modified p", "added end", "added q"],
      ["added p", "modified p", "added end"],
      ["added q", "added q"],
      ["added p", "added r", "modified p", "added end"],
    ];
    for (const [i, one] of watches.entries()) {
      await one.until((events) => events.length >= expected[i]!.length);
      assert.deepEqual(told(one.events), expected[i]);
      await one.stop();
    }
    const freshness = { type: "atLeast", revision: 0 } as const;
    const list = await cache.list({ scope: { tenant: "*", resource: "pods", field }, freshness });
    assert.deepEqual(names(list.objects), ["end", "r"]);
    await cache.close();
  });

  it("ends a reader too slow for its buffer with 410 and holds nobody else (S9)", async () => {
    const { log, cache } = await open();
    const after = cache.revision();
    const slow = cache.watch({ scope, after, signal: new AbortController().signal })[Symbol.asyncIterator]();
    const first = slow.next();
    const quick = collect(cache, { scope, after });
    log.add("first");
    await first;
    for (let i = 0; i <= WATCHER_EVENTS_MAX; i++) {
      log.add(`n-${i}`);
      if (i % 1_000 === 0) await quick.until((events) => events.length === i + 2);
    }
    await assert.rejects(slow.next(), (error: unknown) => isReason(error, "Expired"));
    await quick.until((events) => events.length === WATCHER_EVENTS_MAX + 2);
    await quick.stop();
    await cache.close();
  });

  it("moves quiet watchers on by bookmarks, past what others wrote", async (context) => {
    context.mock.timers.enable({ apis: ["setInterval"] });
    const { log, cache, clock } = await open();
    const watch = collect(cache, { scope, after: cache.revision(), bookmarks: true });
    await new Promise((resolve) => setImmediate(resolve));
    log.add("other", { key: key("other", { resource: "secrets" }) });
    clock.advance(10_000);
    context.mock.timers.tick(1_000);
    await watch.until((events) => events.length === 1);
    assert.deepEqual(watch.events, [{ type: "bookmark", revision: cache.revision() }]);
    await watch.stop();
    await cache.close();
  });

  it("loads anew after a gap and ends every watch with 410 (S5, S12)", async () => {
    const { log, cache } = await open();
    const watch = collect(cache, { scope, after: cache.revision() });
    await new Promise((resolve) => setImmediate(resolve));
    log.append("unseen", "added");
    log.current = { revision: log.current.revision + 1_000_000, epoch: 2 };
    log.handler?.gap("epoch");
    assert.ok(isReason(await watch.outcome, "Expired"));
    const list = await cache.list({ scope, freshness: { type: "consistent" } });
    assert.deepEqual(names(list.objects), ["a", "b", "c", "unseen"]);
    assert.equal(log.loads, 2);
    const old = collect(cache, { scope, after: 10 });
    assert.ok(isReason(await old.outcome, "Expired"), "a place inside the gap is gone");
    await cache.close();
  });

  it("goes on with watches from before its load, as far back as the log was read; lists it cannot put back are 410 (S4, S5)", async () => {
    const log = new FakeLog();
    log.kept = [log.append("a", "added"), log.append("b", "added"), log.append("a", "deleted")];
    log.floor = 2;
    log.kept.shift();
    const cache = new WatchCache({ backing: log, clock: { now: () => 0 }, log: silentLog });
    await cache.loaded;
    const watch = collect(cache, { scope, after: 2 });
    await watch.until((events) => events.length === 2);
    assert.deepEqual(told(watch.events), ["added b", "deleted a"]);
    log.add("c");
    await watch.until((events) => events.length === 3);
    await watch.stop();
    const isExpired = (error: unknown) => isReason(error, "Expired");
    assert.ok(isExpired(await collect(cache, { scope, after: 1 }).outcome));
    const elsewhere = collect(cache, { scope: { tenant: 1, resource: "never" }, after: 1 });
    assert.ok(isExpired(await elsewhere.outcome), "a resource without changes has the same floor");
    await assert.rejects(cache.list({ scope, freshness: { type: "exact", revision: 3 } }), isExpired);
    assert.deepEqual(names((await cache.list({ scope, freshness: { type: "exact", revision: 4 } })).objects), ["b"]);
    await cache.close();
  });

  it("refuses a revision from the future with 504, as upstream words it", async () => {
    const { cache } = await open();
    await assert.rejects(cache.list({ scope, freshness: { type: "atLeast", revision: 999 } }), (error: unknown) => {
      assert.ok(isReason(error, "Timeout"));
      assert.match(String(error), /Too large resource version: 999, current: 4/);
      return true;
    });
    await cache.close();
  });
});
