/**
 * The committer: one per process (S2). It gathers the writes that are waiting into one transaction, of two flights (flights.ts):
 *
 *   flight 1  BEGIN · lock the counter and take revisions (S1, S12) · read the rows and ledgers concerned
 *   decide    in order, in memory (decide.ts): nothing read can change before COMMIT, since every writer holds the counter
 *   flight 2  apply, restating each condition (S3) · ledgers · log · one NOTIFY · COMMIT
 *
 * Where nobody else has written since what the writers' cache holds, nothing needs to be read: the batch is decided beforehand, and one
 * statement commits it if the counter still is where it was (known.ts).
 *
 * While one batch is in flight the next one gathers; a write alone leaves at once.
 *
 *   what went wrong                  what becomes of the batch
 *   connection lost in flight 1      nothing was committed: again, on the next connection
 *   connection lost in flight 2      in doubt: resolved by the log (resolveDoubt), never guessed
 *   serialization, lock timeout      again, three times, then 503
 *   no partition for the revision    partitions are made, then again
 *   any other error of a statement   halves, until the culprit is alone and gets the error
 */
import type { Clock } from "#platform/base/clock.ts";
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { internal, timeout, tooManyRequests, unavailable } from "#sdk/api/status.ts";
import type { Revision, Write, WriteResult } from "../port.ts";
import { type Accepted, type Decision, keyText } from "./decide.ts";
import { type Mark, type Transaction, wasCommitted } from "./doubt.ts";
import { isCulprit, MAY_PASS, NO_PARTITION, translate } from "./errors.ts";
import { transact, transactKnown } from "./flights.ts";
import { Known } from "./known.ts";
import { CommitMeter } from "./meter.ts";
import { ensurePartitions } from "./partitions.ts";
import { type Pending, takeBatch } from "./queue.ts";
import { ConnectionLost, Session, sqlStateOf } from "./session.ts";
import * as sql from "./statements.ts";

/** S11: more waiting writes than this are refused with 429. */
const QUEUE_MAX = 20_000;
/** A write that the database could not take for this long is refused with 503. */
const WAIT_MS_MAX = 15_000;
const SWEEP_MS = 1_000;
const ATTEMPTS_MAX = 3;

export interface CommitterOptions {
  databaseUrl: string;
  log: Log;
  clock: Clock;
  /** Revisions in a partition of the log. */
  partitionRevisions: number;
  /** After each commit: what was written, in the order of revisions, which follow each other; and where the counter is now. */
  onCommit(accepted: readonly Accepted[], newest: Revision): void;
  /** After a commit that may or may not have happened, or did not. */
  onFailure(): void;
}

interface Doubt {
  batch: Pending[];
  decision: Decision;
  newest: Revision;
  transaction: Transaction | Mark;
}

