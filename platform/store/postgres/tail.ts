/**
 * The tail of the log (S6, S7): one LISTEN connection per process, outside any transaction. A notification is a hint to look;
 * a slow poll looks anyway, so a lost notification costs time and never an event.
 *
 * One look is four statements in this order, each with a snapshot of its own, and the order carries the proof:
 *   the counter    all up to it is committed, so
 *   the log        after it shows everything up to the counter's revision (and maybe more);
 *   the tenants    are at least as new as the log just read;
 *   the compaction read last: had a partition gone missing from what we read, its mark would be here.
 */
import { randomUUID } from "node:crypto";
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Follower, LogHandler, Position } from "../backing.ts";
import type { Change, NewDocument, Revision } from "../port.ts";
import type { TenantRecord } from "../tenants.ts";
import { raiseAfterCrash } from "./committer.ts";
import type { OwnCommits } from "./own.ts";
import { PageSize } from "./page.ts";
import { type ChangeRow, changeOf, knownChangeOf } from "./rows.ts";
import { Session } from "./session.ts";
import { CHANNEL, COUNTER_ROW, LOOKUPS } from "./statements.ts";

export interface TailOptions {
  databaseUrl: string;
  log: Log;
  partitionRevisions: number;
  /** How often to look without a hint, in milliseconds. */
  pollMs: number;
  /** Whether notifications arrive. */
  onListening(works: boolean): void;
  /** The end of the log was reached. */
  onCaughtUp(): void;
  /** Tests only: without LISTEN the poll must do. */
  listen: boolean;
  onTenants(records: TenantRecord[]): void;
  own: OwnCommits;
  /** The newest revision of this process's commit under way, which it will be told of. */
  expected(): Revision;
}

/** Without document, labels and fields where they were said to be known. */
type ToldRow = ChangeRow | (Omit<ChangeRow, "document" | "labels" | "fields"> & { document: null });

function changeIn(row: ToldRow, find: (revision: Revision) => NewDocument | undefined): Change {
  if (row.document !== null) return changeOf(row);
  const known = find(row.revision);
  if (known?.uid !== row.uid) throw new Error(`revision ${row.revision} is not what was committed here`);
  return knownChangeOf(row, known);
}

const LISTEN_TEST_MS = 5_000;
const LISTEN_AGAIN_MS = 500;

const COUNTER = { name: "tail_counter", text: `SELECT revision, epoch FROM counter WHERE ${COUNTER_ROW}` };
const COMPACTION = { name: "tail_compaction", text: "SELECT revision FROM compaction WHERE id = 1" };
/** $3, $4: ranges of revisions whose objects are known here. */
const LOG = {
  name: "tail_log",
  text: `SELECT tenant, resource, namespace, name, uid, revision, kind, labels_before, fields_before,
      CASE WHEN known THEN NULL ELSE document END AS document,
      CASE WHEN known THEN NULL ELSE labels END AS labels,
      CASE WHEN known THEN NULL ELSE fields END AS fields
    FROM (SELECT *, EXISTS (SELECT 1 FROM unnest($3::bigint[], $4::bigint[]) AS r (first, last)
        WHERE revision BETWEEN r.first AND r.last) AS known
      FROM change WHERE revision > $1 ORDER BY revision LIMIT $2) AS c
    ORDER BY revision`,
};
const TENANTS = {
  name: "tail_tenants",
  text: "SELECT id, name, revision, removed FROM tenant WHERE revision > $1 ORDER BY revision",
};

/** Besides what a follower's owner may ask of it. */
export interface OwnFollower extends Follower {
  /** What was committed here, with the counter's place after it: false where it has to be read from the log. */
  advance(changes: readonly Change[], upTo: Revision): boolean;
}

export function follow(from: Position, handler: LogHandler, options: TailOptions): OwnFollower {
  const tail = new Tail(from, handler, options);
  const done = tail.run();
  return {
    poke: (revision) => tail.poke(revision),
    advance: (changes, upTo) => tail.advance(changes, upTo),
    close: () => {
      tail.close();
      return done;
    },
  };
}

async function notify(databaseUrl: string, payload: string): Promise<void> {
  const session = await Session.open(databaseUrl, "listen-test");
  try {
    await session.query({ text: "SELECT pg_notify($1, $2)" }, [CHANNEL, payload]);
  } finally {
    await session.close();
  }
}

class Tail {
  readonly #handler: LogHandler;
  readonly #options: TailOptions;
  readonly #stop = new AbortController();
  readonly #epoch: number;
  readonly #page = new PageSize();
  /** A statement is under way. */
  #looking = false;
  /** What was committed here is being taken. */
  #advancing: Promise<void> | undefined;
  #at: Revision;
  #tenantsAt: Revision = 0;
  #session: Session | undefined;
  /** Set by hints without a revision; cleared before a look, so that a hint during the look leads to another one. */
  #hinted = true;
  /** The newest revision that a hint named: what a look has read already needs no other. */
  #hintedAt: Revision = 0;
  #wake: (() => void) | undefined;

  constructor(from: Position, handler: LogHandler, options: TailOptions) {
    this.#at = from.revision;
    this.#epoch = from.epoch;
    this.#handler = handler;
    this.#options = options;
  }

