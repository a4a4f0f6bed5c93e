/** What others do to the database: a transaction left open, no connection to be had, a disk that takes its time. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { type TestDatabaseOptions, withTestDatabase } from "#db/testing.ts";
import { systemClock } from "#platform/base/clock.ts";
import { silentLog } from "#platform/base/log.ts";
import { StatusError } from "#sdk/api/status.ts";
import { create, key, put } from "../testing.ts";
import { tend } from "./maintenance.ts";
import { Session } from "./session.ts";
import { COUNTER_ROW, LOCK_COUNTER, LOOKUPS, TAKE_REVISIONS } from "./statements.ts";
import { PostgresStore } from "./store.ts";

async function opened(context: TestContext, options: TestDatabaseOptions & { partitionRevisions?: number } = {}) {
  const { partitionRevisions = 50_000, ...rest } = options;
  const db = await withTestDatabase(rest);
  const store = new PostgresStore({ databaseUrl: db.url, log: silentLog, clock: systemClock, partitionRevisions });
  context.after(async () => {
    await store.close();
    await db.remove();
  });
  return { db, store };
}

describe("somebody's long transaction", () => {
  it("makes no write or read visit all versions of the counter", async (context) => {
    const { db } = await opened(context);
    const long = await Session.open(db.url, "test");
    await long.query({ text: "BEGIN ISOLATION LEVEL REPEATABLE READ" });
    await long.query({ text: "SELECT 1 FROM counter" });
    const writer = await Session.open(db.url, "test", LOOKUPS);
    for (let i = 0; i < 60; i++)
      await Promise.all(Array.from({ length: 100 }, () => writer.query(TAKE_REVISIONS, [1])));
    const lines = await writer.query<{ "QUERY PLAN": string }>({
      text: `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) SELECT revision FROM counter WHERE ${COUNTER_ROW}`,
    });
    const pages = Number(/Buffers: shared hit=(\d+)/.exec(lines.map((line) => line["QUERY PLAN"]).join("\n"))?.[1]);
    const [table] = await writer.query<{ pages: number }>({
      text: "SELECT pg_relation_size('counter') / 8192 AS pages",
    });
    assert.ok(table && table.pages > 35, `${table?.pages} pages are kept`);
    assert.ok(pages < 30, `${pages} pages were read`);
    await long.close();
    await writer.close();
  });

  it("that reads the log holds up its compaction, and nothing else; afterwards it is made up for (S5)", async (context) => {
    const { db, store } = await opened(context, { partitionRevisions: 50 });
    for (let i = 0; i < 120; i++) await put(store, create(key(`a-${i}`)));
    const long = await Session.open(db.url, "test");
    await long.query({ text: "BEGIN" });
    await long.query({ text: "SELECT count(*) FROM change" });
    const options = { databaseUrl: db.url, log: silentLog, partitionRevisions: 50, retentionMs: 1e9, partitionsMax: 1 };
    const session = await Session.open(db.url, "test");
    const [, ...made] = await Promise.all([
      assert.rejects(tend(session, options), /lock timeout/),
      ...Array.from({ length: 60 }, (_, i) => put(store, create(key(`b-${i}`)))),
    ]);
    assert.equal(made.length, 60);
    await long.query({ text: "COMMIT" });
    await session.query({ text: "ROLLBACK" });
    await tend(session, options);
    const [compaction] = await session.query<{ revision: number }>({ text: "SELECT revision FROM compaction" });
    assert.ok(compaction && compaction.revision >= 99);
    await long.close();
    await session.close();
  });
});

describe("a database without a free connection", () => {
  it("serves who is connected, refuses in time who is not, and takes writes when there is room again", async (context) => {
    const { db, store } = await opened(context, {
      settings: { max_connections: "12", superuser_reserved_connections: "0" },
    });
    await put(store, create(key("before")));
    await store.position();
    const taken: Session[] = [];
    for (let full = false; !full; )
      await Session.open(db.url, "test").then(
        (session) => taken.push(session),
        (error: unknown) => {
          full = /too many clients|remaining connection slots/.test(String(error));
          if (!full) throw error;
        },
      );
    await put(store, create(key("during")));

    const late = new PostgresStore({
      databaseUrl: db.url,
      log: silentLog,
      clock: systemClock,
    });
    context.after(() => late.close());
    await assert.rejects(late.position(), (error: unknown) => error instanceof StatusError && error.code === 503);
    const waiting = put(late, create(key("late")));
    for (const session of taken.splice(0)) await session.close();
    assert.ok((await waiting).revision > 0);
    assert.ok((await late.position()).revision > 0);
  });
});

describe("a slow disk", () => {
  it("makes writes wait together: many are one flush, and reads wait for none", async (context) => {
    // PostgreSQL itself waits this long (in microseconds) before each flush.
    const settings = { commit_delay: "100000", commit_siblings: "0" };
    const { db, store } = await opened(context, { durable: true, settings });
    await put(store, create(key("first")));
    // The first flush lasts until the read is answered, however busy the machine is.
    const first = await Session.open(db.url, "test");
    await first.query({ text: "BEGIN" });
    await first.query(LOCK_COUNTER);
    const transactions = () => {
      const metric = store.metrics().find(({ name }) => name === "capstan_store_commit_writes");
      assert.ok(metric && "values" in metric);
      return metric.values.counts.at(-1) ?? 0;
    };
    const before = transactions();
    let waiting = 200;
    const writes = Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        await put(store, create(key(`slow-${i}`)));
        waiting--;
      }),
    );
    await store.position();
    assert.equal(waiting, 200, "a write was answered while another transaction held the counter");
    await first.query({ text: "COMMIT" });
    await first.close();
    await writes;
    assert.ok(transactions() - before <= 4, `${transactions() - before} transactions`);
  });
});
