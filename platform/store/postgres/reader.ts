/** Everything that reads besides the tail: where the database is (S8), snapshots for caches, single objects, lists. */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { unavailable } from "#sdk/api/status.ts";
import type { Position, Recent, RecentLimits, Snapshot } from "../backing.ts";
import type { Key, Revision, StoredObject } from "../port.ts";
import { PageSize } from "./page.ts";
import { readRecent } from "./recent.ts";
import { OBJECT_COLUMNS, type ObjectRow, objectOf } from "./rows.ts";
import { ConnectionLost, Session } from "./session.ts";
import { COUNTER_ROW, LOOKUPS } from "./statements.ts";

const POSITION = { name: "position", text: `SELECT revision, epoch FROM counter WHERE ${COUNTER_ROW}` };

export class Reader {
  readonly #databaseUrl: string;
  readonly #log: Log;
  #session: Promise<Session> | undefined;
  /** The question that has not been sent yet: whoever arrives now shares it. */
  #next: Promise<Position> | undefined;
  #asking: Promise<unknown> = Promise.resolve();

  constructor(databaseUrl: string, log: Log) {
    this.#databaseUrl = databaseUrl;
    this.#log = log;
  }

  /** S8: the question is sent after the call; one question answers all who ask while another is under way. */
  position(): Promise<Position> {
    this.#next ??= this.#asking.then(async () => {
      this.#next = undefined;
      const answer = this.#query((session) => session.query<Position>(POSITION));
      this.#asking = answer.catch(() => undefined);
      const position = (await answer)[0];
      if (!position) throw unavailable("the database is damaged: counter has no row");
      return position;
    });
    return this.#next;
  }

  async get(key: Key): Promise<StoredObject | undefined> {
    const text = `SELECT ${OBJECT_COLUMNS} FROM object WHERE tenant = $1 AND resource = $2 AND namespace = $3 AND name = $4`;
    const values = [key.tenant, key.resource, key.namespace, key.name];
    const rows = await this.#query((session) => session.query<ObjectRow>({ name: "get", text }, values));
    return rows[0] && objectOf(rows[0]);
  }

  /** All objects at one revision, through a cursor in a transaction of its own connection. */
  async snapshot(signal: AbortSignal): Promise<Snapshot> {
    for (let backoffMs = 20; ; backoffMs = Math.min(backoffMs * 2, 1_000)) {
      signal.throwIfAborted();
      let session: Session | undefined;
      try {
        session = await Session.open(this.#databaseUrl, "snapshot", { cursor_tuple_fraction: "1.0" });
        await session.query({ text: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" });
        const [position] = await session.query<Position>(POSITION);
        if (!position) throw new Error("the database is damaged: counter has no row");
        return { position, objects: pages(session) };
      } catch (error) {
        session?.destroy();
        this.#log.warn("the store cannot be loaded yet", { error: messageOf(error), retryInMs: backoffMs });
        await delay(backoffMs, signal);
      }
    }
  }

  /** On a connection of its own: it may read much, and nobody's question should wait behind it. */
  async recent(upTo: Revision, limits: RecentLimits): Promise<Recent> {
    const session = await Session.open(this.#databaseUrl, "recent");
    try {
      return await readRecent(session, upTo, limits);
    } finally {
      await session.close();
    }
  }

  /** A lost connection is replaced once; reading twice does no harm. */
  async #query<T>(ask: (session: Session) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const session = this.#open();
      try {
        return await ask(await session);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        // Another's question may have replaced it already.
        if (this.#session === session) this.#session = undefined;
        if (attempt === 2) throw unavailable("the database is not reachable");
      }
    }
  }

  #open(): Promise<Session> {
    this.#session ??= Session.open(this.#databaseUrl, "reader", LOOKUPS);
    return this.#session;
  }

  async close(): Promise<void> {
    const session = await this.#session?.catch(() => undefined);
    await session?.close();
  }
}

async function* pages(session: Session): AsyncIterable<readonly StoredObject[]> {
  try {
    await session.query({
      text: `DECLARE everything NO SCROLL CURSOR FOR SELECT ${OBJECT_COLUMNS} FROM object
        ORDER BY tenant, resource, namespace, name`,
    });
    for (const page = new PageSize(); ; ) {
      const asked = page.rows;
      const rows = await session.query<ObjectRow>({ text: `FETCH ${asked} FROM everything` });
      if (rows.length > 0) yield rows.map(objectOf);
      if (rows.length < asked) return;
      page.read(rows);
    }
  } finally {
    await session.close();
  }
}
