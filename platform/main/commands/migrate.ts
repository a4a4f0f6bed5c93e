/** Brings the database's schema to this version's. */
import { migrate } from "#db/migrate.ts";
import type { Command } from "../command.ts";
import { paths, readConfig } from "../config.ts";
import { markReady } from "../processes.ts";

export const migrateCommand: Command = {
  usage: "migrate",
  help: "bring the database's schema to this version's",
  async run(options) {
    const config = readConfig(options.dataDir);
    const { applied } = await migrate(config.databaseUrl);
    process.stdout.write(applied.length ? `applied ${applied.join(", ")}\n` : "the schema is current\n");
    markReady(paths(config.dataDir).run, "migrate");
    return 0;
  },
};
