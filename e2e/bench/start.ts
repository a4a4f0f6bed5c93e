/**
 * `node e2e/bench/start.ts`: how long an API server takes from its process's start to /readyz saying ok, over a database that is there
 * already. Starts with the compiled code of an earlier start and without it take turns. The target is 2 s at most.
 */
import { rmSync } from "node:fs";
import { Agent, get } from "node:https";
import { parseArgs } from "node:util";
import { delay } from "#platform/base/clock.ts";
import { paths } from "#platform/main/config.ts";
import { Cluster, type Server } from "../support/cluster.ts";
import { median } from "./report.ts";
import { cpuSeconds } from "./sides.ts";

const help = `node e2e/bench/start.ts [options]
  --repeat N         starts of each sort (5)
  --objects N        ConfigMaps of 1 KiB that are stored first (2000)`;

const CLIENTS = 32;
const POLL_MS = 5;
const START_MS_MAX = 60_000;
/** No connection outlives its request: the server goes away in between. */
const agent = new Agent({ keepAlive: false, rejectUnauthorized: false });

const readyCode = (url: string): Promise<number> =>
  new Promise((resolve) => {
    get(`${url}/readyz`, { agent }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    }).on("error", () => resolve(0));
  });

interface Start {
  ms: number;
  cpuMs: number;
}

/** Throws with the server's last words when it takes a minute. */
async function until(server: Server, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (const end = performance.now() + START_MS_MAX; !(await holds()); await delay(POLL_MS))
    if (performance.now() > end) throw new Error(`the server does not start:\n${server.lastWords}`);
}

async function startAnew(server: Server): Promise<Start> {
  await server.end("SIGTERM");
  const began = performance.now();
  server.start();
  await until(server, async () => (await readyCode(server.url)) === 200);
  return { ms: performance.now() - began, cpuMs: cpuSeconds(server.pid ?? 0) * 1000 };
}

async function fill(cluster: Cluster, server: Server, objects: number): Promise<void> {
  const data = { text: "x".repeat(1000) };
  let next = 0;
  const client = async () => {
    while (next < objects) {
      const metadata = { name: `object-${next++}` };
      const { code } = await cluster.client.send("POST", `${server.url}/api/v1/namespaces/default/configmaps`, {
        metadata,
        data,
      });
      if (code !== 201) throw new Error(`an object could not be stored: ${code}`);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

const figures = (values: readonly number[]): string =>
  `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)})`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      repeat: { type: "string", default: "5" },
      objects: { type: "string", default: "2000" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return void process.stdout.write(`${help}\n`);
  const cluster = await Cluster.start({ servers: 1, engine: "wasmtime", asInstalled: true });
  try {
    const [server] = cluster.servers;
    if (!server) throw new Error("no API server was started");
    await fill(cluster, server, Number(values.objects));
    const starts: Record<"first" | "later", Start[]> = { first: [], later: [] };
    for (let i = 0; i < Number(values.repeat); i++) {
      rmSync(paths(server.dataDir).compiled, { recursive: true, force: true });
      starts.first.push(await startAnew(server));
      // The code that it compiled is kept then.
      await until(server, () => server.said('"message":"ready"'));
      starts.later.push(await startAnew(server));
    }
    const lines = Object.entries(starts).map(
      ([sort, all]) => `| ${sort} | ${figures(all.map(({ ms }) => ms))} | ${figures(all.map(({ cpuMs }) => cpuMs))} |`,
    );
    process.stdout.write(
      `| start | ms to readyz: median (least–most) | ms of CPU |\n|---|---|---|\n${lines.join("\n")}\n`,
    );
  } finally {
    await cluster.remove();
    agent.destroy();
  }
}

await main();
