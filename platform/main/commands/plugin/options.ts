/** The options of `capstan plugin`, and what they lead to: engine, client, folders. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { createEngine } from "#sdk/engine/index.ts";
import { CONTRACT_PREFIX, compiledDir, type Engine } from "#sdk/engine/port.ts";
import { type BuildOptions, INTERPRETERS, type Interpreter, type Language } from "#sdk/plugin/build.ts";
import { WORLDS, type World } from "#sdk/plugin/manifest.ts";
import { paths } from "../../config.ts";
import { projectDir } from "../../settings.ts";
import { UserError } from "../../steps.ts";

export interface PluginOptions {
  world?: World;
  lang: Language;
  tenant: string;
  key?: string;
  record: boolean;
  calls: number;
  engine?: "wasmtime" | "jco";
  interpreter?: Interpreter;
  revision?: number;
  follow: boolean;
  dataDir: string;
  kubeconfig?: string;
  yes: boolean;
}

const CALLS_MAX = 1_000_000;
const HELP = "npx capstan plugin --help";
const string = { type: "string" as const };
const boolean = { type: "boolean" as const };

type Values = Record<string, string | boolean | (string | boolean)[] | undefined>;

function oneOf<T extends string>(name: string, value: string | undefined, choices: readonly T[]): T | undefined {
  if (value === undefined || choices.includes(value as T)) return value as T | undefined;
  throw new UserError(`--${name} is one of ${choices.join(", ")}, not "${value}"`, HELP);
}

function whole(name: string, value: string | undefined, max: number): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1 || number > max)
    throw new UserError(`--${name} takes a whole number from 1 to ${max}, not "${value}"`, HELP);
  return number;
}

export const pluginOptions = {
  flags: {
    world: string,
    lang: string,
    tenant: string,
    key: string,
    record: boolean,
    calls: string,
    engine: string,
    interpreter: string,
    revision: string,
    follow: { ...boolean, short: "f" },
    "data-dir": string,
    kubeconfig: string,
    yes: { ...boolean, short: "y" },
    help: { ...boolean, short: "h" },
  },
  parse(values: Values): PluginOptions {
    const text = (name: string) => {
      const value = values[name];
      return typeof value === "string" ? value : undefined;
    };
    return {
      world: oneOf("world", text("world"), WORLDS),
      lang: oneOf("lang", text("lang"), ["ts", "go", "c"] as const) ?? "ts",
      tenant: text("tenant") ?? "root",
      key: text("key"),
      record: values["record"] === true,
      calls: whole("calls", text("calls"), CALLS_MAX) ?? 1000,
      engine: oneOf("engine", text("engine"), ["wasmtime", "jco"] as const),
      interpreter: oneOf("interpreter", text("interpreter"), INTERPRETERS),
      revision: whole("revision", text("revision"), Number.MAX_SAFE_INTEGER),
      follow: values["follow"] === true,
      dataDir: resolve(text("data-dir") ?? process.env["CAPSTAN_DATA_DIR"] ?? join(projectDir, ".capstan")),
      kubeconfig: text("kubeconfig"),
      yes: values["yes"] === true,
    };
  },
};

export const buildOptions = ({ interpreter }: PluginOptions): BuildOptions => (interpreter ? { interpreter } : {});

/** For tests and measurements in the author's folder. */
export function authorsEngine(options: PluginOptions, outDir: string): Engine {
  const name = options.engine ?? (addonReady() ? "wasmtime" : "jco");
  return createEngine(name, { cacheDir: compiledDir(outDir), importPrefixes: [CONTRACT_PREFIX] });
}

/** Addressed at --tenant. The caller closes it. */
export function pluginClient(options: PluginOptions): { client: Client; close(): void } {
  const own = paths(options.dataDir).kubeconfig;
  const path = options.kubeconfig ?? (existsSync(own) ? own : process.env["KUBECONFIG"]);
  if (!path || !existsSync(path))
    throw new UserError(
      `there is no kubeconfig: neither ${own} nor KUBECONFIG is there`,
      "npm run up, or --kubeconfig FILE",
    );
  const client = createClient(loadKubeconfig(path));
  return { client: options.tenant === "root" ? client : client.tenant(options.tenant), close: () => client.close() };
}

/** Runs with a client that is closed afterwards. */
export async function withClient<T>(options: PluginOptions, use: (client: Client) => Promise<T>): Promise<T> {
  const { client, close } = pluginClient(options);
  try {
    return await use(client);
  } finally {
    close();
  }
}

export const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** The one argument that a verb takes. */
export function only(positionals: readonly string[], what: string, next: string): string {
  const [first, ...more] = positionals;
  if (first === undefined || more.length > 0) throw new UserError(`it takes ${what}`, `npx capstan plugin ${next}`);
  return first;
}