  poke(revision?: Revision): void {
    if (revision === undefined) this.#hinted = true;
    else this.#hintedAt = Math.max(this.#hintedAt, revision);
    if (this.#isHinted()) this.#wake?.();
  }

  /**
   * Everything up to the change before the first is read, and the committer saw the counter there: nobody's change can be between. So
   * where only this process writes, the log need not be asked.
   */
  advance(changes: readonly Change[], upTo: Revision): boolean {
    const first = changes[0]?.revision;
    if (this.#looking || this.#advancing || this.#stop.signal.aborted || first !== this.#at + 1) return false;
    const taken = this.#handler.changes(changes, upTo);
    if (!taken) this.#advanced(upTo);
    else
      this.#advancing = taken
        .then(
          () => this.#advanced(upTo),
          // Asked for again, from the log.
          () => this.poke(),
        )
        .then(() => {
          this.#advancing = undefined;
        });
    return true;
  }

  #advanced(upTo: Revision): void {
    this.#at = upTo;
    this.#options.onCaughtUp();
  }

  #isHinted(): boolean {
    return this.#hinted || this.#hintedAt > this.#at;
  }

  close(): void {
    this.#stop.abort();
    this.#wake?.();
  }

  async run(): Promise<void> {
    const { signal } = this.#stop;
    for (let backoffMs = 20; !signal.aborted; ) {
      try {
        const session = await this.#open();
        backoffMs = 20;
        while (!signal.aborted && (await this.#look(session))) await this.#nextHint();
        await session.close();
        return;
      } catch (error) {
        this.#session?.destroy();
        this.#options.log.warn("the tail of the log cannot be read", {
          error: messageOf(error),
          retryInMs: backoffMs,
        });
        await delay(backoffMs, signal);
        backoffMs = Math.min(backoffMs * 2, 1_000);
        this.#hinted = true;
      }
    }
  }

  async #open(): Promise<Session> {
    const session = await Session.open(this.#options.databaseUrl, "tail", LOOKUPS);
    this.#session = session;
    const heard = Promise.withResolvers<boolean>();
    const token = randomUUID();
    const direct = await session.isDirect();
    session.onNotification((payload) => {
      if (payload === token && (direct || !this.#looking)) heard.resolve(true);
      const revision = /^\d+$/.test(payload) ? Number(payload) : undefined;
      if (revision === undefined || revision > this.#options.expected()) this.poke(revision);
    });
    session.onLost(() => this.poke());
    await raiseAfterCrash(session, this.#options.partitionRevisions);
    // S7: from here on no change goes without a hint; the look that follows finds what came before.
    if (this.#options.listen) {
      await session.query({ text: `LISTEN ${CHANNEL}` });
      void this.#testListening(session, token, heard.promise);
    }
    return session;
  }

  /**
   * A pooler in transaction mode takes LISTEN and delivers nothing, except while a statement of ours happens to be under way: then only the
   * poll finds changes, and an operator should know. So the test's notifications come from another connection, and where
   * there is a pooler, only one that arrives between our statements counts.
   */
  async #testListening(session: Session, token: string, heard: Promise<boolean>): Promise<void> {
    const { signal } = this.#stop;
    const { databaseUrl } = this.#options;
    let works = false;
    let sent = false;
    for (const end = performance.now() + LISTEN_TEST_MS; !works && performance.now() < end; ) {
      sent = await notify(databaseUrl, token).then(
        () => true,
        () => sent,
      );
      works = await Promise.race([heard, delay(LISTEN_AGAIN_MS, signal).then(() => false)]);
      if (session.lost || signal.aborted) return;
    }
    // Without a free connection nothing was tried, and nothing is known.
    if (!sent) return;
    this.#options.onListening(works);
    if (!works)
      this.#options.log.warn(
        "notifications do not arrive: is there a pooler in transaction mode before the database?",
        {
          pollMs: this.#options.pollMs,
        },
      );
  }

  /** Reads to the end of the log. False: there is a gap, the handler was told, and nothing more may be read. */
  async #look(session: Session): Promise<boolean> {
    while (!this.#stop.signal.aborted) {
      await this.#advancing;
      this.#hinted = false;
      this.#looking = true;
      const asked = this.#page.rows;
      const own = this.#options.own.view();
      const [counters, rows, tenants, compactions] = await Promise.all([
        session.query<Position>(COUNTER),
        session.query<ToldRow>(LOG, [this.#at, asked, ...own.ranges]),
        session.query<TenantRecord>(TENANTS, [this.#tenantsAt]),
        session.query<{ revision: Revision }>(COMPACTION),
      ]);
      this.#looking = false;
      if (this.#stop.signal.aborted) return false;
      const [counter, compaction] = [counters[0], compactions[0]];
      if (!counter || !compaction) throw new Error("the database is damaged: counter or compaction has no row");
      if (counter.epoch !== this.#epoch || counter.revision < this.#at) return this.#gap("epoch");
      if (compaction.revision > this.#at) return this.#gap("compacted");
      this.#takeTenants(tenants);
      const last = rows.at(-1)?.revision ?? this.#at;
      const full = rows.length === asked;
      const upTo = full ? last : Math.max(last, counter.revision);
      // Awaited only where there is something to wait for: most logs are read without a pause.
      const changes = rows.map((row) => changeIn(row, own.find));
      const taken = upTo > this.#at ? this.#handler.changes(changes, upTo) : undefined;
      if (taken) await taken;
      this.#at = upTo;
      this.#options.own.read(upTo);
      this.#page.read(changes.map(({ object }) => object));
      if (full) continue;
      this.#options.onCaughtUp();
      if (!this.#isHinted()) return true;
    }
    return false;
  }

  #gap(why: "epoch" | "compacted"): false {
    this.#handler.gap(why);
    return false;
  }

  #takeTenants(tenants: TenantRecord[]): void {
    if (tenants.length === 0) return;
    this.#tenantsAt = tenants.at(-1)?.revision ?? this.#tenantsAt;
    this.#options.onTenants(tenants);
  }

  /** Resolves at the next hint, after the poll's time, or when closed. */
  async #nextHint(): Promise<void> {
    if (this.#isHinted() || this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#options.pollMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
