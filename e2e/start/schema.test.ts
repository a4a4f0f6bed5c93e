/** `git pull && npm run up` migrates the data; an older version refuses a newer schema and says the way back. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import { knownMigrations } from "#db/migrate.ts";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { readConfig } from "#platform/main/config.ts";
import { type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";

const FUTURE = "29990101000000_future";
const RECORD_FUTURE = `INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, started_at, applied_steps_count)
  VALUES ('x', 'x', now(), '${FUTURE}', now(), 1)`;

/** A database with its objects as the first version of the schema had them: what all later migrations made is undone. */
const asFirstVersion = (first: string, sql: string) => `
  ALTER SCHEMA public RENAME TO later;
  CREATE SCHEMA public;
  ${sql};
  CREATE TABLE _prisma_migrations (LIKE later._prisma_migrations INCLUDING ALL);
  INSERT INTO _prisma_migrations SELECT * FROM later._prisma_migrations WHERE migration_name = '${first}';
  INSERT INTO object SELECT tenant, resource, namespace, name, uid, revision, document, labels, fields, terminating FROM later.object;
  UPDATE counter SET (revision, epoch) = (SELECT revision, epoch FROM later.counter);
  UPDATE compaction SET revision = (SELECT revision FROM later.counter);
  DROP SCHEMA later CASCADE;`;

async function query<Row extends pg.QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

const appliedIn = async (url: string): Promise<string[]> =>
  (await query<{ name: string }>(url, "SELECT migration_name AS name FROM _prisma_migrations ORDER BY 1")).map(
    (r) => r.name,
  );

const isRefusal = ({ code, stderr }: { code: number; stderr: string }) => {
  assert.equal(code, 1, stderr);
  assert.match(
    stderr,
    new RegExp(`error: the database was migrated by a newer Capstan: it has ${FUTURE}, .* Nothing was changed`),
  );
  assert.match(stderr, /next: git pull && npm run up .* npx capstan restore FILE/);
};

describe("a database of one's own", { skip: skipWithoutKubectl }, () => {
  let db: TestDatabase;
  let capstan: Instance;
  before(async () => {
    db = await withTestDatabase({ migrated: false });
    capstan = await startInstance({ nodes: 0, args: ["--database-url", db.url] });
  });
  after(async () => {
    await capstan?.remove();
    await db?.remove();
  });

  it("of an older schema is migrated by up, with everything in it", async () => {
    await capstan.kubectl("create", "configmap", "old", "--from-literal=a=1");
    const uid = await capstan.kubectl("get", "configmap", "old", "-o", "jsonpath={.metadata.uid}");
    await capstan.down();
    const first = knownMigrations()[0] ?? "";
    const folder = resolve(import.meta.dirname, "../../db/migrations", first);
    await query(db.url, asFirstVersion(first, readFileSync(join(folder, "migration.sql"), "utf8")));
    await capstan.up();
    assert.deepEqual(await appliedIn(db.url), knownMigrations());
    assert.equal(
      await capstan.kubectl("get", "configmap", "old", "-o", "jsonpath={.metadata.uid} {.data.a}"),
      `${uid} 1`,
    );
  });

  it("of a newer schema is left as it is; with the newer version it goes on", async () => {
    await capstan.down();
    await query(db.url, RECORD_FUTURE);
    const before = await query(db.url, "SELECT revision FROM counter");
    isRefusal(await capstan.capstan("up"));
    assert.deepEqual(await appliedIn(db.url), [...knownMigrations(), FUTURE]);
    assert.deepEqual(await query(db.url, "SELECT revision FROM counter"), before);
    await query(db.url, `DELETE FROM _prisma_migrations WHERE migration_name = '${FUTURE}'`);
    await capstan.up();
    assert.equal(await capstan.kubectl("get", "configmap", "old", "-o", "jsonpath={.data.a}"), "1");
  });
});

describe("the embedded database", { skip: skipWithoutKubectl }, () => {
  let capstan: Instance;
  before(async () => {
    capstan = await startInstance({ nodes: 0 });
  });
  after(async () => {
    await capstan?.remove();
  });

  it("of a newer schema is refused, and nothing is left running", async () => {
    await query(readConfig(capstan.dataDir).databaseUrl, RECORD_FUTURE);
    await capstan.down();
    isRefusal(await capstan.capstan("up"));
    const status = await capstan.capstan("status");
    assert.equal(status.code, 1);
    assert.doesNotMatch(status.stdout, /pid \d/);
  });
});
