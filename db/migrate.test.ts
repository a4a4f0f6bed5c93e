import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import { knownMigrations, migrate, NewerSchemaError, newerMigrations } from "./migrate.ts";
import { type TestDatabase, withTestDatabase } from "./testing.ts";

describe("migrate", () => {
  let db: TestDatabase;
  before(async () => {
    db = await withTestDatabase({ migrated: false });
  });
  after(() => db.remove());

  it("applies every migration once, even when two programs start together", async () => {
    const [one, two] = await Promise.all([migrate(db.url), migrate(db.url)]);
    assert.deepEqual([...one.applied, ...two.applied], knownMigrations());
    assert.deepEqual((await migrate(db.url)).applied, []);
  });

  it("refuses a newer schema and says the way back, changing nothing", async () => {
    const client = new pg.Client({ connectionString: db.url });
    await client.connect();
    await client.query(
      `INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, started_at, applied_steps_count)
       VALUES ('x', 'x', now(), '29990101000000_future', now(), 1)`,
    );
    assert.deepEqual(await newerMigrations(db.url), ["29990101000000_future"]);
    await assert.rejects(migrate(db.url), (error: unknown) => {
      assert.ok(error instanceof NewerSchemaError);
      assert.match(error.message, /29990101000000_future.*way back/);
      return true;
    });
    await client.query("DELETE FROM _prisma_migrations WHERE id = 'x'");
    await client.end();
  });
});
