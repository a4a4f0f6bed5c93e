/**
 * The committer: one per process (S2). It gathers the writes that are waiting into one transaction, of two flights:
 *
 *   flight 1  BEGIN · lock the counter and take revisions (S1, S12) · read the rows and ledgers concerned
 *   decide    in order, in memory (decide.ts): nothing read can change before COMMIT, since every writer holds the counter
 *   flight 2  apply, restating each condition (S3) · ledgers · log · one NOTIFY · COMMIT
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
import type { Key, StoredObject, Write, WriteResult } from "../port.ts";
import { bigints, booleans, smallints, texts } from "./arrays.ts";
import { type Accepted, type Decision, decide, keyText, type LedgerState, ledgerText, type State } from "./decide.ts";
import { type Transaction, wasCommitted } from "./doubt.ts";
import { isCulprit, MAY_PASS, NO_PARTITION, translate } from "./errors.ts";
import { CommitMeter } from "./meter.ts";
import { ensurePartitions } from "./partitions.ts";
import { type Pending, takeBatch } from "./queue.ts";
import { type ObjectRow, objectOf } from "./rows.ts";
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
  /** After each commit that wrote objects: what, in the order of revisions, which follow each other. */
  onCommit(accepted: readonly Accepted[]): void;
}

interface Doubt {
  batch: Pending[];
  decision: Decision;
  transaction: Transaction;
}

export class Committer {
  readonly #options: CommitterOptions;
  readonly #queue: Pending[] = [];
  readonly #stop = new AbortController();
  readonly meter = new CommitMeter();
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
    try {
      const decision = await transact(session, batch, relaxed, (decided, transaction) => {
        doubt.current = { batch, decision: decided, transaction };
      });
      this.#settle(batch, decision);
    } catch (error) {
      if (error instanceof ConnectionLost) {
        if (doubt.current) await this.#resolveDoubt(doubt.current);
        else this.#again(batch);
        return;
      }
      await session.query({ text: "ROLLBACK" }).catch(() => undefined);
      await this.#recover(session, batch, relaxed, error);
    }
  }

  #settle(batch: Pending[], decision: Decision): void {
    if (decision.accepted.length > 0) this.#options.onCommit(decision.accepted);
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
        if (committed === true) return this.#settle(doubt.batch, doubt.decision);
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

/** Runs one batch. `decided` is called right before the flight that ends with COMMIT: from then on a lost connection is a doubt. */
async function transact(
  session: Session,
  batch: readonly Pending[],
  relaxed: boolean,
  decided: (decision: Decision, transaction: Transaction) => void,
): Promise<Decision> {
  const writes = batch.map((pending) => pending.write);
  const count = writes.reduce((sum, write) => sum + write.operations.length, 0);
  const { state, newest, transaction } = await readState(session, writes, count, relaxed);
  const decision = decide(writes, state, newest - count + 1);
  const refused = decision.results.flatMap((result) => (!result.ok && "operation" in result ? [result] : []));
  if (refused.length > 0) await attachCurrent(session, writes, decision);
  if (decision.accepted.length === 0 && decision.ledgers.size === 0) {
    await session.query({ text: "ROLLBACK" });
    return decision;
  }
  decided(decision, transaction);
  const flight: Promise<unknown>[] = [];
  if (decision.accepted.length > 0) flight.push(session.query(sql.APPLY, applyValues(decision)));
  flight.push(...ledgerFlight(session, state, decision));
  const commit = session.run({ text: "COMMIT" });
  const settled = await Promise.allSettled([...flight, commit]);
  // The first failure is the cause; those after it only say that the transaction is aborted.
  for (const outcome of settled) if (outcome.status === "rejected") throw outcome.reason;
  if ((await commit).command !== "COMMIT") throw new Error("the database rolled a batch back without saying why");
  return decision;
}

interface KeyRow {
  at: number;
  uid: string;
  revision: number;
  terminating: boolean;
}

async function readState(session: Session, writes: readonly Write[], count: number, relaxed: boolean) {
  const keys = new Map<string, Key>();
  const ledgers = new Map<string, { tenant: number; ledger: string }>();
  for (const write of writes) {
    for (const { key } of [...write.operations, ...(write.guards ?? [])]) keys.set(keyText(key), key);
    for (const ledger of write.ledgers ?? []) ledgers.set(ledgerText(ledger), ledger);
  }
  const list = [...keys.values()];
  const named = [...ledgers.values()];
  const settled = await Promise.allSettled([
    session.query({ text: "BEGIN" }),
    session.query<{ revision: number } & Transaction>(sql.TAKE_REVISIONS, [count]),
    session.query<KeyRow>(sql.READ_KEYS, keyColumns(list)),
    named.length > 0
      ? session.query<LedgerRowRead>(sql.READ_LEDGERS, [
          bigints(named.map((l) => l.tenant)),
          texts(named.map((l) => l.ledger)),
        ])
      : [],
    relaxed ? session.query({ text: "SET LOCAL synchronous_commit = off" }) : [],
  ] as const);
  for (const outcome of settled) if (outcome.status === "rejected") throw outcome.reason;
  const [, taken, rows, ledgerRows] = settled;
  const counter = taken.status === "fulfilled" ? taken.value[0] : undefined;
  if (counter === undefined) throw new Error("the table counter has no row: the database is damaged");
  const state: State = { rows: new Map(), ledgers: new Map() };
  if (rows.status === "fulfilled") for (const row of rows.value) state.rows.set(keyText(list[row.at]!), row);
  if (ledgerRows.status === "fulfilled") for (const row of ledgerRows.value) addLedgerRow(state.ledgers, row);
  return { state, newest: counter.revision, transaction: { xid: counter.xid, epoch: counter.epoch } };
}

