/** What an operator is told: metrics, and a readiness that says the truth. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { withTestDatabase } from "#db/testing.ts";
import { expositionText } from "#platform/base/exposition.ts";
import { silentLog } from "#platform/base/log.ts";
import { collect, create, key, put } from "#platform/store/testing.ts";
import { createStore } from "./store.ts";

test("the store says when it cannot serve and why, and counts what it does", async () => {
  const db = await withTestDatabase();
  const open = createStore({ databaseUrl: db.url, log: silentLog });
  await assert.rejects(open.check(), /the store is loading/);
  await open.ready;
  await open.check();
  const watch = collect(open.store, { scope: { tenant: 1, resource: "configmaps" }, after: open.store.revision() });
  await Promise.all(Array.from({ length: 30 }, (_, i) => put(open.store, create(key(`m-${i}`)))));
  await watch.until((events) => events.length === 30);
  const value = (line: RegExp) => Number(expositionText(open.metrics()).match(line)?.[1]);
  assert.equal(value(/^capstan_store_commit_writes_sum (\d+)$/m), 30);
  assert.equal(value(/^capstan_store_cache_objects\{resource="configmaps"\} (\d+)$/m), 30);
  assert.equal(value(/^capstan_store_watchers\{state="idle"\} (\d+)$/m), 1);
  assert.equal(value(/^capstan_store_tail_lag_revisions (\d+)$/m), 0);
  assert.equal(value(/^capstan_store_writes_waiting (\d+)$/m), 0);

  await db.stop();
  await assert.rejects(open.check(), /the database is not reachable/);
  await db.start();
  await open.store.list({ scope: { tenant: 1, resource: "configmaps" }, freshness: { type: "consistent" } });
  await open.check();
  await watch.stop();
  await open.close();
  await db.remove();
});
