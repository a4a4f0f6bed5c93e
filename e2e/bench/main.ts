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
import { capstan, ensureServiceAccount, makePki, type StartSide, upstream } from "./sides.ts";

const help = `npm run bench -- [options]
  --only NAMES       scenarios, separated by commas: ${scenarios.map(({ name }) => name).join(", ")}, limits
  --repeat N         interleaved repetitions (3)
  --seconds N        length of a phase (8)
  --without-peer     measure Capstan alone
  --build-dir DIR    where binaries are built and kept (~/.cache/capstan/conformance or CAPSTAN_CONFORMANCE_DIR)
  --out FILE         the report in Markdown as well`;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

interface Measured {
  phases: PhaseResult[];
  /** Of server and database, before and after the load. */
  before: number;
  bytes: number;
  peak: number;
}

async function measure(start: StartSide, load: string, buildDir: string, scenario: Scenario, seconds: number) {
  const side = await start({ buildDir, servers: scenario.servers ?? 1 });
  try {
    await ensureServiceAccount(side, "default");
    const args = ["--servers", side.servers.join(","), "--cert", side.cert, "--key", side.key];
    const memory = () => {
      const { server, database } = side.memory();
      return server + database;
    };
    if (scenario.before) await must(load, [...args, ...scenario.before]);
    const rest = (scenario.restSeconds ?? 0) * 1_000;
    await delay(rest);
    const before = memory();
    const out = await must(load, [...args, ...scenario.args({ seconds })]);
    const phases = out
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as PhaseResult);
    await delay(rest);
    return { phases, before, bytes: memory(), peak: side.peak() } satisfies Measured;
  } finally {
    await side.remove();
  }
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

  const lines = [HEADER];
  for (const scenario of scenarios.filter(({ name }) => !only || only.includes(name))) {
    const ours: Measured[] = [];
    const theirs: Measured[] = [];
    const repeat = scenario.alone ? 1 : Number(values.repeat);
    for (let i = 0; i < repeat; i++) {
      process.stderr.write(`${scenario.name} ${i + 1}/${repeat}\n`);
      ours.push(await measure(capstan, load, buildDir, scenario, Number(values.seconds)));
      if (!values["without-peer"] && !scenario.alone)
        theirs.push(await measure(upstream, load, buildDir, scenario, Number(values.seconds)));
    }
    for (const figure of scenario.figures) {
      const pairs = ours.map((m, i): Pair => {
        const other = theirs[i];
        return { ours: figureOf(m, figure.of), theirs: other && figureOf(other, figure.of) };
      });
      lines.push(row(figure, pairs));
      process.stderr.write(`${lines.at(-1)}\n`);
    }
  }
  if (!only || only.includes("limits")) lines.push("", ...(await bareLimits(load, Number(values.seconds))));
  say(lines.join("\n"));
  if (values.out) writeFileSync(values.out, `${lines.join("\n")}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
