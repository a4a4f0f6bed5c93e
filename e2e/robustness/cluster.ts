/** Two API servers, each a process, over one PostgreSQL; and the ways in which they are hurt. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import pg from "pg";
import { freePort, type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { delay } from "#platform/base/clock.ts";
import { type Config, paths } from "#platform/main/config.ts";
import { ensurePki } from "#platform/main/pki.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { type Credentials, HttpClient } from "./http.ts";

const cli = resolve(import.meta.dirname, "../../platform/main/cli.ts");

export class Server {
  readonly url: string;
  readonly #dataDir: string;
  #child: ChildProcess | undefined;

  constructor(url: string, dataDir: string) {
    this.url = url;
    this.#dataDir = dataDir;
  }

  start(): void {
    const log = openSync(join(this.#dataDir, "apiserver.log"), "a");
    const args = ["--disable-warning=ExperimentalWarning", cli, "role", "apiserver", "--data-dir", this.#dataDir];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", log, log] });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }

  get lastWords(): string {
    return readFileSync(join(this.#dataDir, "apiserver.log"), "utf8").split("\n").slice(-8).join("\n");
  }
}

export class Cluster {
  readonly db: TestDatabase;
  readonly servers: readonly Server[];
  readonly client: HttpClient;
  readonly #base: string;

  private constructor(db: TestDatabase, servers: readonly Server[], client: HttpClient, base: string) {
    this.db = db;
    this.servers = servers;
    this.client = client;
    this.#base = base;
  }

  static async start(): Promise<Cluster> {
    const db = await withTestDatabase();
    const base = mkdtempSync(join(tmpdir(), "capstan-robust-"));
    const servers: Server[] = [];
    let credentials: Credentials | undefined;
    for (const name of ["a", "b"]) {
      const config = await configOf(join(base, name), db.url);
      const { pki, run, components } = paths(config.dataDir);
      for (const dir of [run, components]) mkdirSync(dir, { recursive: true });
      // One authority and one token key for both.
      if (name !== "a") cpSync(paths(join(base, "a")).pki, pki, { recursive: true });
      await ensurePki(config);
      writeFileSync(paths(config.dataDir).config, JSON.stringify(config));
      const { ca, cert, key } = loadKubeconfig(paths(config.dataDir).roleKubeconfig("admin"));
      if (!ca || !cert || !key) throw new Error("the admin's kubeconfig has no certificate");
      credentials = { ca, cert, key };
      servers.push(new Server(`https://127.0.0.1:${config.api.port}`, config.dataDir));
    }
    if (!credentials) throw new Error("no servers");
    const cluster = new Cluster(db, servers, new HttpClient(credentials), base);
    try {
      for (const server of servers) {
        server.start();
        await cluster.served(server);
      }
    } catch (error) {
      await cluster.remove();
      throw error;
    }
    return cluster;
  }

  async served(server: Server, timeoutMs = 120_000): Promise<void> {
    for (const end = Date.now() + timeoutMs; ; await delay(100)) {
      const ready = await this.client.send("GET", `${server.url}/api/v1/namespaces/default`).catch(() => undefined);
      if (ready?.code === 200) return;
      if (Date.now() > end) throw new Error(`an API server does not serve:\n${server.lastWords}`);
    }
  }

  async sql<R extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<R[]> {
    const client = new pg.Client({ connectionString: this.db.url, application_name: "robustness" });
    client.on("error", () => undefined);
    await client.connect();
    try {
      return (await client.query<R>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  async remove(): Promise<void> {
    this.client.close();
    for (const server of this.servers) {
      server.signal("SIGCONT");
      await server.end("SIGKILL");
    }
    await this.db.remove();
    rmSync(this.#base, { recursive: true, force: true });
  }
}

async function configOf(dataDir: string, databaseUrl: string): Promise<Config> {
  mkdirSync(dataDir, { recursive: true });
  return {
    dataDir,
    instance: "000000",
    api: { host: "127.0.0.1", port: await freePort() },
    console: { host: "127.0.0.1", port: 0 },
    databaseUrl,
    serviceCIDR: "10.96.0.0/24",
    podCIDR: "10.244.0.0/16",
    dns: { domain: "cluster.local", address: "10.96.0.10" },
    engine: "jco",
    nodes: [],
  };
}
