/** A backup is of one moment, a restore brings exactly it back, and servers that run meanwhile follow. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import type { StoredObject } from "#platform/store/port.ts";
import { backup, restore } from "#platform/store/postgres/backup.ts";
import { verify } from "#platform/store/postgres/verify.ts";
import { collect, create, key, put, remove, update } from "#platform/store/testing.ts";
import { isReason } from "#sdk/api/status.ts";
import { createStore, type OpenStore } from "./store.ts";

describe("backup and restore", () => {
  const dir = mkdtempSync(join(tmpdir(), "capstan-backup-"));
  const file = join(dir, "backup.gz");
  const scope = { tenant: 1, resource: "configmaps" } as const;
  let db: TestDatabase;
  let open: OpenStore;
  before(async () => {
    db = await withTestDatabase();
    open = createStore({ databaseUrl: db.url, log: silentLog });
    await open.ready;
  });
  after(async () => {
    await open.close();
    await db.remove();
    rmSync(dir, { recursive: true });
  });
  const present = async () => (await open.store.list({ scope, freshness: { type: "consistent" } })).objects;
  /** Documents of these tests have no uid in their metadata; all other invariants hold for them too. */
  const violated = async () =>
    (await verify(db.url)).filter((c) => c.violations > 0 && c.name !== "a document is of its key");

  it("is consistent while writers write: of two objects always written together both or none changed", async () => {
    const pair = [key("left"), key("right")] as const;
    const made = await open.store.write({ operations: pair.map((at) => create(at, "0")) });
    assert.ok(made.ok);
    let held = (await present()).slice();
    let writing = true;
    const writer = (async () => {
      for (let n = 1; writing; n++) {
        const result = await open.store.write({ operations: held.map((o) => update(o.key, o, `${n}`)) });
        assert.ok(result.ok);
        held = held.map((object, i) => ({ ...object, revision: result.revisions[i] ?? 0 }));
      }
    })();
    for (let i = 0; i < 5; i++) await backup(db.url, file);
    writing = false;
    await writer;
    assert.equal(statSync(file).mode & 0o777, 0o600);
    await restore(db.url, file);
    const data = (await present()).map(
      ({ document }) => (JSON.parse(document) as { data: { data: string } }).data.data,
    );
    assert.equal(data.length, 2);
    assert.equal(data[0], data[1]);
  });

  it("brings back what was, forgets what came after, and tells watchers 410; no revision and no tenant's number comes twice", async () => {
    const kept = await put(open.store, create(key("kept"), 'quotes " and \\ and ü\n'));
    const doomed = await put(open.store, create(key("doomed")));
    const blue = await open.tenants.create("blue");
    await backup(db.url, file);
    const before: readonly StoredObject[] = await present();
    await put(open.store, remove(doomed.key, doomed));
    await put(open.store, update(kept.key, kept, "changed"));
    const late = await put(open.store, create(key("late")));
    const green = await open.tenants.create("green");
    const watch = collect(open.store, { scope, after: open.store.revision() });
    await restore(db.url, file);
    const now = await present();
    assert.deepEqual(
      now.map(({ key: at, uid, revision, document }) => [at.name, uid, revision, document]),
      before.map(({ key: at, uid, revision, document }) => [at.name, uid, revision, document]),
    );
    assert.ok(isReason(await watch.outcome, "Expired"));
    const next = await put(open.store, create(key("next")));
    assert.ok(next.revision > late.revision + 1_000_000);
    const again = await put(open.store, update(kept.key, kept, "after the restore"));
    assert.ok(again.revision > next.revision);
    assert.equal(open.tenants.byId(blue.id)?.name, "blue");
    while (open.tenants.byId(green.id))
      await new Promise<void>((resolve) => {
        const off = open.tenants.onChange(() => {
          off();
          resolve();
        });
      });
    assert.ok((await open.tenants.create("green")).id > green.id);
    assert.deepEqual(await violated(), []);
  });

  it("refuses a file that was cut short or is no backup, and changes nothing", async () => {
    await put(open.store, create(key("safe")));
    const whole = readFileSync(file);
    for (const bad of [whole.subarray(0, whole.length - 40), Buffer.from("no backup"), Buffer.alloc(0)]) {
      writeFileSync(join(dir, "bad.gz"), bad);
      await assert.rejects(restore(db.url, join(dir, "bad.gz")));
    }
    assert.ok((await present()).some((object) => object.key.name === "safe"));
  });

  it("is told apart from a damaged store: verify names what is wrong", async () => {
    const { default: pg } = await import("pg");
    const client = new pg.Client({ connectionString: db.url });
    await client.connect();
    assert.deepEqual(await violated(), []);
    await client.query("UPDATE object SET revision = revision + 5000000 WHERE name = 'safe'");
    await client.query("DELETE FROM object WHERE name = 'next'");
    await client.end();
    const names = (await violated()).map(({ name }) => name);
    assert.deepEqual(names, [
      "S1: no revision is beyond the counter",
      "S4: the state is what the log says last",
      "S4: each object written since the compaction is in the log",
    ]);
  });
});
