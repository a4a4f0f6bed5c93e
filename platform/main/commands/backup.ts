/** `backup FILE` and `restore FILE`: the database of an instance, while it serves. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import { countObjects, type Rows, restore as read, backup as write } from "#platform/store/postgres/backup.ts";
import type { Command } from "../command.ts";
import { paths, readConfig } from "../config.ts";
import type { Options } from "../settings.ts";
import { step, UserError } from "../steps.ts";
import { confirmed } from "./reset.ts";

/** The instance's database, or the one that was named. */
export function databaseOf(options: Options): string {
  const { config } = paths(options.dataDir);
  if (existsSync(config)) return readConfig(options.dataDir).databaseUrl;
  if (options.databaseUrl) return options.databaseUrl;
  throw new UserError(`there is no instance in ${options.dataDir}`, "npx capstan --help (--data-dir, --database-url)");
}

/** The instance's EncryptionConfiguration, when it has one. */
export function encryptionOf(options: Options): string | undefined {
  const { config } = paths(options.dataDir);
  return existsSync(config) ? readConfig(options.dataDir).server?.encryptionProviderConfig : undefined;
}

function fileOf(command: string, file: string | undefined): string {
  if (file === undefined) throw new UserError(`${command} takes the name of a file`, `npx capstan ${command} FILE`);
  return resolve(file);
}

const told = (rows: Rows) => `${rows.object} objects of ${rows.tenant} tenants`;

async function orUserError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new UserError(messageOf(error), "is the database running? npx capstan status");
  }
}

export const backup: Command = {
  usage: "backup FILE",
  help: "write all objects to a file, while serving (keys and certificates stay in the data directory)",
  async run(options, [name]) {
    const file = fileOf("backup", name);
    await step(`backup to ${file}`, () => orUserError(write(databaseOf(options), file)), told);
    return 0;
  },
};

export const restore: Command = {
  usage: "restore FILE",
  help: "replace all objects by those of a backup, after asking; servers load anew by themselves",
  async run(options, [name]) {
    const file = fileOf("restore", name);
    if (!existsSync(file)) throw new UserError(`${file} does not exist`, "npx capstan backup FILE makes one");
    const url = databaseOf(options);
    const there = await orUserError(countObjects(url));
    if (
      there > 0 &&
      !(await confirmed(`Replace the ${there} objects that are there now by those of ${file}?`, options.yes))
    )
      return 1;
    await step(`restore from ${file}`, () => orUserError(read(url, file)), told);
    return 0;
  },
};
