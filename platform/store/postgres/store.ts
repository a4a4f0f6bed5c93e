/** PostgresStore: the truth under the watch cache. The only SQL outside db/ is in this folder. */
import { type Clock, delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Backing, Follower, LogHandler, Position, Snapshot } from "../backing.ts";
import type { Key, Revision, StoredObject, Write, WriteResult } from "../port.ts";
import { Committer } from "./committer.ts";
import { dropPartitions, ensurePartitions, excess } from "./partitions.ts";
import { Reader } from "./reader.ts";
import { Session } from "./session.ts";
import { follow } from "./tail.ts";
import { PostgresTenants } from "./tenants.ts";

export interface PostgresStoreOptions {
  databaseUrl: string;
  log: Log;
  clock: Clock;
  /** Revisions in a partition of the log; all processes of a database use the same. */
  partitionRevisions?: number;
  /** How long changes stay in the log, in milliseconds. */
  retentionMs?: number;
  /** At most this many used partitions, however young. */
  partitionsMax?: number;
  pollMs?: number;
  /** Tests only: false follows the log by polling alone. */
  listen?: boolean;
}

const MAINTENANCE_MS = 10_000;

export class PostgresStore implements Backing {
  readonly tenants: PostgresTenants;
  readonly #options: Required<PostgresStoreOptions>;
  readonly #committer: Committer;
  readonly #reader: Reader;
  readonly #followers = new Set<Follower>();
  readonly #stop = new AbortController();
  readonly #maintenance: Promise<void>;

  constructor(options: PostgresStoreOptions) {
    this.#options = {
      partitionRevisions: 50_000,
      retentionMs: 10 * 60_000,
      partitionsMax: 100,
      pollMs: 1_000,
      listen: true,
      ...options,
    };
    const { databaseUrl, log } = this.#options;
    this.#reader = new Reader(databaseUrl, log);
    this.#committer = new Committer({ ...this.#options, onCommit: () => this.#poke() });
    this.tenants = new PostgresTenants({ databaseUrl, log, onWrite: () => this.#poke() });
    this.#maintenance = this.#maintain();
  }

  async write(write: Write): Promise<WriteResult> {
    return this.#committer.write(write);
  }

  position(): Promise<Position> {
    return this.#reader.position();
  }

  /** Straight from the table. */
  get(key: Key): Promise<StoredObject | undefined> {
    return this.#reader.get(key);
  }

  snapshot(signal: AbortSignal): Promise<Snapshot> {
    return this.#reader.snapshot(signal);
  }

  follow(from: Position, handler: LogHandler): Follower {
    const tail = follow(from, handler, { ...this.#options, onTenants: (records) => this.tenants.take(records) });
    const follower: Follower = {
      poke: () => tail.poke(),
      close: () => {
        this.#followers.delete(follower);
        return tail.close();
      },
    };
    this.#followers.add(follower);
    return follower;
  }

  /** Drops what is older than `upTo` from the log, whole partitions only. */
  async compact(upTo: Revision): Promise<Revision> {
    const session = await Session.open(this.#options.databaseUrl, "compaction");
    try {
      return await dropPartitions(session, upTo);
    } finally {
      await session.close();
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#followers].map((follower) => follower.close()));
    await Promise.all([this.#committer.close(), this.#reader.close(), this.#maintenance]);
  }

  #poke(): void {
    for (const follower of this.#followers) follower.poke();
  }

  /** Keeps partitions ahead of the counter and drops the old ones. Any number of processes may do it at once. */
  async #maintain(): Promise<void> {
    const { clock, log, retentionMs, partitionsMax, partitionRevisions, databaseUrl } = this.#options;
    /** Where the log was, and when: an entry older than the retention says what may go. */
    const marks: { at: number; revision: Revision }[] = [];
    while (!this.#stop.signal.aborted) {
      let session: Session | undefined;
      try {
        session = await Session.open(databaseUrl, "maintenance");
        await ensurePartitions(session, partitionRevisions);
        const [now] = await session.query<{ revision: Revision }>({
          text: "SELECT revision FROM counter WHERE id = 1",
        });
        marks.push({ at: clock.now(), revision: now?.revision ?? 0 });
        while (marks[1] && marks[1].at <= clock.now() - retentionMs) marks.shift();
        const first = marks[0];
        const old = first && first.at <= clock.now() - retentionMs ? first.revision : 0;
        const upTo = Math.max(old, await excess(session, partitionsMax));
        if (upTo > 0) await dropPartitions(session, upTo);
      } catch (error) {
        log.warn("the log's partitions could not be tended; trying again", { error: messageOf(error) });
      } finally {
        await session?.close();
      }
      await delay(MAINTENANCE_MS, this.#stop.signal);
    }
  }
}
