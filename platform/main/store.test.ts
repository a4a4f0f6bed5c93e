/** The store as API servers use it: the cache over a real PostgreSQL. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import { collect, create, key, put, remove, update } from "#platform/store/testing.ts";
import { createStore, type OpenStore } from "./store.ts";

describe("the store, end to end", () => {
  let db: TestDatabase;
  let a: OpenStore;
  let b: OpenStore;
  before(async () => {
    db = await withTestDatabase();
    a = createStore({ databaseUrl: db.url, log: silentLog });
    b = createStore({ databaseUrl: db.url, log: silentLog });
    await Promise.all([a.ready, b.ready]);
  });
  after(async () => {
    await a.close();
    await b.close();
    await db.remove();
  });

  it("shows a write through another API server at once (S8)", async () => {
    for (let i = 0; i < 20; i++) {
      const at = key(`fresh-${i}`);
      const written = await put(a.store, create(at, "one"));
      const seen = await b.store.get(at, { type: "consistent" });
      assert.equal(seen?.revision, written.revision);
      assert.equal(seen?.document, written.document);
    }
  });

  it("knows every tenant when it is ready", async () => {
    const made = await a.tenants.create("before");
    const late = createStore({ databaseUrl: db.url, log: silentLog });
    await late.ready;
    assert.deepEqual(late.tenants.byName("before"), made);
    assert.deepEqual(late.tenants.all(), a.tenants.all());
    await late.close();
  });

  it("refuses a lost compare-and-swap and says what it lost to (S3)", async () => {
    const at = key("cas");
    const first = await put(a.store, create(at, "one"));
    const again = await a.store.write({ operations: [create(at)] });
    assert.equal(again.ok === false && again.why, "exists");
    const second = await put(a.store, update(at, first, "two"));
    const lost = await b.store.write({ operations: [update(at, first, "three")] });
    assert.ok(!lost.ok && lost.why === "changed");
    assert.equal(lost.current?.revision, second.revision);
    await put(b.store, remove(at, second));
    assert.equal(await a.store.get(at, { type: "consistent" }), undefined);
    const gone = await a.store.write({ operations: [remove(at, second)] });
    assert.equal(gone.ok === false && gone.why, "notFound");
  });

  it("tells watchers of both API servers every change once, in order (S5, S7)", async () => {
    const start = a.store.revision();
    const scope = { tenant: 1, resource: "watched" } as const;
    const watches = [a, b].map(({ store }) => collect(store, { scope, after: start }));
    const written: number[] = [];
    await Promise.all(
      [a, b].map(async ({ store }, who) => {
        for (let i = 0; i < 50; i++) {
          const at = key(`w-${who}-${i}`, { resource: "watched" });
          const made = await put(store, create(at));
          const changed = await put(store, update(at, made, "x"));
          written.push(made.revision, changed.revision);
        }
      }),
    );
    for (const watch of watches) {
      await watch.until((events) => events.length >= 200);
      const seen = watch.events.map((e) => (e.type === "change" ? e.change.revision : 0));
      assert.deepEqual(
        seen,
        [...written].sort((x, y) => x - y),
      );
      await watch.stop();
    }
  });
});
