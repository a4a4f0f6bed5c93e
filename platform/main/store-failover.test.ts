/** A failover to a synchronous standby: real streaming replication, and a primary that dies or comes back (S2, S6, S12). */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hostUrls } from "#db/hosts.ts";
import { migrate } from "#db/migrate.ts";
import { type ReplicatedDatabase, withReplicatedDatabase } from "#db/testing-replica.ts";
import { silentLog } from "#platform/base/log.ts";
import type { StoredObject } from "#platform/store/port.ts";
import { verify } from "#platform/store/postgres/verify.ts";
import { collect, create, key, put } from "#platform/store/testing.ts";
import { isReason, StatusError } from "#sdk/api/status.ts";
import { createStore } from "./store.ts";

const scope = { tenant: 1, resource: "configmaps" } as const;

describe("a failover to a synchronous standby", () => {
  let database: ReplicatedDatabase;
  before(async () => {
    database = await withReplicatedDatabase();
  });
  after(() => database.remove());

  it("loses no acknowledged write, tells watchers 410 and goes on where writes are taken, never on the replaced primary", async (context) => {
    const { primary, url } = database;
    assert.deepEqual((await migrate(url)).applied, [], "the schema is looked for where writes are taken");
    const opened = () => {
      const store = createStore({ databaseUrl: url, log: silentLog });
      context.after(() => store.close());
      return store;
    };
    const open = opened();
    await open.ready;
    const watch = collect(open.store, { scope, after: open.store.revision() });
    const acknowledged: StoredObject[] = [];
    const unanswered: unknown[] = [];
    let writing = true;
    const writers = Array.from({ length: 8 }, async (_, who) => {
      for (let i = 0; writing; i++)
        await put(open.store, create(key(`f-${who}-${i}`))).then(
          (object) => acknowledged.push(object),
          (error: unknown) => unanswered.push(error),
        );
    });
    await watch.until((events) => events.length > 200);
    await primary.kill();
    const dead = acknowledged.length;
    await database.promote();
    while (acknowledged.length < dead + 200) await sleep(5);

    // Somebody starts the old primary again. It takes connections and says that it takes writes.
    await primary.start();
    const there = acknowledged.length;
    while (acknowledged.length < there + 200) await sleep(5);
    const other = opened();
    await other.ready;
    writing = false;
    await Promise.all(writers);

    assert.ok(isReason(await watch.outcome, "Expired"));
    for (const error of unanswered) assert.ok(error instanceof StatusError && error.code >= 500, String(error));
    for (const { store } of [open, other]) {
      const { objects } = await store.list({ scope, freshness: { type: "consistent" } });
      const found = new Map(objects.map((object) => [object.key.name, object]));
      for (const object of acknowledged) assert.equal(found.get(object.key.name)?.revision, object.revision);
      assert.equal(new Set(objects.map((object) => object.revision)).size, objects.length);
    }
    const again = collect(other.store, { scope, after: other.store.revision() });
    await put(open.store, create(key("after")));
    await again.until((events) => events.length === 1);
    await again.stop();
    assert.deepEqual(
      (await verify(url)).filter((result) => result.violations > 0),
      [],
    );
  });
});

describe("a database URL", () => {
  it("may name several hosts, each with its port, and hides nothing of the rest", () => {
    assert.deepEqual(hostUrls("postgres://u:p%2C@one:5432,[::1]:2/db?sslmode=require"), [
      "postgres://u:p%2C@one:5432/db?sslmode=require",
      "postgres://u:p%2C@[::1]:2/db?sslmode=require",
    ]);
    assert.deepEqual(hostUrls("postgres://u@one/db"), ["postgres://u@one/db"]);
    assert.deepEqual(hostUrls("postgres:///db?host=/run/a,b"), ["postgres:///db?host=/run/a,b"]);
  });
});
