/** The database of an instance: the embedded PostgreSQL below DATA/postgres, or one of the user's own. */
import { join } from "node:path";
import { type PreparedPostgres, plannedHostChanges, prepare, waitReady } from "#db/embedded.ts";
import type { HostChange } from "#db/host.ts";
import { newerMigrations } from "#db/migrate.ts";
import { messageOf } from "#platform/base/log.ts";
import type { Config } from "./config.ts";
import { recordDatabaseChanges } from "./host-changes.ts";
import type { ProcessSpec } from "./processes.ts";
import { UserError } from "./steps.ts";

const optionsOf = (dataDir: string, port: number) => ({
  dataDir: join(dataDir, "postgres"),
  port,
  passwordFile: join(dataDir, "postgres-password"),
});

export function describeDatabaseChange(change: HostChange): string {
  switch (change.type) {
    case "user":
      return `system user "${change.name}", which PostgreSQL runs as`;
    case "directory":
      return `directory ${change.path}`;
    case "mount":
      return `bind mount of ${change.source} at ${change.target}, so that this user can reach it`;
  }
}

export const plannedDatabaseChanges = (dataDir: string): string[] =>
  plannedHostChanges(optionsOf(dataDir, 0)).map(describeDatabaseChange);

/** Also before each start by the supervisor. */
async function prepareEmbedded(dataDir: string, port: number): Promise<PreparedPostgres> {
  const prepared = await prepare(optionsOf(dataDir, port));
  recordDatabaseChanges(dataDir, prepared.hostChanges);
  return prepared;
}

/** Makes the embedded cluster, or asks a database of the user's own whether it answers. Returns the URL with credentials. */
export async function prepareDatabase(config: Config): Promise<string> {
  if (config.postgres) {
    try {
      return (await prepareEmbedded(config.dataDir, config.postgres.port)).databaseUrl;
    } catch (error) {
      throw new UserError(
        `the embedded PostgreSQL cannot be made ready: ${messageOf(error)}`,
        "npm run up -- --database-url URL   # or mend the cause and run it again",
      );
    }
  }
  try {
    await waitReady(config.databaseUrl, 5_000);
  } catch (error) {
    throw new UserError(
      `PostgreSQL does not answer: ${messageOf(error)}`,
      "check the URL with psql, or leave --database-url (and DATABASE_URL) away to use the embedded one",
    );
  }
  await refuseNewerSchema(config);
  return config.databaseUrl;
}

/** Throws when the database, which answers, was migrated by a newer version than this one. */
export async function refuseNewerSchema({ databaseUrl }: Config): Promise<void> {
  const newer = await newerMigrations(databaseUrl);
  if (newer.length > 0)
    throw new UserError(
      `the database was migrated by a newer Capstan: it has ${newer.join(", ")}, which this version does not know. Nothing was changed`,
      "git pull && npm run up   # the newer version again; or restore a backup from before: npx capstan restore FILE",
    );
}

export async function postgresSpec(config: Config): Promise<ProcessSpec | undefined> {
  if (!config.postgres) return undefined;
  const { port } = config.postgres;
  const { command } = await prepareEmbedded(config.dataDir, port);
  return {
    name: "postgres",
    ...command,
    after: [],
    // What a killed postmaster leaves behind is cleared before each start.
    prepare: async () => void (await prepareEmbedded(config.dataDir, port)),
    probe: () =>
      waitReady(config.databaseUrl, 1_000).then(
        () => true,
        () => false,
      ),
    stopSignal: "SIGINT",
    stopMsMax: 60_000,
  };
}
