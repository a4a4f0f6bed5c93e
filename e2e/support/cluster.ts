/** API servers alone, each a process of its own, over one PostgreSQL: no controllers, scheduler or nodes. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import pg from "pg";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { delay } from "#platform/base/clock.ts";
import { type Config, paths } from "#platform/main/config.ts";
import { ensurePki } from "#platform/main/pki.ts";
import { installPlugins } from "#platform/main/plugin-users.ts";
import { nodeOptions } from "#platform/main/specs.ts";
import { plainConfig } from "#platform/main/testing/config.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { HttpClient } from "./http.ts";

const cli = resolve(import.meta.dirname, "../../platform/main/cli.ts");
const components = resolve(import.meta.dirname, "../../plugins/dist");

export interface ClusterOptions {
  servers: number;
  engine: Config["engine"];
  /** The database has the settings that a user's has, and the first-party plugins are installed: for measuring. */
  asInstalled?: boolean;
}

export class RoleProcess {
  readonly dataDir: string;
  readonly #role: string;
  readonly #log: string;
  /** Bytes of the log from before. */
  #logged = 0;
  #child: ChildProcess | undefined;

  constructor(role: string, dataDir: string) {
    this.#role = role;
    this.dataDir = dataDir;
    this.#log = join(dataDir, `${role}.log`);
  }

  start(): void {
    const log = openSync(this.#log, "a");
    this.#logged = statSync(this.#log).size;
    const args = [...nodeOptions(this.#role), cli, "role", this.#role, "--data-dir", this.dataDir];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", log, log] });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
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

  /** Whether its log has this text since it was started last. */
  said(text: string): boolean {
    return readFileSync(this.#log, "utf8").slice(this.#logged).includes(text);
  }

  get lastWords(): string {
    return readFileSync(this.#log, "utf8").split("\n").slice(-8).join("\n");
  }
}

export class Server extends RoleProcess {
  readonly url: string;

  constructor(url: string, dataDir: string) {
    super("apiserver", dataDir);
    this.url = url;
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

  static async start(options: ClusterOptions): Promise<Cluster> {
    const { engine, asInstalled = false } = options;
    const db = await withTestDatabase({ durable: asInstalled });
    const base = mkdtempSync(join(tmpdir(), "capstan-cluster-"));
    const configs: Config[] = [];
    for (let i = 0; i < options.servers; i++) {
      const config: Config = { ...(await plainConfig(join(base, String(i)), db.url)), engine };
      const where = paths(config.dataDir);
      mkdirSync(where.run, { recursive: true });
      if (asInstalled) cpSync(components, where.components, { recursive: true });
      else mkdirSync(where.components, { recursive: true });
      // One authority and one token key for all.
      if (configs[0]) cpSync(paths(configs[0].dataDir).pki, where.pki, { recursive: true });
      await ensurePki(config);
      writeFileSync(where.config, JSON.stringify(config));
      configs.push(config);
    }
    const servers = configs.map(({ api, dataDir }) => new Server(`https://127.0.0.1:${api.port}`, dataDir));
    const [first] = configs;
    if (!first) throw new Error("a cluster has one API server at least");
    const { ca, cert, key } = loadKubeconfig(paths(first.dataDir).roleKubeconfig("admin"));
    if (!ca || !cert || !key) throw new Error("the admin's kubeconfig has no certificate");
    const cluster = new Cluster(db, servers, new HttpClient({ ca, cert, key }), base);
    try {
      for (const server of servers) {
        server.start();
        await cluster.served(server);
      }
      if (asInstalled) await installPlugins(first);
    } catch (error) {
      await cluster.remove();
      throw error;
    }
    return cluster;
  }

  /** PEM files of the admin, for programs that want files. */
  get credentialFiles(): { cert: string; key: string } {
    const { pki } = paths(join(this.#base, "0"));
    return { cert: join(pki, "admin-client.crt"), key: join(pki, "admin-client.key") };
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
