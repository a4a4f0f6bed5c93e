/** What the database decides when many write at once (S1, S2, S3, S12). Two stores stand for two API servers. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { systemClock } from "#platform/base/clock.ts";
import { silentLog } from "#platform/base/log.ts";
import type { LedgerChange, StoredObject } from "../port.ts";
import { create, documentOf, key, put, remove, update } from "../testing.ts";
import { ConnectionLost, Session } from "./session.ts";
import { PostgresStore } from "./store.ts";

describe("the committer", () => {
  let db: TestDatabase;
  let stores: [PostgresStore, PostgresStore];
  before(async () => {
    db = await withTestDatabase();
    const open = () =>
      new PostgresStore({ databaseUrl: db.url, log: silentLog, clock: systemClock, partitionRevisions: 300 });
    stores = [open(), open()];
  });
  after(async () => {
    for (const store of stores) await store.close();
    await db.remove();
  });

  it("gives each write a revision of its own, and the log has them in commit order (S1, S2)", async () => {
    const written = await Promise.all(
      Array.from({ length: 800 }, (_, i) => put(stores[i % 2]!, create(key(`many-${i}`)))),
    );
    const revisions = written.map((object) => object.revision);
    assert.equal(new Set(revisions).size, 800);
    const seen: number[] = [];
    const done = Promise.withResolvers<void>();
    const tail = stores[0].follow(
      { revision: Math.min(...revisions) - 1, epoch: (await stores[0].position()).epoch },
      {
        changes: (changes) => {
          seen.push(...changes.map((change) => change.revision));
          if (seen.length >= 800) done.resolve();
        },
        gap: (why) => done.reject(new Error(why)),
      },
    );
    await done.promise;
    await tail.close();
    assert.deepEqual(
      seen,
      [...revisions].sort((a, b) => a - b),
    );
  });

  it("lets one of many win a compare-and-swap, whichever store they use (S3)", async () => {
    const at = key("contended");
    let current: StoredObject = await put(stores[0], create(at));
    for (let round = 0; round < 10; round++) {
      const held = current;
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) => stores[i % 2]!.write({ operations: [update(at, held, `${round}-${i}`)] })),
      );
      assert.equal(results.filter((result) => result.ok).length, 1);
      const now = await stores[1].get(at);
      assert.ok(now && now.revision > held.revision);
      current = now;
    }
  });

  it("never lets parallel writers exceed a ledger, and refused ones take nothing (S3)", async () => {
    const ledger = (delta: number, more: Partial<LedgerChange> = {}): LedgerChange => ({
      tenant: 1,
      ledger: "node/one",
      delta: { pods: delta },
      enforce: true,
      ...more,
    });
    await stores[0].write({ operations: [], ledgers: [ledger(0, { limits: { pods: 10 } })] });
    const attempts = Array.from({ length: 40 }, (_, i) => ({
      operations: [create(key(`led-${i}`))],
      ledgers: [ledger(1)],
    }));
    const results = await Promise.all(attempts.map((write, i) => stores[i % 2]!.write(write)));
    assert.equal(results.filter((result) => result.ok).length, 10);
    const refused = results.find((result) => !result.ok);
    assert.deepEqual(refused, { ok: false, why: "ledger", ledger: 0, resource: "pods", used: 10, limit: 10 });
    const there = await Promise.all(attempts.map((_, i) => stores[0].get(key(`led-${i}`))));
    assert.equal(there.filter(Boolean).length, 10, "a refused write leaves no object");
    const taken = results.findIndex((result) => result.ok);
    const held = there[taken]!;
    await put(stores[1], remove(held.key, held), { ledgers: [ledger(-1, { enforce: false })] });
    assert.ok((await stores[0].write({ operations: [create(key("led-late"))], ledgers: [ledger(1)] })).ok);
  });

  it("creates nothing in a namespace that is ending (S3)", async () => {
    const ns = key("ending", { resource: "namespaces", namespace: "" });
    const guards = [{ key: ns, notTerminating: true }];
    assert.deepEqual(await stores[0].write({ operations: [create(key("g-0"))], guards }), {
      ok: false,
      why: "guard",
      guard: 0,
    });
    const made = await put(stores[0], create(ns));
    assert.ok((await stores[0].write({ operations: [create(key("g-1"))], guards })).ok);
    const [, after] = await Promise.all([
      put(stores[0], update(ns, made, "", { terminating: true })),
      stores[0].write({ operations: [create(key("g-2"))], guards }),
    ]);
    assert.deepEqual(after, { ok: false, why: "guard", guard: 0 });
  });

  it("applies a write of several operations whole or not at all", async () => {
    const result = await stores[0].write({ operations: [create(key("all-1")), create(key("contended"))] });
    assert.ok(!result.ok && result.why === "exists" && result.operation === 1);
    assert.equal(await stores[0].get(key("all-1")), undefined);
  });

  it("rejects the one write the database cannot take, and none of its batch (S2)", async () => {
    const bad = key("bad");
    const nul = { ...documentOf(bad), document: '{"metadata":{}}\u0000' };
    const writes = Array.from({ length: 9 }, (_, i) => stores[0].write({ operations: [create(key(`batch-${i}`))] }));
    writes.splice(4, 0, stores[0].write({ operations: [{ type: "create", key: bad, object: nul }] }));
    const outcomes = await Promise.allSettled(writes);
    assert.equal(outcomes.filter((outcome) => outcome.status === "fulfilled" && outcome.value.ok).length, 9);
    const failed = outcomes[4];
    assert.ok(failed?.status === "rejected" && failed.reason.code === 400);
  });

  it("acknowledges relaxed writes before they are on disk, alone or in company (S12)", async () => {
    const lease = (name: string) => ({ operations: [create(key(name, { resource: "leases" }))], relaxed: true });
    assert.ok((await stores[0].write(lease("alone"))).ok);
    const mixed = await Promise.all([
      stores[0].write(lease("with")),
      stores[0].write({ operations: [create(key("strict"))] }),
    ]);
    assert.ok(mixed.every((result) => result.ok));
  });

  it("loses no write whose connection dies at any moment, and does none twice (S2)", async () => {
    const admin = await Session.open(db.url, "test");
    let writing = true;
    const killer = (async () => {
      while (writing) {
        await admin.query({
          text: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'capstan-committer'",
        });
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
    })();
    const results = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const at = key(`cut-${i}`);
        let object = await put(stores[i % 2]!, create(at));
        for (let n = 0; n < 60; n++) object = await put(stores[i % 2]!, update(at, object, `${n}`));
        return object;
      }),
    ).finally(async () => {
      writing = false;
      await killer;
      await admin.close();
    });
    for (const object of results) assert.equal((await stores[0].get(object.key))?.revision, object.revision);
  });

  it("fails what is in flight when its connection is lost, and never reconnects behind one's back", async () => {
    const session = await Session.open(db.url, "test");
    const [row] = await session.query<{ pid: number }>({ text: "SELECT pg_backend_pid() AS pid" });
    const lost = assert.rejects(session.query({ text: "SELECT pg_sleep(60)" }), ConnectionLost);
    const admin = await Session.open(db.url, "test");
    await admin.query({ text: "SELECT pg_terminate_backend($1)" }, [row?.pid]);
    await lost;
    await assert.rejects(session.query({ text: "SELECT 1" }), ConnectionLost);
    await admin.close();
  });
});
