/** PostgresStore: the truth under the watch cache. The only SQL outside db/ is in this folder. */
import type { Clock } from "#platform/base/clock.ts";
import type { Metric } from "#platform/base/exposition.ts";
import type { Log } from "#platform/base/log.ts";
import type { Backing, Follower, LogHandler, Position, Recent, RecentLimits, Snapshot } from "../backing.ts";
import type { Key, Revision, StoredObject, Write, WriteResult } from "../port.ts";
import { Committer } from "./committer.ts";
import type { Accepted } from "./decide.ts";
import { type Condition, maintain } from "./maintenance.ts";
import { postgresMetrics } from "./metrics.ts";
import { revisionBefore } from "./moments.ts";
import { OwnCommits } from "./own.ts";
import { dropPartitions, PARTITION_REVISIONS } from "./partitions.ts";
import { Reader } from "./reader.ts";
import { committedChange } from "./rows.ts";
import { Session } from "./session.ts";
import { follow, type OwnFollower } from "./tail.ts";
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

/** The tail polls each second: silent for longer than this it is stuck or the database is gone. */
const SILENT_MS_MAX = 10_000;

export class PostgresStore implements Backing {
  readonly tenants: PostgresTenants;
  readonly #options: Required<PostgresStoreOptions>;
  readonly #committer: Committer;
  readonly #reader: Reader;
  readonly #own = new OwnCommits();
  readonly #followers = new Set<OwnFollower>();
  readonly #stop = new AbortController();
  readonly #maintenance: Promise<void>;
  #condition: Condition | undefined;
  #listening: boolean | undefined;
  /** The newest revision that this process heard of, and the place of its tail. */
  #known: Revision = 0;
  #read: Revision = 0;
  /** By the monotonic clock, when the tail was last at the end of the log. */
  #caughtUpAt = performance.now();

  constructor(options: PostgresStoreOptions) {
    this.#options = {
      partitionRevisions: PARTITION_REVISIONS,
      retentionMs: 10 * 60_000,
      partitionsMax: 40,
      pollMs: 1_000,
      listen: true,
      ...options,
    };
    const { databaseUrl, log } = this.#options;
    this.#reader = new Reader(databaseUrl, log);
    this.#committer = new Committer({
      ...this.#options,
      onCommit: (accepted, newest) => this.#heard(accepted, newest),
      onFailure: () => this.#poke(),
    });
    this.tenants = new PostgresTenants({ databaseUrl, log, onWrite: () => this.#poke() });
    this.#maintenance = maintain(
      this.#options,
      (condition) => {
        this.#condition = condition;
      },
      this.#stop.signal,
    );
  }

  async write(write: Write): Promise<WriteResult> {
    return this.#committer.write(write);
  }

  async position(): Promise<Position> {
    const position = await this.#reader.position();
    this.#known = Math.max(this.#known, position.revision);
    return position;
  }

  /** Straight from the table. */
  get(key: Key): Promise<StoredObject | undefined> {
    return this.#reader.get(key);
  }

  snapshot(signal: AbortSignal): Promise<Snapshot> {
    return this.#reader.snapshot(signal);
  }

  recent(upTo: Revision, limits: RecentLimits): Promise<Recent> {
    return this.#reader.recent(upTo, limits);
  }

  /** All revisions up to this one are older than `ageMs`; 0 when none is known to be. */
  async revisionBefore(ageMs: number): Promise<Revision> {
    const session = await Session.open(this.#options.databaseUrl, "age");
    try {
      return await revisionBefore(session, ageMs);
    } finally {
      await session.close();
    }
  }

  /** The database in words, when it cannot be written to; undefined when nothing is known against it. */
  trouble(): string | undefined {
    if (this.#condition?.readOnly) return "the database is read-only";
    const silentMs = performance.now() - this.#caughtUpAt;
    if (silentMs > SILENT_MS_MAX)
      return `the log of the database was not read to its end for ${Math.round(silentMs / 1000)} s`;
    return undefined;
  }

  metrics(): Metric[] {
    return postgresMetrics({
      meter: this.#committer.meter,
      waiting: this.#committer.waiting,
      notificationQueue: this.#condition?.notificationQueue,
      listening: this.#listening,
      lagRevisions: Math.max(0, this.#known - this.#read),
      lagSeconds: (performance.now() - this.#caughtUpAt) / 1_000,
    });
  }

  follow(from: Position, handler: LogHandler): Follower {
    const reading: LogHandler = {
      changes: (changes, upTo) => {
        this.#read = upTo;
        return handler.changes(changes, upTo);
      },
      gap: (why) => handler.gap(why),
    };
    this.#read = from.revision;
    this.#caughtUpAt = performance.now();
    this.#own.clear();
    const tail = follow(from, reading, {
      ...this.#options,
      own: this.#own,
      expected: () => this.#committer.expected,
      onTenants: (records) => this.tenants.take(records),
      onListening: (works) => {
        this.#listening = works;
      },
      onCaughtUp: () => {
        this.#caughtUpAt = performance.now();
      },
    });
    const follower: OwnFollower = {
      ...tail,
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

  #heard(accepted: readonly Accepted[], newest: Revision): void {
    this.#known = Math.max(this.#known, newest);
    if (this.#followers.size === 0) return;
    const changes = accepted.map(committedChange);
    let kept = false;
    for (const follower of this.#followers) {
      if (follower.advance(changes, newest)) continue;
      if (!kept) this.#own.add(accepted);
      kept = true;
      follower.poke(newest);
    }
  }

  #poke(revision?: Revision): void {
    for (const follower of this.#followers) follower.poke(revision);
  }
}
