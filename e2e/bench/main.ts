/**
 * `npm run bench`: the load client against Capstan's API server and against kube-apiserver with etcd, each started afresh, in turn,
 * several times; prints ratios. Needs Go (the original and the load client are built from source) and nothing else running.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { defaultBuildDir } from "../conformance/options.ts";
import { must } from "../conformance/program.ts";
import { buildBinaries, buildImpossible, peerBinaries } from "../conformance/suite.ts";
import { HEADER, type Pair, row } from "./report.ts";
import { type PhaseResult, type Scenario, scenarios } from "./scenarios.ts";
import { capstan, ensureServiceAccount, type StartSide, upstream } from "./sides.ts";

const help = `npm run bench -- [options]
  --only NAMES       scenarios, separated by commas: ${scenarios.map(({ name }) => name).join(", ")}
  --repeat N         interleaved repetitions (3)
  --seconds N        length of a phase (8)
  --without-peer     measure Capstan alone
  --build-dir DIR    where binaries are built and kept (~/.cache/capstan/conformance or CAPSTAN_CONFORMANCE_DIR)
  --out FILE         the report in Markdown as well`;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

interface Measured {
  phases: PhaseResult[];
  bytes: number;
}

async function measure(start: StartSide, load: string, buildDir: string, scenario: Scenario, seconds: number) {
  const side = await start({ buildDir, servers: scenario.servers ?? 1 });
  try {
    await ensureServiceAccount(side, "default");
    const args = ["--servers", side.servers.join(","), "--cert", side.cert, "--key", side.key];
    const out = await must(load, [...args, ...scenario.args({ seconds })]);
    const phases = out
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as PhaseResult);
    const { server, database } = side.memory();
    return { phases, bytes: server + database } satisfies Measured;
  } finally {
    await side.remove();
  }
}

/** The figures are of the last phase: those before it prepare the state. */
function figureOf({ phases, bytes }: Measured, of: "per_second" | "p99_ms" | "errors" | "bytes"): number {
  const last = phases.at(-1);
  if (!last) throw new Error("the load client printed nothing");
  if (of !== "errors" && last.errors > 0 && last.phase !== "watch")
    throw new Error(`${last.errors} requests of phase ${last.phase} failed: the figure would be worth nothing`);
  return of === "bytes" ? bytes : last[of];
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
  const unknown = only?.filter((name) => !scenarios.some((s) => s.name === name)) ?? [];
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
    for (let i = 0; i < Number(values.repeat); i++) {
      process.stderr.write(`${scenario.name} ${i + 1}/${values.repeat}\n`);
      ours.push(await measure(capstan, load, buildDir, scenario, Number(values.seconds)));
      if (!values["without-peer"])
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
  say(lines.join("\n"));
  if (values.out) writeFileSync(values.out, `${lines.join("\n")}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
