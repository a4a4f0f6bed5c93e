/**
 * `node e2e/bench/scheduling.ts`: how fast schedulers bind pods that wait already: only an API server, its database and the scheduler run.
 * Nodes are objects without a kubelet behind. The time is from the first binding that a watch shows to the last.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { defaultBuildDir } from "../conformance/options.ts";
import { must } from "../conformance/program.ts";
import {
  capstanWithSchedulers,
  cpuSeconds,
  ensureServiceAccount,
  type Side,
  startKubeScheduler,
  upstream,
} from "./sides.ts";

const help = `node e2e/bench/scheduling.ts [options]
  --nodes N --pods N     (1000, 2000)
  --mixed                pods with spread constraints and preferred anti-affinity
  --gang N               pods in gangs of N
  --schedulers N         how many at once (1)
  --peer                 kube-apiserver, etcd and kube-scheduler instead of Capstan
  --build-dir DIR        where the load client and the original are (~/.cache/capstan/conformance or CAPSTAN_CONFORMANCE_DIR)
  --keep-logs DIR        the schedulers' logs and profiles go there`;

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "1000" },
    pods: { type: "string", default: "2000" },
    mixed: { type: "boolean", default: false },
    gang: { type: "string", default: "0" },
    schedulers: { type: "string", default: "1" },
    peer: { type: "boolean", default: false },
    "build-dir": { type: "string" },
    "keep-logs": { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const SAMPLE_MS = 50;

interface Sample {
  at: number;
  /** Of each scheduler. */
  seconds: number[];
}

function sampled(pids: readonly number[]): { stop(): Sample[] } {
  const samples: Sample[] = [];
  const sample = () => samples.push({ at: performance.now(), seconds: pids.map(cpuSeconds) });
  const timer = setInterval(sample, SAMPLE_MS);
  return {
    stop() {
      clearInterval(timer);
      sample();
      return samples;
    },
  };
}

/** CPU seconds of each scheduler in the span that the phase counts, which ends as it is printed: without starts and the reading of what waits. */
function sinceFirst(samples: readonly Sample[], printed: string): number[] {
  const phase = JSON.parse(printed.split("\n").at(-1) ?? "{}") as { ops: number; per_second: number };
  const last = samples.at(-1);
  if (!last) return [];
  const from = last.at - (phase.ops / phase.per_second) * 1000;
  const first = samples.findLast(({ at }) => at <= from) ?? last;
  return last.seconds.map((seconds, i) => seconds - (first.seconds[i] ?? 0));
}

async function main(): Promise<void> {
  if (values.help) return say(help);
  const buildDir = values["build-dir"] ?? defaultBuildDir();
  mkdirSync(buildDir, { recursive: true });
  const load = join(buildDir, "load");
  await must("go", ["build", "-o", load, "."], { cwd: join(import.meta.dirname, "load") });
  const dir = values["keep-logs"] ?? mkdtempSync(join(tmpdir(), "capstan-scheduling-"));
  mkdirSync(dir, { recursive: true });
  const ours = values.peer ? undefined : await capstanWithSchedulers(Number(values.schedulers), dir);
  const side: Side = ours ?? (await upstream({ buildDir, servers: 1 }));
  try {
    await ensureServiceAccount(side, "default");
    const common = [
      "--servers",
      side.servers[0]!,
      "--cert",
      side.cert,
      "--key",
      side.key,
      "--nodes",
      values.nodes,
      "--pods",
      values.pods,
    ];
    if (values.mixed) common.push("--mixed");
    if (values.gang !== "0") common.push("--gang", values.gang);
    say((await must(load, [...common, "--phases", "nodes,pods"])).trim());
    const before = side.cpu();
    const scheduled = must(load, [...common, "--phases", "scheduled"]);
    const schedulers = (await ours?.schedulers()) ?? [await startKubeScheduler(side, buildDir, dir)];
    const used = sampled(schedulers.map(({ pid }) => pid));
    const printed = (await scheduled).trim();
    const samples = used.stop();
    say(printed);
    const { server, database } = side.cpu();
    const seconds = (of: readonly number[]) => of.map((one) => one.toFixed(1)).join(" + ");
    const own = seconds(schedulers.map(({ pid }) => cpuSeconds(pid)));
    const [servers, databases] = [server - before.server, database - before.database];
    say(
      `CPU seconds: schedulers, with their start, ${own}; API server ${servers.toFixed(1)}; database ${databases.toFixed(1)}`,
    );
    say(`from the first binding to the last: schedulers ${seconds(sinceFirst(samples, printed))}`);
    for (const attempts of (await ours?.attempts()) ?? []) say(`attempts of a scheduler: ${attempts}`);
    for (const scheduler of schedulers) await scheduler.end();
  } finally {
    await side.remove();
    if (!values["keep-logs"]) rmSync(dir, { recursive: true, force: true });
  }
}

await main();
