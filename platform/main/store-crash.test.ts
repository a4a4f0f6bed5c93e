/** What a crash of the database, a lost notification and compaction may cost: time, or a 410; never an acknowledged write. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { systemClock } from "#platform/base/clock.ts";
import { silentLog } from "#platform/base/log.ts";
import { WatchCache } from "#platform/store/cache/cache.ts";
import type { StoredObject } from "#platform/store/port.ts";
import { PostgresStore } from "#platform/store/postgres/store.ts";
import { collect, create, key, put, update } from "#platform/store/testing.ts";
import { isReason } from "#sdk/api/status.ts";
import { createStore } from "./store.ts";

describe("the store when things break", () => {
  let db: TestDatabase;
  before(async () => {
    db = await withTestDatabase();
  });
  after(() => db.remove());

  it("has every acknowledged write after kill -9 of the postmaster, uses no revision twice, and tells watchers 410 (S2, S12)", async () => {
    const open = createStore({ databaseUrl: db.url, log: silentLog });
    await open.ready;
    const scope = { tenant: 1, resource: "configmaps" } as const;
    const watch = collect(open.store, { scope, after: open.store.revision() });
    const acknowledged: StoredObject[] = [];
    let writing = true;
    const writers = Array.from({ length: 10 }, async (_, who) => {
      for (let i = 0; writing; i++) acknowledged.push(await put(open.store, create(key(`w-${who}-${i}`))));
    });
    await watch.until((events) => events.length > 200);
    const epoch = acknowledged.at(-1)!.revision;
    await db.kill();
    await db.start();
    const before = acknowledged.length;
    while (acknowledged.length < before + 100) await new Promise((resolve) => setImmediate(resolve));
    writing = false;
    await Promise.all(writers);
    assert.ok(isReason(await watch.outcome, "Expired"));
    const list = await open.store.list({ scope, freshness: { type: "consistent" } });
    const there = new Map(list.objects.map((object) => [object.key.name, object]));
    for (const object of acknowledged) assert.equal(there.get(object.key.name)?.uid, object.uid);
    assert.equal(new Set(list.objects.map((object) => object.revision)).size, list.objects.length);
    assert.ok(list.revision > epoch + 1_000_000, "the counter jumped ahead");
    const again = collect(open.store, { scope, after: list.revision });
    await put(open.store, create(key("after")));
    await again.until((events) => events.length === 1);
    await again.stop();
    await open.close();
  });

  it("keeps the revisions going over a clean stop, and watchers go on (S12)", async () => {
    const open = createStore({ databaseUrl: db.url, log: silentLog });
    await open.ready;
    const scope = { tenant: 1, resource: "clean" } as const;
    const at = key("one", { resource: "clean" });
    const first = await put(open.store, create(at));
    const watch = collect(open.store, { scope, after: first.revision });
    await db.stop();
    const [second] = await Promise.all([put(open.store, update(at, first, "two")), db.start()]);
    assert.ok(second.revision < first.revision + 1_000);
    await watch.until((events) => events.length === 1);
    await watch.stop();
    await open.close();
  });

  it("delivers every change without a single notification (S6)", async () => {
    const options = { databaseUrl: db.url, log: silentLog, clock: systemClock };
    const deaf = new PostgresStore({ ...options, listen: false, pollMs: 20 });
    const writer = new PostgresStore(options);
    const cache = new WatchCache({ backing: deaf, log: silentLog, clock: systemClock });
    await cache.loaded;
    const watch = collect(cache, { scope: { tenant: 1, resource: "deaf" }, after: cache.revision() });
    for (let i = 0; i < 10; i++) await put(writer, create(key(`d-${i}`, { resource: "deaf" })));
    await watch.until((events) => events.length === 10);
    await watch.stop();
    await cache.close();
    await Promise.all([deaf.close(), writer.close()]);
  });

  it("compacts whole partitions, and a reader behind is told, never skipped (S5)", async () => {
    const small = await withTestDatabase();
    const store = new PostgresStore({
      databaseUrl: small.url,
      log: silentLog,
      clock: systemClock,
      partitionRevisions: 50,
    });
    const from = await store.position();
    for (let i = 0; i < 120; i++) await put(store, create(key(`c-${i}`)));
    const compacted = await store.compact((await store.position()).revision);
    assert.equal(compacted, 99);
    const follow = (revision: number) =>
      new Promise<string | number>((resolve) => {
        const follower = store.follow(
          { revision, epoch: from.epoch },
          {
            changes: (changes) => resolve(changes.length),
            gap: resolve,
          },
        );
        open.push(follower);
      });
    const open: { close(): Promise<void> }[] = [];
    assert.equal(await follow(from.revision), "compacted");
    assert.equal(await follow(98), "compacted");
    assert.equal(await follow(99), (await store.position()).revision - 99);
    await Promise.all(open.map((follower) => follower.close()));
    await store.close();
    await small.remove();
  });

  it("knows a tenant on every API server, and never gives its number again", async () => {
    const [a, b] = [0, 1].map(() => createStore({ databaseUrl: db.url, log: silentLog }));
    assert.ok(a && b);
    await Promise.all([a.ready, b.ready]);
    const blue = await a.tenants.create("blue");
    assert.deepEqual(await a.tenants.create("blue"), blue);
    assert.deepEqual(await b.tenants.resolve("blue"), blue);
    assert.equal(await b.tenants.resolve("green"), undefined);
    await a.tenants.remove(blue.id);
    const again = await b.tenants.create("blue");
    assert.ok(again.id > blue.id);
    while (a.tenants.byName("blue")?.id !== again.id)
      await new Promise<void>((resolve) => {
        const off = a.tenants.onChange(() => {
          off();
          resolve();
        });
      });
    assert.equal(a.tenants.byId(blue.id), undefined);
    await assert.rejects(a.tenants.remove(1), (error: unknown) => isReason(error, "BadRequest"));
    await Promise.all([a.close(), b.close()]);
  });
});
