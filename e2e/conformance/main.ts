/** `npm run conformance`: see options.ts for what it takes. Exits with 0 when everything that was asked for passed. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startInstance } from "../support/instance.ts";
import { runSuite, type SuiteRun } from "./ginkgo.ts";
import { imageNames, writeImages } from "./images.ts";
import { patternOf } from "./names.ts";
import { help, type Options, parseOptions, UsageError } from "./options.ts";
import { must } from "./program.ts";
import { firstError, line, summarize, writeReport } from "./report.ts";
import { buildBinaries, buildCoreDns, buildImpossible, imageBinaries, runnerBinaries, suiteIsBuilt } from "./suite.ts";

const TENANT = "conformance";
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function buildImages(buildDir: string, names: readonly string[], archive: string): Promise<void> {
  await buildBinaries(buildDir, imageBinaries, say);
  await buildCoreDns(buildDir, say);
  say(`making images ${names.join(", ")}`);
  await writeImages(names, buildDir, archive);
}

/** The archive of all the suite's images, made once a build directory. */
async function allImages(buildDir: string): Promise<string> {
  const archive = join(buildDir, "images.tar");
  if (!existsSync(archive)) await buildImages(buildDir, imageNames, archive);
  return archive;
}

const capstan = (...args: string[]): Promise<string> =>
  must(process.execPath, [join(import.meta.dirname, "../../platform/main/cli.ts"), ...args]);

/** The file that the new tenant's kubeconfig is kept in. */
function inTenant(options: Options, kubeconfig: string): string {
  mkdirSync(options.report, { recursive: true });
  const file = join(options.report, "tenant.kubeconfig");
  writeFileSync(file, kubeconfig, { mode: 0o600 });
  return file;
}

/** Answers the API to run against, and how to be done with it. */
async function target(options: Options): Promise<{ kubeconfig: string; done: () => Promise<void> }> {
  const nothing = async () => {};
  if (options.kubeconfig) return { kubeconfig: options.kubeconfig, done: nothing };
  const archive = await allImages(options.buildDir);
  if (options.dataDir) {
    await capstan("image", "load", archive, "--data-dir", options.dataDir);
    if (!options.tenant) return { kubeconfig: join(options.dataDir, "kubeconfig"), done: nothing };
    const { dataDir } = options;
    const kubeconfig = inTenant(options, await capstan("tenant", "create", TENANT, "--data-dir", dataDir));
    const done = async () => void (await capstan("tenant", "delete", TENANT, "--data-dir", dataDir));
    return { kubeconfig, done };
  }
  say("starting a Capstan");
  const instance = await startInstance({ nodes: options.nodes });
  const loaded = await instance.capstan("image", "load", archive);
  if (loaded.code !== 0) {
    await instance.remove();
    throw new Error(`the images could not be loaded: ${loaded.stderr}`);
  }
  const own = options.tenant ? (await instance.capstan("tenant", "create", TENANT)).stdout : undefined;
  return { kubeconfig: own ? inTenant(options, own) : instance.kubeconfig, done: () => instance.remove() };
}

async function runTests(options: Options): Promise<SuiteRun> {
  await buildBinaries(options.buildDir, runnerBinaries, say);
  const { kubeconfig, done } = await target(options);
  try {
    say(`running ${options.names ? `${options.names.length} tests` : options.focus} …`);
    return await runSuite({
      buildDir: options.buildDir,
      kubeconfig,
      pattern: options.names ? patternOf(options.names) : (options.focus ?? ""),
      processes: options.processes,
      minutes: options.minutes,
      reportDir: options.report,
    });
  } finally {
    await done();
  }
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (!options) {
    say(help);
    return 0;
  }
  const impossible = buildImpossible();
  if (impossible && !suiteIsBuilt(options.buildDir)) throw new UsageError(impossible);
  mkdirSync(options.buildDir, { recursive: true });
  if (options.image) {
    await buildImages(options.buildDir, [options.image], options.out);
    return 0;
  }
  if (options.buildOnly) {
    await buildBinaries(options.buildDir, runnerBinaries, say);
    await allImages(options.buildDir);
    return 0;
  }
  const suite = await runTests(options);
  const report = summarize(suite.results, options.names, suite.problem);
  writeReport(options.report, report);
  for (const { name, error } of report.failed) say(`FAIL ${name}\n     ${firstError(error ?? "").slice(0, 300)}`);
  if (report.problem) say(`the suite failed as a whole: ${firstError(report.problem)}`);
  say(`${line(report)}; ${join(options.report, "report.md")}`);
  return report.failed.length + report.missing.length === 0 && !report.problem && report.passed.length > 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof UsageError) process.stderr.write("npm run conformance -- --help\n");
  process.exitCode = 1;
}