interface LedgerRowRead {
  tenant: number;
  ledger: string;
  resource: string;
  used: number;
  limit: number | null;
}

function addLedgerRow(ledgers: Map<string, LedgerState>, row: LedgerRowRead): void {
  const name = ledgerText(row);
  const ledger: LedgerState = ledgers.get(name) ?? new Map();
  ledger.set(row.resource, { used: row.used, limit: row.limit });
  ledgers.set(name, ledger);
}

const keyColumns = (keys: readonly Key[]): unknown[] => [
  bigints(keys.map((k) => k.tenant)),
  texts(keys.map((k) => k.resource)),
  texts(keys.map((k) => k.namespace)),
  texts(keys.map((k) => k.name)),
];

/** Gives each refused operation the object that it lost to. */
async function attachCurrent(session: Session, writes: readonly Write[], decision: Decision): Promise<void> {
  const wanted = decision.results.flatMap((result, i) =>
    !result.ok && (result.why === "exists" || result.why === "changed")
      ? [{ result, key: writes[i]!.operations[result.operation]!.key }]
      : [],
  );
  if (wanted.length === 0) return;
  const rows = await session.query<ObjectRow & { at: number }>(sql.READ_CURRENT, keyColumns(wanted.map((w) => w.key)));
  const current = new Map<number, StoredObject>(rows.map((row) => [row.at, objectOf(row)]));
  wanted.forEach(({ result }, i) => {
    const found = current.get(i);
    if (found) result.current = found;
  });
}

const KIND_NUMBERS = { create: 0, update: 1, delete: 2 } as const;

function applyValues({ accepted }: Decision): unknown[] {
  const column = <T>(of: (entry: (typeof accepted)[number]) => T): T[] => accepted.map(of);
  return [
    bigints(column((a) => a.revision)),
    smallints(column((a) => KIND_NUMBERS[a.operation.type])),
    bigints(column((a) => a.operation.key.tenant)),
    texts(column((a) => a.operation.key.resource)),
    texts(column((a) => a.operation.key.namespace)),
    texts(column((a) => a.operation.key.name)),
    texts(column((a) => a.operation.object.uid)),
    bigints(column((a) => (a.operation.type === "create" ? null : a.operation.expected.revision))),
    texts(column((a) => a.operation.object.document)),
    texts(column((a) => JSON.stringify(a.operation.object.labels))),
    texts(column((a) => JSON.stringify(a.operation.object.fields))),
    booleans(column((a) => a.operation.object.terminating)),
    accepted.length,
    String(accepted.at(-1)?.revision ?? 0),
  ];
}

function ledgerFlight(session: Session, before: State, decision: Decision): Promise<unknown>[] {
  const stored: LedgerRowRead[] = [];
  const dropped: { tenant: number; ledger: string; resource: string }[] = [];
  for (const [name, amounts] of decision.ledgers) {
    const at = name.indexOf("\0");
    const id = { tenant: Number(name.slice(0, at)), ledger: name.slice(at + 1) };
    const empty = (resource: string) => {
      const now = amounts.get(resource);
      return !now || (now.used === 0 && now.limit === null);
    };
    for (const [resource, { used, limit }] of amounts)
      if (!empty(resource)) stored.push({ ...id, resource, used, limit });
    for (const resource of before.ledgers.get(name)?.keys() ?? [])
      if (empty(resource)) dropped.push({ ...id, resource });
  }
  const names = (rows: { tenant: number; ledger: string; resource: string }[]) => [
    bigints(rows.map((r) => r.tenant)),
    texts(rows.map((r) => r.ledger)),
    texts(rows.map((r) => r.resource)),
  ];
  const flight: Promise<unknown>[] = [];
  if (dropped.length > 0) flight.push(session.query(sql.DROP_LEDGERS, names(dropped)));
  if (stored.length > 0)
    flight.push(
      session.query(sql.STORE_LEDGERS, [
        ...names(stored),
        bigints(stored.map((r) => r.used)),
        bigints(stored.map((r) => r.limit)),
      ]),
    );
  return flight;
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
