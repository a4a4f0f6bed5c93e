/** What is measured: an API server with its database and nothing else, ours or the original, each started afresh and wiped. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { freePort } from "#db/testing.ts";
import { delay } from "#platform/base/clock.ts";
import { type Config, paths } from "#platform/main/config.ts";
import { ensurePki } from "#platform/main/pki.ts";
import { nodeOptions } from "#platform/main/specs.ts";
import { binDir } from "../conformance/suite.ts";
import { Cluster } from "../support/cluster.ts";
import { HttpClient } from "../support/http.ts";

export interface Side {
  servers: readonly string[];
  cert: string;
  key: string;
  /** The PEM of who signed the servers' certificates, once they serve. */
  ca(): string;
  /** Resident memory of the API server and of its database, in bytes; what processes share counts once. */
  memory(): Record<"server" | "database", number>;
  /** The most that the API servers had resident, in bytes. */
  peak(): number;
  /** Seconds of CPU used by processes that live. */
  cpu(): Record<"server" | "database", number>;
  remove(): Promise<void>;
}

/** No controller makes the service account that a pod needs. */
export async function ensureServiceAccount({ servers, cert, key }: Side, namespace: string): Promise<void> {
  // The original makes its own serving certificate.
  const pems = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8"), rejectUnauthorized: false };
  const client = new HttpClient(pems);
  const body = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
  const { code } = await client.send("POST", `${servers[0]}/api/v1/namespaces/${namespace}/serviceaccounts`, body);
  client.close();
  if (code !== 201 && code !== 409) throw new Error(`the service account could not be made: ${code}`);
}

export type StartSide = (options: { buildDir: string; servers: number }) => Promise<Side>;

/** Proportional set size: a PostgreSQL backend's share of the buffers is not counted anew for each. */
function proportionalBytes(pid: number): number {
  try {
    const kib = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
    return Number(kib ?? 0) * 1024;
  } catch {
    return 0; // ended meanwhile
  }
}

function peakBytes(pid: number | undefined): number {
  const kib = pid && /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib ?? 0) * 1024;
}

const peakOf = (pids: readonly (number | undefined)[]): number =>
  pids.reduce<number>((sum, pid) => sum + peakBytes(pid), 0);

/** A process and all it started. */
function family(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const after = readFileSync(`/proc/${entry}/stat`, "utf8").split(") ")[1]?.split(" ");
      parents.set(Number(entry), Number(after?.[1]));
    } catch {
      // ended meanwhile
    }
  }
  const descends = (p: number | undefined): boolean =>
    p !== undefined && p > 1 && (p === pid || descends(parents.get(p)));
  return [...parents.keys()].filter(descends);
}

/** Resident bytes of processes and what they started; what processes share counts once. */
export const memoryOf = (pids: readonly (number | undefined)[]): number =>
  pids.flatMap((pid) => (pid ? family(pid) : [])).reduce((sum, pid) => sum + proportionalBytes(pid), 0);

/** Seconds of CPU that a process has used. */
export function cpuSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0; // ended meanwhile
  }
}

const cpuOf = (pids: readonly (number | undefined)[]): number =>
  pids.flatMap((pid) => (pid ? family(pid) : [])).reduce((sum, pid) => sum + cpuSeconds(pid), 0);

const postmasterOf = ({ db }: Cluster): number =>
  Number(readFileSync(join(db.dataDir, "cluster/postmaster.pid"), "utf8").split("\n")[0]);

export const capstan: StartSide = async ({ servers }) => {
  const cluster = await Cluster.start({ servers, engine: "wasmtime", asInstalled: true });
  const postmaster = postmasterOf(cluster);
  return {
    servers: cluster.servers.map(({ url }) => url),
    ...cluster.credentialFiles,
    ca: () => readFileSync(join(dirname(cluster.credentialFiles.cert), "ca.crt"), "utf8"),
    memory: () => ({ server: memoryOf(cluster.servers.map(({ pid }) => pid)), database: memoryOf([postmaster]) }),
    peak: () => peakOf(cluster.servers.map(({ pid }) => pid)),
    cpu: () => ({ server: cpuOf(cluster.servers.map(({ pid }) => pid)), database: cpuOf([postmaster]) }),
    remove: () => cluster.remove(),
  };
};

const nameOf = (index: number): string => (index === 0 ? "scheduler" : `scheduler-${index + 1}`);

