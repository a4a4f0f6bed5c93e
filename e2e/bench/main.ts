/**
 * `npm run bench`: the load client against Capstan's API server and against kube-apiserver with etcd, each started afresh, in turn,
 * several times; prints ratios. Needs Go (the original and the load client are built from source) and nothing else running.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { delay } from "#platform/base/clock.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { must } from "../conformance/program.ts";
import { buildBinaries, buildImpossible, peerBinaries } from "../conformance/suite.ts";
import { limits } from "./limits.ts";
import { HEADER, type Pair, row } from "./report.ts";
import { type Figure, type PhaseResult, type Scenario, scenarios } from "./scenarios.ts";
import { capstan, ensureServiceAccount, makePki, type Side, type StartSide, upstream } from "./sides.ts";

const help = `npm run bench -- [options]
  --only NAMES       scenarios, separated by commas: ${scenarios.map(({ name }) => name).join(", ")}, limits
  --repeat N         interleaved repetitions (3)
  --seconds N        length of a phase (8)
  --without-peer     measure Capstan alone
  --build-dir DIR    where binaries are built and kept (~/.cache/capstan/conformance or CAPSTAN_CONFORMANCE_DIR)
  --out FILE         the report in Markdown as well`;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

interface Bench {
  load: string;
  buildDir: string;
  /** Length of a phase. */
  seconds: number;
  repeat: number;
}

interface Measured {
  phases: PhaseResult[];
  /** Of server and database, before and after the load. */
  before: number;
  bytes: number;
  peak: number;
}

const argsFor = (side: Side): string[] => ["--servers", side.servers.join(","), "--cert", side.cert, "--key", side.key];

async function run(load: string, side: Side, args: readonly string[]): Promise<PhaseResult[]> {
  const out = await must(load, [...argsFor(side), ...args]);
  return out
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as PhaseResult);
}

const memoryOf = (side: Side): number => {
  const { server, database } = side.memory();
  return server + database;
};

async function started(start: StartSide, buildDir: string, scenario: Scenario): Promise<Side> {
  const side = await start({ buildDir, servers: scenario.servers ?? 1 });
  try {
    await ensureServiceAccount(side, "default");
    return side;
  } catch (error) {
    await side.remove();
    throw error;
  }
}

async function measured(load: string, side: Side, scenario: Scenario, seconds: number): Promise<Measured> {
  const rest = (scenario.restSeconds ?? 0) * 1_000;
  await delay(rest);
  const before = memoryOf(side);
  const phases = await run(load, side, scenario.args({ seconds }));
  await delay(rest);
  return { phases, before, bytes: memoryOf(side), peak: side.peak() };
}

/** Started for this alone, so that memory can be told. */
async function measure({ load, buildDir, seconds }: Bench, start: StartSide, scenario: Scenario): Promise<Measured> {
  const side = await started(start, buildDir, scenario);
  try {
    if (scenario.before) await run(load, side, scenario.before);
    return await measured(load, side, scenario, seconds);
  } finally {
    await side.remove();
  }
}

/** Long enough for what is compiled while it runs. */
const WARM_ARGS = ["--clients", "50", "--seconds", "10", "--phases"];

/** One list of results for each side; who goes first changes from turn to turn. */
async function takeTurns(
  { load, buildDir, seconds, repeat }: Bench,
  starts: readonly StartSide[],
  scenario: Scenario,
  phase: string,
): Promise<Measured[][]> {
  const sides: Side[] = [];
  try {
    for (const start of starts) sides.push(await started(start, buildDir, scenario));
    for (const side of sides) await run(load, side, [...WARM_ARGS, phase]);
    const results = sides.map((): Measured[] => []);
    const order = [...sides.keys()];
    for (let i = 0; i < repeat; i++) {
      for (const which of order) results[which]?.push(await measured(load, sides[which] as Side, scenario, seconds));
      order.reverse();
    }
    return results;
  } finally {
    for (const side of sides) await side.remove();
  }
}

/** Ours and, unless it is left out, the original's. */
async function results(bench: Bench, scenario: Scenario, withPeer: boolean): Promise<Measured[][]> {
  const starts = withPeer && !scenario.alone ? [capstan, upstream] : [capstan];
  if (scenario.inTurns !== undefined) return takeTurns(bench, starts, scenario, scenario.inTurns);
  const all = starts.map((): Measured[] => []);
  for (let i = 0; i < (scenario.alone ? 1 : bench.repeat); i++)
    for (const [which, start] of starts.entries()) all[which]?.push(await measure(bench, start, scenario));
  return all;
}

/** The figures are of the last phase: those before it prepare the state. */
function figureOf({ phases, before, bytes, peak }: Measured, of: Figure["of"]): number {
  const last = phases.at(-1);
  if (!last) throw new Error("the load client printed nothing");
  if (of !== "errors" && last.errors > 0 && last.phase !== "watch")
    throw new Error(`${last.errors} requests of phase ${last.phase} failed: the figure would be worth nothing`);
  if (of === "bytes") return bytes;
  if (of === "bytes_each") return (bytes - before) / last.ops;
  return of === "peak_bytes" ? peak : last[of];
}

/** With keys as Capstan's own, so that TLS costs the same. */
async function bareLimits(load: string, seconds: number): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), "capstan-limits-"));
  try {
    const at = await makePki(dir);
    return await limits(load, { cert: at("apiserver.crt"), key: at("apiserver.key") }, seconds);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      repeat: { type: "string", default: "3" },
      seconds: { type: "string", default: "8" },
      "without-peer": { type: "boolean", default: false },
      "build-dir": { type: "string" },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return say(help);
  const impossible = buildImpossible();
  if (impossible) throw new Error(impossible);
  const only = values.only?.split(",");
  const unknown = only?.filter((name) => name !== "limits" && !scenarios.some((s) => s.name === name)) ?? [];
  if (unknown.length) throw new Error(`no scenario is named ${unknown.join(", ")}\n${help}`);
  const buildDir = values["build-dir"] ?? defaultBuildDir();
  mkdirSync(buildDir, { recursive: true });
  if (!values["without-peer"]) await buildBinaries(buildDir, peerBinaries, say);
  const load = join(buildDir, "load");
  await must("go", ["build", "-o", load, "."], { cwd: join(import.meta.dirname, "load") });

  const bench: Bench = { load, buildDir, seconds: Number(values.seconds), repeat: Number(values.repeat) };
  const lines = [HEADER];
  for (const scenario of scenarios.filter(({ name }) => !only || only.includes(name))) {
    process.stderr.write(`${scenario.name}\n`);
    const [ours = [], theirs = []] = await results(bench, scenario, !values["without-peer"]);
    for (const figure of scenario.figures) {
      const pairs = ours.map((m, i): Pair => {
        const other = theirs[i];
        return { ours: figureOf(m, figure.of), theirs: other && figureOf(other, figure.of) };
      });
      lines.push(row(figure, pairs));
      process.stderr.write(`${lines.at(-1)}\n`);
    }
  }
  if (!only || only.includes("limits")) lines.push("", ...(await bareLimits(load, bench.seconds)));
  say(lines.join("\n"));
  if (values.out) writeFileSync(values.out, `${lines.join("\n")}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
