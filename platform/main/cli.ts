/** The command line: `npx capstan COMMAND`. One list of commands; each is a file in commands/. */
import { backup, restore } from "./commands/backup.ts";
import { down } from "./commands/down.ts";
import { image } from "./commands/image.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { node } from "./commands/node.ts";
import { plugin, runPlugin } from "./commands/plugin.ts";
import { reset } from "./commands/reset.ts";
import { role } from "./commands/role.ts";
import { status } from "./commands/status.ts";
import { store } from "./commands/store.ts";
import { supervise } from "./commands/supervise.ts";
import { tenant } from "./commands/tenant.ts";
import { uninstall } from "./commands/uninstall.ts";
import { up } from "./commands/up.ts";
import { type Options, optionHelp, parseOptions } from "./settings.ts";
import { reportFailure, UserError } from "./steps.ts";

export interface Command {
  usage: string;
  help: string;
  /** Not for people: started by other commands. */
  internal?: boolean;
  run(options: Options, positionals: string[]): Promise<number>;
}

const commands: Record<string, Command> = {
  up,
  down,
  status,
  reset,
  uninstall,
  image,
  backup,
  restore,
  store,
  tenant,
  node,
  plugin,
  migrate: migrateCommand,
  role,
  supervise,
};

function usage(): string {
  const shown = Object.values(commands).filter((c) => !c.internal);
  return `usage: npx capstan COMMAND [options]\n\n${shown.map((c) => `  ${c.usage.padEnd(20)} ${c.help}`).join("\n")}\n\n${optionHelp}\n`;
}

async function main(argv: string[]): Promise<number> {
  // Its verbs have options of their own.
  if (argv[0] === "plugin") return runPlugin(argv.slice(1));
  const { options, positionals, help } = parseOptions(argv);
  const [name, ...rest] = positionals;
  if (help || name === undefined) {
    process.stdout.write(usage());
    return help ? 0 : 1;
  }
  const command = commands[name];
  if (!command) throw new UserError(`there is no command "${name}"`, "npx capstan --help");
  return command.run(options, rest);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = reportFailure(error);
}
