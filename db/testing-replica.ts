/** Two real PostgreSQL clusters for one test: a primary that commits what its standby has, and the standby. */
import { execFile } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { type TestDatabase, withTestDatabase } from "./testing.ts";

const run = promisify(execFile);

export interface ReplicatedDatabase {
  primary: TestDatabase;
  standby: TestDatabase;
  /** Names both hosts; the standby first, since the order must not matter. */
  url: string;
  /** Makes the standby a primary of its own, which waits for nobody; resolves when it takes writes. */
  promote(): Promise<void>;
  remove(): Promise<void>;
}

async function query<R extends pg.QueryResultRow>(url: string, text: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<R>(text)).rows;
  } finally {
    await client.end();
  }
}

async function becomes(url: string, text: string): Promise<void> {
  for (const end = Date.now() + 60_000; ; await sleep(50)) {
    const [row] = await query<{ ok: boolean }>(url, text);
    if (row?.ok === true) return;
    if (Date.now() > end) throw new Error(`never true within 60 s: ${text}`);
  }
}

/** The copy of a stopped cluster, told whom to follow. */
async function copyOf(primary: TestDatabase, dataDir: string): Promise<void> {
  const { hostname, port, username, password } = new URL(primary.url);
  const cluster = join(dataDir, "cluster");
  await run("mkdir", ["-p", dataDir]);
  await run("cp", ["-a", join(primary.dataDir, "cluster"), cluster]);
  copyFileSync(join(dirname(primary.dataDir), "password"), join(dirname(dataDir), "password"));
  const conninfo = `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}`;
  // The folder belongs to whoever runs PostgreSQL: a file that is there keeps its owner.
  await run("cp", ["-a", join(cluster, "PG_VERSION"), join(cluster, "standby.signal")]);
  writeFileSync(join(cluster, "standby.signal"), "");
  writeFileSync(join(cluster, "postgresql.auto.conf"), `primary_conninfo = '${conninfo}'\n`);
}

export async function withReplicatedDatabase(): Promise<ReplicatedDatabase> {
  const primary = await withTestDatabase();
  let standby: TestDatabase | undefined;
  try {
    await primary.stop();
    standby = await withTestDatabase({
      migrated: false,
      prepare: async (dataDir) => {
        await copyOf(primary, dataDir);
        await primary.start();
      },
    });
    await becomes(primary.url, "SELECT count(*) = 1 AS ok FROM pg_stat_replication WHERE state = 'streaming'");
    await query(primary.url, "ALTER SYSTEM SET synchronous_standby_names = '*'");
    await query(primary.url, "SELECT pg_reload_conf()");
    await becomes(primary.url, "SELECT count(*) = 1 AS ok FROM pg_stat_replication WHERE sync_state = 'sync'");
  } catch (error) {
    await standby?.remove();
    await primary.remove();
    throw error;
  }
  const [one, other] = [primary, standby];
  const url = one.url.replace(/@[^/]*/, `@${new URL(other.url).host},${new URL(one.url).host}`);
  return {
    primary: one,
    standby: other,
    url,
    promote: async () => {
      await query(other.url, "SELECT pg_promote(true, 60)");
      await becomes(other.url, "SELECT NOT pg_is_in_recovery() AS ok");
    },
    remove: async () => {
      await other.remove();
      await one.remove();
    },
  };
}
