/**
 * Brings a database to this program's schema: applies the migrations of db/migrations (Prisma's folder format) by Prisma's
 * schema engine, compiled to WebAssembly and bound to the pg adapter, under an advisory lock, and keeps
 * `_prisma_migrations` as `prisma migrate deploy` does. An older program refuses a newer schema.
 */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import pg from "pg";
import { primaryUrl } from "./hosts.ts";
import type { EngineAnswer, EngineTask } from "./schema-engine.ts";

const here = dirname(fileURLToPath(import.meta.url));
/** One migrator at a time in a database; any number that nobody else uses. */
const LOCK = 7_226_914_001;

export class NewerSchemaError extends Error {
  readonly unknown: readonly string[];
  constructor(unknown: readonly string[]) {
    super(
      `the database was migrated by a newer Capstan (it has ${unknown.join(", ")}, which this version does not know). ` +
        "Nothing was changed. The way back: check out the newer version again (git pull) and run npm run up, " +
        "or restore a backup that was made before the newer version ran.",
    );
    this.name = "NewerSchemaError";
    this.unknown = unknown;
  }
}

/** Names of this program's migrations, oldest first. */
export const knownMigrations = (): string[] =>
  readdirSync(join(here, "migrations"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();

/** Applied migrations that this program does not know; empty when the schema is not newer. Changes nothing. */
export async function newerMigrations(databaseUrl: string): Promise<string[]> {
  return withClient(await primaryUrl(databaseUrl), unknownTo);
}

/**
 * Applies what is missing; returns the names, oldest first, and an empty list when nothing was missing.
 * @throws NewerSchemaError when the database is ahead of this program.
 */
export async function migrate(databaseUrl: string): Promise<{ applied: string[] }> {
  const url = await primaryUrl(databaseUrl);
  return withClient(url, async (client) => {
    await client.query("SELECT pg_advisory_lock($1)", [LOCK]);
    const unknown = await unknownTo(client);
    if (unknown.length > 0) throw new NewerSchemaError(unknown);
    const known = knownMigrations();
    const applied = await appliedIn(client);
    if (known.every((name) => applied.includes(name))) return { applied: [] };
    return { applied: await applyMigrations(url, known) };
  });
}

/** The advisory lock lives as long as this connection. */
async function withClient<T>(databaseUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "capstan-migrate" });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function appliedIn(client: pg.Client): Promise<string[]> {
  const table = await client.query<{ found: boolean }>("SELECT to_regclass('_prisma_migrations') IS NOT NULL AS found");
  if (table.rows[0]?.found !== true) return [];
  const { rows } = await client.query<{ migration_name: string }>(
    "SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY started_at",
  );
  return rows.map((row) => row.migration_name);
}

async function unknownTo(client: pg.Client): Promise<string[]> {
  const known = new Set(knownMigrations());
  return (await appliedIn(client)).filter((name) => !known.has(name));
}

async function applyMigrations(databaseUrl: string, names: string[]): Promise<string[]> {
  const worker = new Worker(new URL("./schema-engine.ts", import.meta.url), {
    workerData: { databaseUrl, names } satisfies EngineTask,
    // The engine is imported as a .wasm module, which Node still calls experimental.
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  try {
    const [answer] = (await once(worker, "message")) as [EngineAnswer];
    if ("error" in answer) throw new Error(`the database could not be migrated: ${answer.error}`);
    return answer.applied;
  } finally {
    await worker.terminate();
  }
}