/** How a scheduler's attempts ended, as it tells on its socket. */
function attemptsOf(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path: "/metrics" }, async (answer) => {
      const text = (await answer.setEncoding("utf8").toArray()).join("");
      const lines = text.split("\n").filter((line) => line.startsWith("scheduler_schedule_attempts_total{"));
      resolve(lines.map((line) => line.replace(/.*result="(\w+)"} /, "$1 ")).join(", "));
    });
    sent.on("error", reject);
    sent.end();
  });
}

export interface RunningScheduler {
  pid: number;
  end(): Promise<void>;
}

/** Asks a process to end, and resolves when it has. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  await exit;
}

export interface CapstanRoles extends Side {
  schedulers(): Promise<RunningScheduler[]>;
  /** How each scheduler's attempts ended. */
  attempts(): Promise<string[]>;
  /** Starts another role; `remove` ends it. */
  role(name: string): ChildProcess;
}

/** An API server, its database, and schedulers that are started when they are asked for. */
export async function capstanWithSchedulers(count: number, logDir: string): Promise<CapstanRoles> {
  const cluster = await Cluster.start({ servers: 1, engine: "wasmtime", asInstalled: true });
  const [server] = cluster.servers;
  if (!server) throw new Error("no API server was started");
  const postmaster = postmasterOf(cluster);
  const running: ChildProcess[] = [];
  const others: ChildProcess[] = [];
  const role = (name: string): ChildProcess => {
    const out = openSync(join(logDir, `${name}.log`), "a");
    const cli = join(import.meta.dirname, "../../platform/main/cli.ts");
    const args = [...nodeOptions(name), cli, "role", name, "--data-dir", server.dataDir];
    const profile = process.env["CAPSTAN_BENCH_PROFILE"] ? ["--cpu-prof", `--cpu-prof-dir=${logDir}`] : [];
    return spawn(process.execPath, [...profile, ...args], { stdio: ["ignore", out, out] });
  };
  return {
    servers: [server.url],
    ...cluster.credentialFiles,
    ca: () => readFileSync(join(dirname(cluster.credentialFiles.cert), "ca.crt"), "utf8"),
    memory: () => ({ server: memoryOf([server.pid]), database: memoryOf([postmaster]) }),
    peak: () => peakOf([server.pid]),
    cpu: () => ({ server: cpuOf([server.pid]), database: cpuOf([postmaster]) }),
    role(name) {
      const child = role(name);
      others.push(child);
      return child;
    },
    async schedulers() {
      const { config } = paths(server.dataDir);
      const present = JSON.parse(readFileSync(config, "utf8")) as Config;
      writeFileSync(config, JSON.stringify({ ...present, server: { ...present.server, schedulers: String(count) } }));
      for (let i = 0; i < count; i++) running.push(role(nameOf(i)));
      return running.map((child) => ({ pid: child.pid ?? 0, end: () => ended(child) }));
    },
    attempts: () =>
      Promise.all(running.map((_, i) => attemptsOf(join(paths(server.dataDir).run, `${nameOf(i)}.sock`)))),
    async remove() {
      await Promise.all([...running, ...others].map(ended));
      await cluster.remove();
    },
  };
}

