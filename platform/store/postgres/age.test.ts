/** What ages, and what a restart, a restore and the retention leave of the log (S5, S12). */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { systemClock } from "#platform/base/clock.ts";
import { silentLog } from "#platform/base/log.ts";
import { WatchCache } from "../cache/cache.ts";
import { expire } from "../expiry.ts";
import { collect, create, key, put, remove, update } from "../testing.ts";
import { tend } from "./maintenance.ts";
import { Session } from "./session.ts";
import { PostgresStore } from "./store.ts";

const HOUR = 3_600_000;

describe("the age of things", () => {
  let db: TestDatabase;
  let session: Session;
  let store: PostgresStore;
  const quiet = { log: silentLog, clock: systemClock };
  const cacheOver = async (backing: PostgresStore) => {
    const cache = new WatchCache({ ...quiet, backing });
    await cache.loaded;
    return cache;
  };
  /** As if the log had been where it is now some time ago. */
  const backdate = (ms: number) =>
    session.query(
      {
        text: "INSERT INTO moment (at, revision) SELECT now() - $1::float8 * interval '1 millisecond', revision FROM counter",
      },
      [ms],
    );
  before(async () => {
    db = await withTestDatabase();
    session = await Session.open(db.url, "test");
    store = new PostgresStore({ ...quiet, databaseUrl: db.url, partitionRevisions: 50, retentionMs: 1e9 });
  });
  after(async () => {
    await session.close();
    await store.close();
    await db.remove();
  });

  it("lets watches from before a restart of their API server go on, each change once (S5)", async () => {
    const scope = { tenant: 1, resource: "restart" } as const;
    const at = key("one", scope);
    const made = await put(store, create(at));
    const changed = await put(store, update(at, made, "two"));
    await put(store, remove(at, changed));
    const restarted = await cacheOver(store);
    const watch = collect(restarted, { scope, after: made.revision });
    await put(store, create(key("later", scope)));
    await watch.until((events) => events.length === 3);
    const told = watch.events.map((event) => event.type === "change" && event.change.type);
    assert.deepEqual(told, ["modified", "deleted", "added"]);
    const first = watch.events[0];
    assert.ok(first?.type === "change" && first.change.previous, "a selector sees what was before");
    await watch.stop();
    await restarted.close();
  });

  it("deletes Events an hour after their last write, and watchers see them go", async () => {
    const resource = "events";
    const old = [
      await put(store, create(key("old", { resource }))),
      await put(store, create(key("again", { resource }))),
    ];
    await backdate(HOUR + 1_000);
    await put(store, create(key("young", { resource })));
    await put(store, update(old[1]!.key, old[1]!, "seen again"));
    const cache = await cacheOver(store);
    const watch = collect(cache, { scope: { tenant: 1, resource }, after: cache.revision() });
    const parts = {
      ages: { [resource]: HOUR },
      revisionBefore: (ageMs: number) => store.revisionBefore(ageMs),
      lastWrittenBefore: cache.lastWrittenBefore.bind(cache),
      write: cache.write.bind(cache),
      log: silentLog,
    };
    assert.equal(await expire(parts), 1);
    await watch.until((events) => events.length === 1);
    const gone = watch.events[0];
    assert.ok(gone?.type === "change" && gone.change.type === "deleted" && gone.change.object.key.name === "old");
    const { objects } = await cache.list({ scope: { tenant: 1, resource }, freshness: { type: "consistent" } });
    assert.deepEqual(
      objects.map((object) => object.key.name),
      ["again", "young"],
    );
    await watch.stop();
    await cache.close();
  });

  it("drops from the log what is older than the retention, and no more partitions than needed (S5, S11)", async () => {
    const options = {
      databaseUrl: db.url,
      log: silentLog,
      partitionRevisions: 50,
      retentionMs: HOUR,
      partitionsMax: 100,
    };
    const compacted = async () =>
      (await session.query<{ revision: number }>({ text: "SELECT revision FROM compaction" }))[0]?.revision ?? 0;
    const newest = async () => (await store.position()).revision;
    await tend(session, { ...options, retentionMs: 10 * HOUR });
    assert.equal(await compacted(), 0, "all of it is young");
    for (let i = 0; i < 120; i++) await put(store, create(key(`r-${i}`)));
    await backdate(HOUR + 500);
    const old = await newest();
    for (let i = 0; i < 60; i++) await put(store, create(key(`s-${i}`)));
    await tend(session, options);
    const byTime = await compacted();
    assert.ok(byTime > old - 50 && byTime <= old, `${byTime} is the last whole partition up to ${old}`);
    for (let i = 0; i < 150; i++) await put(store, create(key(`t-${i}`)));
    await tend(session, { ...options, partitionsMax: 2 });
    const byCount = await compacted();
    assert.ok(byCount > byTime && (await newest()) - byCount <= 100);
    const restarted = await cacheOver(store);
    const behind = collect(restarted, { scope: { tenant: 1, resource: "configmaps" }, after: byCount - 1 });
    assert.match(String(await behind.outcome), /too old resource version/);
    const within = collect(restarted, { scope: { tenant: 1, resource: "configmaps" }, after: byCount });
    await within.until((events) => events.length === restarted.revision() - byCount);
    await within.stop();
    await restarted.close();
  });

  it("knows a restored database from its original: the counter jumps, and nothing from before is taken up (S12)", async () => {
    const made = await put(store, create(key("before-restore")));
    const before = await store.position();
    // What loading a dump does to the table: a new file that holds the old row.
    await session.query({ text: "CREATE TABLE dumped AS TABLE crash_marker" });
    await session.query({ text: "TRUNCATE crash_marker" });
    await session.query({ text: "INSERT INTO crash_marker TABLE dumped" });
    await session.query({ text: "DROP TABLE dumped" });
    const restored = new PostgresStore({ ...quiet, databaseUrl: db.url, partitionRevisions: 50, retentionMs: 1e9 });
    await put(restored, create(key("after-restore")));
    const position = await restored.position();
    assert.equal(position.epoch, before.epoch + 1);
    assert.ok(position.revision > before.revision + 1_000_000);
    const cache = await cacheOver(restored);
    const watch = collect(cache, { scope: { tenant: 1, resource: "configmaps" }, after: made.revision });
    assert.match(String(await watch.outcome), /too old resource version/);
    await cache.close();
    await restored.close();
  });
});
