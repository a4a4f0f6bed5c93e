/**
 * `node e2e/bench/workloads.ts`: a whole control plane (API server, database, controllers, scheduler), ours or the original's, over nodes that
 * are simulated the same way for both: how long a Deployment takes from 0 to N pods that run, or what controllers cost when nothing happens.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { delay } from "#platform/base/clock.ts";
import { createLog } from "#platform/base/log.ts";
import { simulatedName, startSimulator } from "#platform/main/simulation/simulator.ts";
import type { Deployment, Pod } from "#sdk/api/generated/types.ts";
import { createClient } from "#sdk/client/client.ts";
import type { Client } from "#sdk/client/port.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { binDir } from "../conformance/suite.ts";
import {
  capstanWithSchedulers,
  cpuSeconds,
  ended,
  memoryOf,
  type Side,
  startKubeScheduler,
  upstream,
} from "./sides.ts";

const help = `node e2e/bench/workloads.ts [options]
  --nodes N              simulated nodes (100)
  --replicas N           a Deployment from 0 to N and back (1000)
  --repeat N             how often (3)
  --idle PODS            instead: so many bound pods, then, after two minutes, the CPU of two in which nothing changes but leases
  --peer                 kube-apiserver, etcd, kube-controller-manager and kube-scheduler instead of Capstan
  --qps N                --kube-api-qps of kube-controller-manager (20, its default)
  --build-dir DIR        where the original is (~/.cache/capstan/conformance or CAPSTAN_CONFORMANCE_DIR)`;

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "100" },
    replicas: { type: "string", default: "1000" },
    repeat: { type: "string", default: "3" },
    idle: { type: "string" },
    peer: { type: "boolean", default: false },
    qps: { type: "string", default: "20" },
    "build-dir": { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const DEPLOYMENTS = { group: "apps", version: "v1", resource: "deployments" };
const PODS = { group: "", version: "v1", resource: "pods" };
const WORKERS = 32;
const WAIT_MS = 10 * 60_000;
const REST_MS = 120_000;
const IDLE_MS = 120_000;
const labels = { app: "scaled" };
const podSpec = {
  containers: [{ name: "c", image: "example", resources: { requests: { cpu: "10m", memory: "16Mi" } } }],
  terminationGracePeriodSeconds: 0,
};

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

interface Plane {
  side: Side;
  client: Client;
  /** Process ids by name: "controllers", "scheduler". */
  pids: Readonly<Record<string, number>>;
  remove(): Promise<void>;
}

function clientOf(side: Side): Client {
  const pems = { ca: side.ca(), cert: readFileSync(side.cert, "utf8"), key: readFileSync(side.key, "utf8") };
  return createClient({ server: side.servers[0] ?? "", ...pems });
}

/** The original has one cluster and no paths of tenants. */
function withoutTenants(client: Client): Client {
  const alone: Client = { ...client, tenant: () => alone };
  return alone;
}

async function ourPlane(dir: string): Promise<Plane> {
  const side = await capstanWithSchedulers(1, dir);
  const [scheduler] = await side.schedulers();
  const controllers = side.role("controllers");
  return {
    side,
    client: clientOf(side),
    pids: { controllers: controllers.pid ?? 0, scheduler: scheduler?.pid ?? 0 },
    remove: () => side.remove(),
  };
}

async function originalPlane(dir: string, buildDir: string, qps: number): Promise<Plane> {
  const side = await upstream({ buildDir, servers: 1 });
  const scheduler = await startKubeScheduler(side, buildDir, dir);
  const out = openSync(join(dir, "kube-controller-manager.log"), "a");
  const manager = spawn(
    join(binDir(buildDir), "kube-controller-manager"),
    [
      // startKubeScheduler's.
      `--kubeconfig=${join(dir, "kubeconfig.json")}`,
      "--leader-elect=false",
      "--secure-port=0",
      `--kube-api-qps=${qps}`,
      `--kube-api-burst=${Math.round(qps * 1.5)}`,
    ],
    { stdio: ["ignore", out, out] },
  );
  return {
    side,
    client: withoutTenants(clientOf(side)),
    pids: { controllers: manager.pid ?? 0, scheduler: scheduler.pid },
    async remove() {
      await ended(manager);
      await scheduler.end();
      await side.remove();
    },
  };
}

/** Seconds from the write until as many replicas are ready as were asked for (of none: until the pods have gone). */
async function scale(client: Client, replicas: number): Promise<number> {
  const at = { namespace: "default", name: "scaled" };
  const started = performance.now();
  await client.patch(DEPLOYMENTS, at, { type: "merge", body: { spec: { replicas } } });
  while (performance.now() - started < WAIT_MS) {
    const { status } = await client.get<Deployment>(DEPLOYMENTS, at);
    const there = replicas === 0 ? (status?.replicas ?? 0) + (await podCount(client)) : (status?.readyReplicas ?? 0);
    if (there === replicas) return (performance.now() - started) / 1000;
    await delay(100);
  }
  throw new Error(`the deployment has not ${replicas} replicas after ${WAIT_MS / 60_000} minutes`);
}

async function podCount(client: Client): Promise<number> {
  const { items, metadata } = await client.list(PODS, { namespace: "default", limit: 1 });
  return items.length + (metadata.remainingItemCount ?? 0);
}

async function deployment({ client }: Plane): Promise<void> {
  const template = { metadata: { labels }, spec: podSpec };
  await client.create(DEPLOYMENTS, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "scaled", namespace: "default" },
    spec: { replicas: 0, selector: { matchLabels: labels }, template },
  } as Deployment);
  for (let i = 0; i < Number(values.repeat); i++) {
    const up = await scale(client, Number(values.replicas));
    const down = await scale(client, 0);
    say(`0 → ${values.replicas} ready: ${up.toFixed(1)} s; back to 0: ${down.toFixed(1)} s`);
  }
}

async function idle({ client, pids }: Plane, pods: number): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < pods; i = next++) {
      const nodeName = simulatedName(i % Number(values.nodes));
      await client.create<Pod>(PODS, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: `idle-${i}`, namespace: "default", labels },
        spec: { ...podSpec, nodeName },
      });
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
  say(`${pods} pods are there`);
  await delay(REST_MS);
  const before = Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuSeconds(pid)]));
  await delay(IDLE_MS);
  for (const [name, pid] of Object.entries(pids)) {
    const share = (cpuSeconds(pid) - (before[name] ?? 0)) / (IDLE_MS / 1000);
    say(`${name}: ${(share * 100).toFixed(2)} % of a core, ${mib(memoryOf([pid]))}`);
  }
}

async function main(): Promise<void> {
  if (values.help) return say(help);
  const buildDir = values["build-dir"] ?? defaultBuildDir();
  const dir = mkdtempSync(join(tmpdir(), "capstan-workloads-"));
  const plane = await (values.peer ? originalPlane(dir, buildDir, Number(values.qps)) : ourPlane(dir));
  const stopping = new AbortController();
  const log = createLog("warn");
  const simulator = startSimulator({
    client: plane.client,
    log,
    nodes: Number(values.nodes),
    signal: stopping.signal,
  });
  try {
    await simulator.ready;
    say(`${values.nodes} nodes are there`);
    if (values.idle === undefined) await deployment(plane);
    else await idle(plane, Number(values.idle));
  } finally {
    stopping.abort();
    await simulator.done.catch(() => undefined);
    plane.client.close();
    await plane.remove();
    rmSync(dir, { recursive: true, force: true });
  }
}

await main();