/** With rights to everything, and nothing in its way. */
export async function startKubeScheduler(side: Side, buildDir: string, dir: string): Promise<RunningScheduler> {
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: side.servers[0], "insecure-skip-tls-verify": true } }],
    users: [{ name: "u", user: { "client-certificate": side.cert, "client-key": side.key } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  const path = join(dir, "kubeconfig.json");
  writeFileSync(path, JSON.stringify(kubeconfig), { mode: 0o600 });
  const out = openSync(join(dir, "kube-scheduler.log"), "a");
  const args = [
    `--kubeconfig=${path}`,
    "--leader-elect=false",
    "--secure-port=0",
    "--kube-api-qps=5000",
    "--kube-api-burst=5000",
  ];
  const child = spawn(join(binDir(buildDir), "kube-scheduler"), args, { stdio: ["ignore", out, out] });
  return {
    pid: child.pid!,
    async end() {
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    },
  };
}

/** Ended together, and with the last words of whichever ended by itself. */
class Processes {
  readonly #running: { name: string; child: ChildProcess; log: string }[] = [];
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  start(name: string, file: string, args: readonly string[]): number | undefined {
    const log = join(this.#dir, `${name}.log`);
    const out = openSync(log, "a");
    const child = spawn(file, args, { stdio: ["ignore", out, out] });
    this.#running.push({ name, child, log });
    return child.pid;
  }

  lastWords(): string {
    return this.#running.map(({ name, log }) => `${name}: ${readFileSync(log, "utf8").slice(-800)}`).join("\n");
  }

  async end(): Promise<void> {
    for (const { child } of this.#running.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    }
  }
}

/** kube-apiserver and etcd, with the flags of a plain cluster: RBAC, default admission, one of each. */
export const upstream: StartSide = async ({ buildDir, servers }) => {
  const dir = mkdtempSync(join(tmpdir(), "capstan-peer-"));
  const processes = new Processes(dir);
  const remove = async () => {
    await processes.end();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    return await startUpstream(dir, processes, buildDir, servers, remove);
  } catch (error) {
    const said = processes.lastWords();
    await remove();
    throw new Error(`the original does not start: ${String(error)}\n${said}`);
  }
};

async function startUpstream(
  dir: string,
  processes: Processes,
  buildDir: string,
  servers: number,
  remove: () => Promise<void>,
): Promise<Side> {
  const pki = await makePki(dir);
  const [client, peer] = [await freePort(), await freePort()];
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  const etcd = processes.start("etcd", join(binDir(buildDir), "etcd"), [
    `--data-dir=${join(dir, "etcd")}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    "--quota-backend-bytes=8589934592",
  ]);
  const ports: number[] = [];
  const pids: (number | undefined)[] = [];
  for (let i = 0; i < servers; i++) {
    const port = await freePort();
    ports.push(port);
    pids.push(
      processes.start(`kube-apiserver-${i}`, join(binDir(buildDir), "kube-apiserver"), [
        `--etcd-servers=${clientUrl}`,
        `--secure-port=${port}`,
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        `--cert-dir=${join(dir, "serving")}-${i}`,
        "--authorization-mode=Node,RBAC",
        // As clusters have it; without it privileged containers are refused.
        "--allow-privileged=true",
        `--client-ca-file=${pki("ca.crt")}`,
        `--service-account-key-file=${pki("sa.pub")}`,
        `--service-account-signing-key-file=${pki("sa.key")}`,
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.0.0.0/16",
      ]),
    );
  }
  const urls = ports.map((port) => `https://127.0.0.1:${port}`);
  for (const url of urls) await ready(url);
  return {
    servers: urls,
    cert: pki("admin-client.crt"),
    key: pki("admin-client.key"),
    // The first server signs its own.
    ca: () => readFileSync(join(`${join(dir, "serving")}-0`, "apiserver.crt"), "utf8"),
    memory: () => ({ server: memoryOf(pids), database: memoryOf([etcd]) }),
    peak: () => peakOf(pids),
    cpu: () => ({ server: cpuOf(pids), database: cpuOf([etcd]) }),
    remove,
  };
}

/** The same kind of keys and certificates as ours, so that TLS costs the same. */
export async function makePki(dir: string): Promise<(name: string) => string> {
  const dataDir = join(dir, "keys");
  mkdirSync(dataDir);
  const config: Config = {
    dataDir,
    instance: "000000",
    api: { host: "127.0.0.1", port: 1 },
    console: { host: "127.0.0.1", port: 0 },
    databaseUrl: "",
    serviceCIDR: "10.0.0.0/16",
    podCIDR: "10.244.0.0/16",
    dns: { domain: "cluster.local", address: "10.0.0.10" },
    engine: "jco",
    nodes: [],
  };
  await ensurePki(config);
  const at = (name: string) => join(dataDir, "pki", name);
  const { createPublicKey } = await import("node:crypto");
  writeFileSync(at("sa.pub"), createPublicKey(readFileSync(at("sa.key"))).export({ type: "spki", format: "pem" }));
  return at;
}

async function ready(url: string): Promise<void> {
  const { Agent, request: secure } = await import("node:https");
  // The certificate is self-signed and made by the server itself.
  const agent = new Agent({ rejectUnauthorized: false });
  const probe = () =>
    new Promise<number>((resolve) => {
      const sent = secure(`${url}/readyz`, { agent, timeout: 2_000 }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      sent.on("error", () => resolve(0));
      sent.on("timeout", () => sent.destroy());
      sent.end();
    });
  for (const end = Date.now() + 60_000; (await probe()) !== 200; await delay(200))
    if (Date.now() > end) throw new Error(`${url} is not ready within 60 s`);
  agent.destroy();
}
