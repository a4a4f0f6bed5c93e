/** `capstan plugin VERB …`: plugins from nothing to installed. One list of verbs; each is a function in plugin/. */
import { parseArgs } from "node:util";
import { messageOf } from "#platform/base/log.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { Command } from "../command.ts";
import { UserError } from "../steps.ts";
import { type PluginOptions, pluginOptions } from "./plugin/options.ts";

interface Verb {
  usage: string;
  help: string;
  run(options: PluginOptions, positionals: string[]): Promise<number>;
}

const author = () => import("./plugin/author.ts");
const artifacts = () => import("./plugin/artifacts.ts");
const installed = () => import("./plugin/installed.ts");

/** Read when it is called for: a build needs compilers' modules, a log line does not. */
const verbs: Record<string, () => Promise<Verb>> = {
  new: async () => (await author()).create,
  test: async () => (await author()).test,
  build: async () => (await author()).build,
  bench: async () => (await author()).bench,
  dev: async () => (await import("./plugin/dev.ts")).dev,
  keygen: async () => (await artifacts()).keygen,
  sign: async () => (await artifacts()).sign,
  push: async () => (await artifacts()).push,
  save: async () => (await artifacts()).save,
  trust: async () => (await installed()).trust,
  install: async () => (await import("./plugin/install.ts")).install,
  approve: async () => (await installed()).approve,
  rollback: async () => (await installed()).rollback,
  pause: async () => (await installed()).pause,
  resume: async () => (await installed()).resume,
  logs: async () => (await installed()).logs,
  reference: async () => (await author()).reference,
};

const OPTIONS = `options:
  --world W             of new: filter, score, admission, authorizer …
  --lang ts|go|c        of new (default ts)
  --tenant NAME         whose plugins (default root)
  --key FILE            the private key that signs
  --record              of test: ask the running platform what no answer is recorded for, and keep the answers in the case
  --calls N             of bench (default 1000)
  --interpreter quickjs|starlingmonkey  what a guest in TypeScript is built on (default quickjs: a tenth of the size, quicker calls)
  --engine wasmtime|jco of test and bench (default wasmtime where its addon is built)
  --revision N          of rollback (default: the one before)
  --follow              of logs
  --data-dir PATH       the platform on this machine (default: .capstan in the clone)
  --kubeconfig FILE     another user than that platform's admin (or KUBECONFIG)
  --yes                 do not ask`;

async function usage(): Promise<string> {
  const all = await Promise.all(Object.values(verbs).map((load) => load()));
  const lines = all.map((v) => `  ${v.usage.padEnd(44)} ${v.help}`);
  return `usage: npx capstan plugin VERB [options]\n\n${lines.join("\n")}\n\n${OPTIONS}\n`;
}

/** Takes the arguments as they are: its options are its own. */
export async function runPlugin(argv: string[]): Promise<number> {
  const [name, ...rest] = argv;
  const load = name !== undefined && Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (!load) {
    process.stdout.write(await usage());
    return name === undefined || name === "--help" || name === "-h" ? 0 : 1;
  }
  const verb = await load();
  const next = `npx capstan plugin ${verb.usage}`;
  try {
    const { values, positionals } = parseArgs({ args: rest, allowPositionals: true, options: pluginOptions.flags });
    if (values["help"]) {
      process.stdout.write(await usage());
      return 0;
    }
    return await verb.run(pluginOptions.parse(values), positionals);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof StatusError && error.reason === "ServiceUnavailable")
      throw new UserError(`the API server does not answer: ${error.message}`, "npm run up");
    throw new UserError(messageOf(error), next);
  }
}

export const plugin: Command = {
  usage: "plugin VERB",
  help: "write, test, sign, publish and install plugins (npx capstan plugin --help)",
  run: (_options, positionals) => runPlugin(positionals),
};
