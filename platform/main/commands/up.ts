/** From whatever this machine is to a running Capstan. Every step shows its name, its progress and its time. */
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { messageOf } from "#platform/base/log.ts";
import { rangeFamily } from "#platform/rules/ranges.ts";
import { prepareArtifacts, prepareEngine } from "../artifacts.ts";
import type { Command } from "../command.ts";
import { type Config, paths, readConfig } from "../config.ts";
import { checkSocketPaths } from "../containerd.ts";
import { prepareDatabase, refuseNewerSchema } from "../database.ts";
import { waitForDefaultAccount } from "../default-account.ts";
import { checkDisk, checkPort, installPackages, isRoot, missingPackages, nodeImpossible } from "../host.ts";
import { hostChanges } from "../host-changes.ts";
import { loadOwnImages } from "../images.ts";
import { ensureNodeNetworks, leaveOtherLayout } from "../nodes.ts";
import { ensurePki } from "../pki.ts";
import { installPlugins } from "../plugin-users.ts";
import { forget, isAlive, launch, readIdentity, writeIdentity } from "../processes.ts";
import { ensureRuntimeClass } from "../runtime-class.ts";
import { dataDirWithPort, instanceOf, makeConfig, type Options, writeConfig } from "../settings.ts";
import { supervisorSpec } from "../specs.ts";
import { step, UserError } from "../steps.ts";
import { forgetReport, readReport } from "../supervisor.ts";
import { waitReady } from "../wait-ready.ts";
import { printWelcome } from "../welcome.ts";
import { stopEverything } from "./down.ts";
import { startJoined } from "./node.ts";
import { role } from "./role.ts";

export const up: Command = {
  usage: "up",
  help: "install, build and start everything; ready when it returns",
  async run(options) {
    if (options.role) return role.run(options, [options.role]);
    const { run } = paths(options.dataDir);
    makeDataDir(options.dataDir);
    checkDisk(options.dataDir);
    takeTurn(run);
    try {
      const joined = joinedConfig(options);
      if (joined) return await startJoined(joined);
      return await bringUp(options, isAlive(readIdentity(run, "supervisor")));
    } finally {
      forget(run, "up");
    }
  },
};

async function bringUp(options: Options, running: boolean): Promise<number> {
  const started = Date.now();
  const runtime = await prepareHost(options);
  const engine = await step(
    "component engine",
    (s) => prepareEngine(options.engine, options.dataDir, s),
    (e) => e.describe,
  );
  const config = makeConfig(runtime === undefined ? options : { ...options, runtime }, engine.engine);
  checkSocketPaths(config);
  if (running) refuseChanges(options);
  else await checkPorts(config);
  await step(
    "components and console",
    (s) => prepareArtifacts(config, s),
    (built) => built,
  );
  if (!running) await start(config);
  const containers = config.nodes.filter((node) => !node.componentsOnly);
  const containerds = containers.map((node) => `containerd-${node.name}`);
  await waitReady(config, "API server", ["apiserver", ...containerds]);
  await step(
    "plugins",
    () => installPlugins(config),
    (names) => names.join(" "),
  );
  if (config.nodes.length) await ensureRuntimeClass(config);
  if (containers.length) await step("images", () => loadOwnImages(config));
  await waitReady(config, "roles");
  await waitForDefaultAccount(config);
  printWelcome(config, Date.now() - started);
  return 0;
}

/** Of a machine that joined a control plane elsewhere. */
function joinedConfig({ dataDir }: Options): Config | undefined {
  const config = existsSync(paths(dataDir).config) ? readConfig(dataDir) : undefined;
  return config?.joined && config;
}

function makeDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o711 });
    accessSync(dataDir, constants.W_OK);
  } catch (error) {
    throw new UserError(
      `the data directory ${dataDir} cannot be used: ${messageOf(error)}`,
      "npm run up -- --data-dir PATH   # one that you may write to",
    );
  }
}

/** One `up` at a time in a data directory. */
function takeTurn(runDir: string): void {
  const other = readIdentity(runDir, "up");
  if (isAlive(other))
    throw new UserError(`another up is at work there (pid ${other.pid})`, "wait until it is done, then: npm run up");
  mkdirSync(runDir, { recursive: true });
  writeIdentity(runDir, "up", process.pid);
}

/**
 * Says what will change on the host, then changes it. Answers what the node has to be where containers cannot run (and says why); undefined: as it
 * was, or as the options say.
 */
