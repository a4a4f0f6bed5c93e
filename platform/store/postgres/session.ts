/**
 * One connection to PostgreSQL. Statements are pipelined: sent at once, answered in order. It never reconnects by itself:
 * when it is lost every statement in flight fails with ConnectionLost, and so does every later one; a new session is
 * another transaction context, which the owner must know.
 */
import type { Duplex } from "node:stream";
import pg from "pg";
import { forgetPrimary, hostUrls, primaryUrl } from "#db/hosts.ts";

/** The connection ended; whatever was in flight may or may not have happened. */
export class ConnectionLost extends Error {
  constructor(cause: unknown) {
    super(`the connection to the database was lost: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.name = "ConnectionLost";
  }
}

export interface Statement {
  /** Prepared once per session under this name. */
  name?: string;
  text: string;
}

export type Row = Record<string, unknown>;

const INT8 = 20;
const JSONB = 3802;
/** Longer than any statement of ours; past it the connection counts as lost. */
const ANSWER_MS_MAX = 30_000;

const types = {
  getTypeParser: (oid: number, format?: "text" | "binary") => {
    if (oid === INT8) return Number;
    // Kept as text: the reader parses it once, or finds it already parsed (postgres/rows.ts).
    if (oid === JSONB) return (text: string) => text;
    return pg.types.getTypeParser(oid, format);
  },
};

/** SQLSTATE classes after which the session is useless: connection exceptions, and the server shutting down or starting. */
const isFatal = (code: string | undefined): boolean =>
  code !== undefined && (code.startsWith("08") || code === "57P01" || code === "57P02" || code === "57P03");

export const sqlStateOf = (error: unknown): string | undefined =>
  error instanceof pg.DatabaseError ? error.code : undefined;

/** read_only_sql_transaction: of several hosts this one takes no writes any more, so another does. */
const DEMOTED = "25006";

export class Session {
  readonly #client: pg.Client;
  readonly #databaseUrl: string;
  #lost: ConnectionLost | undefined;
  #onLost: (() => void)[] = [];
  #closing = false;
  #corked = false;

  private constructor(client: pg.Client, databaseUrl: string) {
    this.#client = client;
    this.#databaseUrl = databaseUrl;
    client.on("error", (error) => this.#lose(error));
    client.on("end", () => this.#lose("ended"));
  }

  /**
   * `settings` are session settings, such as { enable_seqscan: "off" }. Of several hosts in the URL, the one that takes writes.
   * Throws ConnectionLost.
   */
  static async open(databaseUrl: string, name: string, settings: Record<string, string> = {}): Promise<Session> {
    const connectionString = await primaryUrl(databaseUrl).catch((error: unknown) => {
      throw new ConnectionLost(error);
    });
    const client = new pg.Client({
      connectionString,
      application_name: `capstan-${name}`,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5_000,
      pipeline: true,
      types,
      options: Object.entries({ idle_in_transaction_session_timeout: "15s", ...settings })
        .map(([key, value]) => `-c ${key}=${value}`)
        .join(" "),
    });
    const session = new Session(client, databaseUrl);
    try {
      await client.connect();
    } catch (error) {
      session.destroy();
      throw new ConnectionLost(error);
    }
    return session;
  }

  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** Called once, when the connection is lost or closed; at once when it already is. */
  onLost(listener: () => void): void {
    if (this.#lost) listener();
    else this.#onLost.push(listener);
  }

  /** False when a pooler stands between: the process that answers is not the one that the connection was told of. */
  async isDirect(): Promise<boolean> {
    const [row] = await this.query<{ pid: number }>({ text: "SELECT pg_backend_pid() AS pid" });
    return row?.pid === (this.#client as unknown as { processID: number | null }).processID;
  }

  onNotification(listener: (payload: string) => void): void {
    this.#client.on("notification", (message) => listener(message.payload ?? ""));
  }

  /** Rejects with ConnectionLost, or with pg.DatabaseError whose code is an SQLSTATE. */
  async query<R = Row>(statement: Statement, values: unknown[] = []): Promise<R[]> {
    return (await this.run<R>(statement, values)).rows;
  }

  async run<R = Row>(statement: Statement, values: unknown[] = []): Promise<{ rows: R[]; command: string }> {
    if (this.#lost) throw this.#lost;
    this.#cork();
    const watchdog = setTimeout(() => this.#fail("no answer in time"), ANSWER_MS_MAX);
    try {
      const { rows, command } = await this.#client.query({ ...statement, values });
      return { rows: rows as R[], command };
    } catch (error) {
      const code = sqlStateOf(error);
      const demoted = code === DEMOTED && hostUrls(this.#databaseUrl).length > 1;
      if (code !== undefined && !isFatal(code) && !demoted) throw error;
      this.#fail(error);
      throw this.#lost ?? new ConnectionLost(error);
    } finally {
      clearTimeout(watchdog);
    }
  }

  /** Statements of the same turn leave in one piece: one system call here, one awakening there. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    const stream = this.#stream;
    stream.cork();
    process.nextTick(() => {
      this.#corked = false;
      stream.uncork();
    });
  }

  /** pg's own field, not in its types. */
  get #stream(): Duplex {
    return (this.#client as unknown as { connection: { stream: Duplex } }).connection.stream;
  }

  #fail(cause: unknown): void {
    this.#lose(cause);
    this.destroy();
  }

  #lose(cause: unknown): void {
    if (this.#lost) return;
    this.#lost = new ConnectionLost(cause);
    if (!this.#closing) forgetPrimary(this.#databaseUrl);
    for (const listener of this.#onLost.splice(0)) listener();
  }

  /** Closes without a farewell; statements in flight fail. */
  destroy(): void {
    this.#lose("closed");
    // end() alone would wait for answers that may never come.
    this.#stream.destroy();
  }

  async close(): Promise<void> {
    if (this.#lost) return;
    this.#closing = true;
    await this.#client.end().catch(() => undefined);
  }
}
