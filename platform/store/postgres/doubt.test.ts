/** A commit in doubt is looked up, never guessed (S2). */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { systemClock } from "#platform/base/clock.ts";
import { silentLog } from "#platform/base/log.ts";
import { create, key, put, update } from "../testing.ts";
import { type Transaction, wasCommitted } from "./doubt.ts";
import { Session } from "./session.ts";
import { TAKE_REVISIONS } from "./statements.ts";
import { PostgresStore } from "./store.ts";

describe("a commit in doubt", () => {
  let db: TestDatabase;
  let store: PostgresStore;
  before(async () => {
    db = await withTestDatabase();
    store = new PostgresStore({ databaseUrl: db.url, log: silentLog, clock: systemClock });
  });
  after(async () => {
    await store.close();
    await db.remove();
  });

  /** A transaction that took revisions; the way it ends is the caller's. */
  async function took(count: number) {
    const session = await Session.open(db.url, "test");
    await session.query({ text: "BEGIN" });
    const [row] = await session.query<Transaction & { revision: number }>(TAKE_REVISIONS, [count]);
    assert.ok(row);
    return { session, row };
  }

  it("is not taken for another's write of the same object at the same revision", async () => {
    const at = key("one");
    const made = await put(store, create(at));
    const { session, row } = await took(1);
    await session.query({ text: "ROLLBACK" });
    await session.close();
    const changed = await put(store, update(at, made, "by another"));
    assert.equal(changed.revision, row.revision, "the revision that was rolled back is taken again");
    assert.equal(await wasCommitted(db.url, row.revision, row), false);
  });

  it("is told from the transaction's status when it moved ledgers only", async () => {
    for (const [end, expected] of [
      ["COMMIT", true],
      ["ROLLBACK", false],
    ] as const) {
      const { session, row } = await took(0);
      await session.query({ text: end });
      await session.close();
      assert.equal(await wasCommitted(db.url, undefined, row), expected);
    }
  });

  it("waits for a transaction that is still under way", async () => {
    const { session, row } = await took(0);
    const answer = wasCommitted(db.url, undefined, row);
    const early = await Promise.race([answer, new Promise((resolve) => setImmediate(() => resolve("waits")))]);
    assert.equal(early, "waits");
    await session.query({ text: "COMMIT" });
    assert.equal(await answer, true);
    await session.close();
  });

  it("cannot be told of ledgers after a crash, since the transaction's number may be another's by then", async () => {
    const { session, row } = await took(0);
    await session.query({ text: "COMMIT" });
    await session.close();
    await db.kill();
    await db.start();
    const after = await took(0);
    await after.session.query({ text: "COMMIT" });
    await after.session.close();
    assert.equal(after.row.epoch, row.epoch + 1);
    assert.equal(await wasCommitted(db.url, undefined, row), undefined);
  });
});