async function prepareHost(options: Options): Promise<"wasm" | undefined> {
  const before = existsSync(paths(options.dataDir).config) ? readConfig(options.dataDir).nodes : undefined;
  const nodes = options.nodes ?? before?.length ?? 1;
  const wanted = options.runtime ?? (before?.[0]?.componentsOnly ? "wasm" : "containers");
  const impossible = wanted === "containers" && nodes > 0 ? nodeImpossible() : undefined;
  if (impossible && options.runtime === "containers")
    throw new UserError(`no node: ${impossible}`, "npm run up -- --runtime wasm");
  if (impossible)
    process.stdout.write(
      `! no containers: ${impossible}\n  the node runs WebAssembly components (runtimeClassName: wasm), as you, without root.\n`,
    );
  const withNode = impossible === undefined && nodes > 0 && wanted === "containers";
  const first = !existsSync(paths(options.dataDir).config);
  if (first && isRoot()) {
    process.stdout.write("This will change on the host (npm run uninstall takes it back):\n");
    const ranges = [options.podCIDR ?? "", options.secondary?.podCIDR ?? ""].filter(Boolean);
    const families = ranges.length > 0 ? ranges.map(rangeFamily) : undefined;
    const changes = hostChanges(options.dataDir, instanceOf(options.dataDir), withNode ? nodes : 0, families);
    for (const change of changes) process.stdout.write(`  - ${change}\n`);
  }
  const missing = withNode ? missingPackages().map((p) => p.name) : [];
  if (missing.length)
    await step(
      "Debian packages",
      (s) => installPackages(options.dataDir, missing, s),
      () => missing.join(" "),
    );
  return impossible === undefined ? undefined : "wasm";
}

function refuseChanges(options: Options): void {
  const now = readConfig(options.dataDir);
  const present = {
    apiPort: now.api.port,
    consolePort: now.console.port,
    kubeletPort: now.nodes[0]?.kubeletPort,
    postgresPort: now.postgres?.port,
    databaseUrl: now.databaseUrl,
    nodes: now.nodes.length,
    podCIDR: now.podCIDR,
    serviceCIDR: now.serviceCIDR,
  };
  const changing: string[] = (Object.keys(present) as (keyof typeof present)[]).filter(
    (name) =>
      options[name] !== undefined &&
      options[name] !== present[name] &&
      !(name === "databaseUrl" && process.env["DATABASE_URL"]),
  );
  const { secondary } = options;
  if (secondary && JSON.stringify(secondary) !== JSON.stringify(now.secondary))
    changing.push("the second address family");
  changing.push(...Object.keys(options.server ?? {}));
  if (changing.length)
    throw new UserError(
      `Capstan is running; ${changing.join(", ")} can only change while it is down`,
      "npm run down && npm run up -- …",
    );
}

async function checkPorts(config: Config): Promise<void> {
  // A killed supervisor leaves its processes running, on their ports: they are adopted.
  const report = readReport(paths(config.dataDir).run) ?? {};
  const alive = (name: string) => name in report && isAlive(readIdentity(paths(config.dataDir).run, name));
  const check = (host: string, port: number, option: string) =>
    checkPort(host, port, option, () => dataDirWithPort(config.instance, port));
  if (!alive("apiserver")) await check(config.api.host, config.api.port, "--api-port");
  if (!alive("console")) await check(config.console.host, config.console.port, "--console-port");
  if (config.postgres && !alive("postgres")) await check("127.0.0.1", config.postgres.port, "--postgres-port");
  for (const node of config.nodes)
    if (!node.netns && !alive(`node-${node.name}`)) await check("0.0.0.0", node.kubeletPort, "--kubelet-port");
}

async function start(config: Config): Promise<void> {
  config.databaseUrl = await step("database", () => prepareDatabase(config));
  await step("keys and certificates", async () => {
    writeConfig(config);
    await ensurePki(config);
  });
  if (isRoot()) await leaveOtherLayout(config);
  if (config.nodes.length > 1) await step("node networks", () => ensureNodeNetworks(config));
  const { run, logs } = paths(config.dataDir);
  forgetReport(run);
  launch(supervisorSpec(config.dataDir), run, logs);
  if (config.postgres) await checkSchema(config);
}

/** The embedded database can be asked only now. What was started is stopped again: there is nothing that it could do. */
async function checkSchema(config: Config): Promise<void> {
  await waitReady(config, "PostgreSQL", ["postgres"]);
  try {
    await refuseNewerSchema(config);
  } catch (error) {
    await stopEverything(config);
    throw error;
  }
}
