/**
 * A worker thread that applies migrations by Prisma's schema engine and ends. In a thread of its own because the engine leaves a
 * timer behind that would keep its process alive for ten seconds, and so that its memory goes with it.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory } from "@prisma/driver-adapter-utils";
import { SchemaEngine } from "@prisma/schema-engine-wasm";
import pg from "pg";

const here = dirname(fileURLToPath(import.meta.url));

export interface EngineTask {
  databaseUrl: string;
  /** All migrations of this program, oldest first. */
  names: string[];
}

export type EngineAnswer = { applied: string[] } | { error: string };

/**
 * Prisma's adapter cuts a script at every semicolon and sends the pieces one by one; a whole script in one query keeps
 * DO blocks and comments intact and makes each migration one transaction.
 */
class WholeScriptPg extends PrismaPg {
  override async connect() {
    const adapter = await super.connect();
    adapter.executeScript = async (script) => {
      await adapter.underlyingDriver().query(script);
    };
    return adapter;
  }
}

async function applyMigrations(databaseUrl: string, names: string[]): Promise<string[]> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1, idleTimeoutMillis: 0 });
  const adapter = bindMigrationAwareSqlAdapterFactory(new WholeScriptPg(pool));
  const schema = readFileSync(join(here, "schema.prisma"), "utf8");
  const engine = await SchemaEngine.new({ datamodels: [["schema.prisma", schema]] }, () => undefined, adapter);
  try {
    const filters = { externalTables: [], externalEnums: [] };
    const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList: migrationsList(names), filters });
    return appliedMigrationNames;
  } finally {
    engine.free();
    await pool.end();
  }
}

function migrationsList(names: string[]) {
  const baseDir = join(here, "migrations");
  const lockfile = "migration_lock.toml";
  return {
    baseDir,
    lockfile: { path: lockfile, content: readFileSync(join(baseDir, lockfile), "utf8") },
    shadowDbInitScript: "",
    migrationDirectories: names.map((name) => ({
      path: name,
      migrationFile: {
        path: "migration.sql",
        content: { tag: "ok" as const, value: readFileSync(join(baseDir, name, "migration.sql"), "utf8") },
      },
    })),
  };
}

const task = workerData as EngineTask;
applyMigrations(task.databaseUrl, task.names).then(
  (applied) => parentPort?.postMessage({ applied } satisfies EngineAnswer),
  (error: unknown) => parentPort?.postMessage({ error: String(error) } satisfies EngineAnswer),
);