export class Committer {
  readonly #options: CommitterOptions;
  readonly #queue: Pending[] = [];
  readonly #stop = new AbortController();
  readonly meter = new CommitMeter();
  readonly #known = new Known();
  #expected: Revision = 0;
  #session: Session | undefined;
  #pumping: Promise<void> | undefined;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  write(write: Write): Promise<WriteResult> {
    checkWrite(write);
    if (this.#stop.signal.aborted) throw unavailable("the store is closed");
    if (this.#queue.length >= QUEUE_MAX) throw tooManyRequests("too many writes are waiting for the database", 1);
    return new Promise((resolve, reject) => {
      this.#queue.push({ write, since: this.#options.clock.now(), attempts: 0, resolve, reject });
      this.#pumping ??= this.#pump();
    });
  }

  /** The newest revision of the commit that is under way: whoever hears of it elsewhere will hear of it here at once. */
  get expected(): Revision {
    return this.#expected;
  }

  /** Writes that wait for their batch. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Finishes what is in flight and refuses what waits. */
  async close(): Promise<void> {
    this.#stop.abort();
    for (const pending of this.#queue.splice(0)) pending.reject(unavailable("the store is closing"));
    await this.#pumping;
    await this.#session?.close();
  }

  async #pump(): Promise<void> {
    // The writes of the same turn of the event loop go together.
    await new Promise((resolve) => setImmediate(resolve));
    // What waits behind a batch that the database holds up is refused in time too: it has not been sent.
    const sweep = setInterval(() => this.#refuseTheOld(), SWEEP_MS);
    while (this.#queue.length > 0) {
      const session = await this.#connected();
      if (!session) continue;
      const { batch, relaxed } = takeBatch(this.#queue);
      const started = performance.now();
      await this.#commit(session, batch, relaxed);
      this.meter.batch(batch.length, (performance.now() - started) / 1_000);
    }
    clearInterval(sweep);
    // In the same turn as the last look at the queue: a write that comes now starts a new pump.
    this.#pumping = undefined;
  }

  /** The session, opened when there is none; undefined after a failed attempt and its back-off. */
  async #connected(): Promise<Session | undefined> {
    if (this.#session && !this.#session.lost) return this.#session;
    const { databaseUrl, log, partitionRevisions } = this.#options;
    for (let backoffMs = 20; !this.#stop.signal.aborted && this.#queue.length > 0; ) {
      try {
        const session = await Session.open(databaseUrl, "committer", sql.COMMITTER_SETTINGS);
        this.#session = session;
        this.#known.forget();
        this.#known.system = (await session.query<{ system: string }>(sql.SYSTEM))[0]?.system ?? "";
        await raiseAfterCrash(session, partitionRevisions);
        return session;
      } catch (error) {
        this.#session?.destroy();
        log.warn("the committer cannot reach the database", { error: messageOf(error), retryInMs: backoffMs });
        this.#refuseTheOld();
        await delay(backoffMs, this.#stop.signal);
        backoffMs = Math.min(backoffMs * 2, 1_000);
      }
    }
    return undefined;
  }

  #refuseTheOld(): void {
    const limit = this.#options.clock.now() - WAIT_MS_MAX;
    while (this.#queue[0] && this.#queue[0].since < limit)
      this.#queue.shift()?.reject(unavailable("the database is not reachable; nothing was written"));
  }

  async #commit(session: Session, batch: Pending[], relaxed: boolean): Promise<void> {
    const doubt: { current?: Doubt } = {};
    const decided = (decision: Decision, newest: Revision, transaction: Transaction | Mark) => {
      doubt.current = { batch, decision, newest, transaction };
      this.#expected = newest;
    };
    try {
      const known = await transactKnown(session, batch, relaxed, this.#known, decided);
      // Sent and not taken: somebody else wrote, and notifications of it may have been taken for ours.
      if (!known && doubt.current) {
        doubt.current = undefined;
        this.#expected = 0;
        this.#options.onFailure();
      }
      const decision = known ?? (await transact(session, batch, relaxed, this.#known, decided));
      this.meter.commit(known !== undefined);
      this.#settle(batch, decision, doubt.current?.newest);
    } catch (error) {
      this.#expected = 0;
      this.#known.forget();
      this.#options.onFailure();
      if (error instanceof ConnectionLost) {
        if (doubt.current) await this.#resolveDoubt(doubt.current);
        else this.#again(batch);
        return;
      }
      await session.query({ text: "ROLLBACK" }).catch(() => undefined);
      await this.#recover(session, batch, relaxed, error);
    }
  }

  /** `newest` is unset where nothing was written. */
  #settle(batch: Pending[], decision: Decision, newest: Revision | undefined): void {
    this.#expected = 0;
    if (newest !== undefined) this.#options.onCommit(decision.accepted, newest);
    decision.results.forEach((result, i) => {
      batch[i]?.resolve(result);
    });
  }

  /** Back to the front of the queue, in their order; the stopped committer refuses them. */
  #again(batch: Pending[]): void {
    if (!this.#stop.signal.aborted) this.#queue.unshift(...batch);
    else for (const pending of batch) pending.reject(unavailable("the store is closing; nothing was written"));
  }

  async #recover(session: Session, batch: Pending[], relaxed: boolean, error: unknown): Promise<void> {
    const state = sqlStateOf(error);
    const { log, partitionRevisions } = this.#options;
    const retry = state !== undefined && (MAY_PASS.has(state) || state === NO_PARTITION);
    if (retry && batch.every((pending) => pending.attempts < ATTEMPTS_MAX)) {
      for (const pending of batch) pending.attempts++;
      log.warn("a batch is tried again", { error: messageOf(error), sqlState: state, writes: batch.length });
      // A jump of the counter that failed with the batch is made first: the partitions are made where it leads.
      if (state === NO_PARTITION) await raiseAfterCrash(session, partitionRevisions).catch(() => undefined);
      this.#again(batch);
      return;
    }
    if (state !== undefined && !isCulprit(state)) {
      log.error("the database does not take writes", {
        error: messageOf(error),
        sqlState: state,
        writes: batch.length,
      });
      for (const pending of batch) pending.reject(translate(error));
      return;
    }
    if (batch.length > 1) {
      const middle = batch.length >> 1;
      await this.#commit(session, batch.slice(0, middle), relaxed);
      await this.#commit(session, batch.slice(middle), relaxed);
      return;
    }
    log.error("a write failed", { error: messageOf(error), sqlState: state });
    batch[0]?.reject(translate(error));
  }

  /**
   * COMMIT was sent and not answered. The transaction held the counter: once we hold it, it is over, one way or the other,
   * and the log (or, where it left no row there, the transaction's status) tells which. What cannot be told any more is answered 504.
   */
  async #resolveDoubt(doubt: Doubt): Promise<void> {
    this.meter.doubts++;
    const unknown = () => timeout("the database was lost during the commit; whether the write was applied is unknown");
    const end = this.#options.clock.now() + WAIT_MS_MAX;
    for (let backoffMs = 20; ; backoffMs = Math.min(backoffMs * 2, 1_000)) {
      try {
        const committed = await wasCommitted(
          this.#options.databaseUrl,
          doubt.decision.accepted[0]?.revision,
          doubt.transaction,
        );
        if (committed === true) return this.#settle(doubt.batch, doubt.decision, doubt.newest);
        if (committed === false) return this.#again(doubt.batch);
        break;
      } catch (error) {
        this.#options.log.warn("a commit is in doubt and the database not reachable", { error: messageOf(error) });
        if (this.#options.clock.now() > end || this.#stop.signal.aborted) break;
        await delay(backoffMs, this.#stop.signal);
      }
    }
    for (const pending of doubt.batch) pending.reject(unknown());
  }
}

/** An empty transaction on every new connection: after a crash the counter jumps before anybody reads it (S12). */
export async function raiseAfterCrash(session: Session, partitionRevisions: number): Promise<void> {
  await session.query(sql.TAKE_REVISIONS, [0]);
  await ensurePartitions(session, partitionRevisions);
}

function checkWrite(write: Write): void {
  const keys = new Set(write.operations.map((operation) => keyText(operation.key)));
  if (keys.size !== write.operations.length) throw internal("a write names the same object twice");
}
