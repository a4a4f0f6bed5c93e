/** The command line: `npx capstan COMMAND`. One list of commands; each is a file in commands/, read when it is called for. */
import type { Command } from "./command.ts";
import { optionHelp, parseOptions } from "./settings.ts";
import { reportFailure, UserError } from "./steps.ts";

const commands: Record<string, () => Promise<Command>> = {
  up: async () => (await import("./commands/up.ts")).up,
  down: async () => (await import("./commands/down.ts")).down,
  status: async () => (await import("./commands/status.ts")).status,
  reset: async () => (await import("./commands/reset.ts")).reset,
  uninstall: async () => (await import("./commands/uninstall.ts")).uninstall,
  image: async () => (await import("./commands/image.ts")).image,
  backup: async () => (await import("./commands/backup.ts")).backup,
  restore: async () => (await import("./commands/backup.ts")).restore,
  store: async () => (await import("./commands/store.ts")).store,
  tenant: async () => (await import("./commands/tenant.ts")).tenant,
  node: async () => (await import("./commands/node.ts")).node,
  simulate: async () => (await import("./commands/simulate.ts")).simulate,
  plugin: async () => (await import("./commands/plugin.ts")).plugin,
  migrate: async () => (await import("./commands/migrate.ts")).migrateCommand,
  role: async () => (await import("./commands/role.ts")).role,
  supervise: async () => (await import("./commands/supervise.ts")).supervise,
};

async function usage(): Promise<string> {
  const all = await Promise.all(Object.values(commands).map((load) => load()));
  const lines = all.filter((c) => !c.internal).map((c) => `  ${c.usage.padEnd(20)} ${c.help}`);
  return `usage: npx capstan COMMAND [options]\n\n${lines.join("\n")}\n\n${optionHelp}\n`;
}

async function main(argv: string[]): Promise<number> {
  // Its verbs have options of their own.
  if (argv[0] === "plugin") return (await import("./commands/plugin.ts")).runPlugin(argv.slice(1));
  const { options, positionals, help } = parseOptions(argv);
  const [name, ...rest] = positionals;
  if (help || name === undefined) {
    process.stdout.write(await usage());
    return help ? 0 : 1;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!load) throw new UserError(`there is no command "${name}"`, "npx capstan --help");
  return (await load()).run(options, rest);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = reportFailure(error);
}
