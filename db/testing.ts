/** A real PostgreSQL for one test file: a temporary cluster on a free port, migrated, gone afterwards. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepare, waitReady } from "./embedded.ts";
import { migrate } from "./migrate.ts";

export interface TestDatabase {
  url: string;
  dataDir: string;
  /** kill -9 of the postmaster. */
  kill(): Promise<void>;
  /** Starts it again after `kill` or `stop`. */
  start(): Promise<void>;
  /** A clean stop. */
  stop(): Promise<void>;
  /** Stops it and removes everything. */
  remove(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/**
 * Outlives the test's process, however that ends: when its end of the pipe closes, whatever postmaster runs below `base` is
 * ended and `base` removed. A killed test process leaves nothing behind.
 */
function guard(base: string): ChildProcess {
  const script = `cat >/dev/null
    pid=$(head -n 1 "$0/data/cluster/postmaster.pid" 2>/dev/null) && grep -q postgres "/proc/$pid/comm" && kill -QUIT "$pid" && sleep 1
    rm -rf "$0"`;
  const child = spawn("/bin/sh", ["-c", script, base], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  return child;
}

export interface TestDatabaseOptions {
  /** False: an empty database. */
  migrated?: boolean;
  /** The settings that a user's has, for measuring. */
  durable?: boolean;
  /** More settings of PostgreSQL. */
  settings?: Readonly<Record<string, string>>;
  /** Called before the first start, with the folder that will hold the data: puts a cluster of its own there. */
  prepare?(dataDir: string): Promise<void>;
}

export async function withTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const base = mkdtempSync(join(tmpdir(), "capstan-db-"));
  chmodSync(base, 0o755);
  const port = await freePort();
  const cluster = {
    dataDir: join(base, "data"),
    port,
    passwordFile: join(base, "password"),
    volatile: !options.durable,
  };
  const guarding = guard(base);
  let child: ChildProcess | undefined;
  let url = "";

  const start = async () => {
    const prepared = await prepare(cluster);
    url = prepared.databaseUrl;
    const { file, args: ours, ...how } = prepared.command;
    const args = [
      ...ours,
      ...Object.entries(options.settings ?? {}).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ];
    const log: string[] = [];
    child = spawn(file, args, { ...how, stdio: ["ignore", "ignore", "pipe"] });
    child.stderr?.on("data", (chunk: Buffer) => {
      log.push(chunk.toString());
      if (log.length > 50) log.shift();
    });
    const failed = once(child, "exit").then(() => Promise.reject(new Error(`PostgreSQL ended: ${log.join("")}`)));
    failed.catch(() => undefined);
    await Promise.race([waitReady(url), failed]);
  };
  const end = async (signal: NodeJS.Signals) => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  };
  await options.prepare?.(cluster.dataDir);
  await start();
  if (options.migrated !== false) await migrate(url);
  return {
    get url() {
      return url;
    },
    dataDir: cluster.dataDir,
    kill: () => end("SIGKILL"),
    stop: () => end("SIGINT"),
    start,
    remove: async () => {
      await end("SIGINT");
      rmSync(base, { recursive: true, force: true });
      guarding.stdin?.end();
    },
  };
}
