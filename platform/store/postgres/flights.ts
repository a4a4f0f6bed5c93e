/**
 * How a batch is committed: in two flights, of which the first asks the database for what is decided on, or in one, where that is known
 * since nobody else has written.
 */
import { randomInt } from "node:crypto";
import type { Key, Revision, StoredObject, Write } from "../port.ts";
import { bigints, booleans, smallints, texts } from "./arrays.ts";
import { type Decision, decide, keyText, type LedgerRow, type LedgerState, ledgerText, type State } from "./decide.ts";
import type { Mark, Transaction } from "./doubt.ts";
import type { Known } from "./known.ts";
import type { Pending } from "./queue.ts";
import { type ObjectRow, objectOf } from "./rows.ts";
import type { Session } from "./session.ts";
import * as sql from "./statements.ts";

/** Runs one batch. `decided` is called right before the flight that ends with COMMIT: from then on a lost connection is a doubt. */
export async function transact(
  session: Session,
  batch: readonly Pending[],
  relaxed: boolean,
  known: Known,
  decided: (decision: Decision, newest: Revision, transaction: Transaction) => void,
): Promise<Decision> {
  const writes = batch.map((pending) => pending.write);
  // One at least: who moves ledgers alone shows by it that there was somebody (known.ts).
  const count = Math.max(1, operationCount(writes));
  const { state, newest, transaction } = await readState(session, writes, count, relaxed);
  known.read(newest - count, state, writes);
  const decision = decide(writes, state, newest - count + 1);
  const refused = decision.results.flatMap((result) => (!result.ok && "operation" in result ? [result] : []));
  if (refused.length > 0) await attachCurrent(session, writes, decision);
  if (decision.accepted.length === 0 && decision.ledgers.size === 0) {
    await session.query({ text: "ROLLBACK" });
    return decision;
  }
  decided(decision, newest, transaction);
  const flight: Promise<unknown>[] = [];
  if (decision.accepted.length > 0) flight.push(session.query(sql.applyOf(kindsOf(decision)), applyValues(decision)));
  flight.push(...ledgerFlight(session, state, decision));
  const commit = session.run({ text: "COMMIT" });
  const settled = await Promise.allSettled([...flight, commit]);
  // The first failure is the cause; those after it only say that the transaction is aborted.
  for (const outcome of settled) if (outcome.status === "rejected") throw outcome.reason;
  if ((await commit).command !== "COMMIT") throw new Error("the database rolled a batch back without saying why");
  known.committed(newest, decision);
  return decision;
}

const operationCount = (writes: readonly Write[]): number =>
  writes.reduce((sum, write) => sum + write.operations.length, 0);

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
      ? session.query<LedgerRow>(sql.READ_LEDGERS, [
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

function addLedgerRow(ledgers: Map<string, LedgerState>, row: LedgerRow): void {
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

const kindsOf = ({ accepted }: Decision): ReadonlySet<sql.Kind> => new Set(accepted.map((a) => a.operation.type));

/** $1…$14 of what applies a decision. */
function applyValues({ accepted }: Decision): unknown[] {
  const column = <T>(of: (entry: (typeof accepted)[number]) => T): T[] => accepted.map(of);
  return [
    bigints(column((a) => a.revision)),
    smallints(column((a) => sql.KINDS.indexOf(a.operation.type))),
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

interface LedgerPlace {
  tenant: number;
  ledger: string;
  resource: string;
}

/** Rows of ledgers to write and to take away, so that the table is as decided. */
function ledgerRows(before: State, decision: Decision): { stored: LedgerRow[]; dropped: LedgerPlace[] } {
  const stored: LedgerRow[] = [];
  const dropped: LedgerPlace[] = [];
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
  return { stored, dropped };
}

const placeColumns = (rows: readonly LedgerPlace[]): Buffer[] => [
  bigints(rows.map((r) => r.tenant)),
  texts(rows.map((r) => r.ledger)),
  texts(rows.map((r) => r.resource)),
];

const storeColumns = (rows: readonly LedgerRow[]): Buffer[] => [
  ...placeColumns(rows),
  bigints(rows.map((r) => r.used)),
  bigints(rows.map((r) => r.limit)),
];

function ledgerFlight(session: Session, before: State, decision: Decision): Promise<unknown>[] {
  const { stored, dropped } = ledgerRows(before, decision);
  const flight: Promise<unknown>[] = [];
  if (dropped.length > 0) flight.push(session.query(sql.DROP_LEDGERS, placeColumns(dropped)));
  if (stored.length > 0) flight.push(session.query(sql.STORE_LEDGERS, storeColumns(stored)));
  return flight;
}

/** Marks are drawn below this: who looks for one finds its own. */
const MARK_END = 2 ** 48 - 1;

/**
 * Runs one batch whose state is known (known.ts): one statement, a transaction by itself. Undefined: nothing was done, since somebody else
 * wrote meanwhile, or since a write is to be refused, which only the database may say. `decided` as for `transact`.
 */
export async function transactKnown(
  session: Session,
  batch: readonly Pending[],
  relaxed: boolean,
  known: Known,
  decided: (decision: Decision, newest: Revision, mark: Mark) => void,
): Promise<Decision | undefined> {
  const writes = batch.map((pending) => pending.write);
  const state = known.stateFor(writes);
  if (!state || known.counter === undefined) return undefined;
  const decision = decide(writes, state, known.counter + 1);
  if (decision.accepted.length === 0 || decision.results.some((result) => !result.ok)) return undefined;
  const mark = randomInt(MARK_END);
  const values = [...applyValues(decision), known.counter, mark, relaxed, known.system];
  const moved = decision.ledgers.size > 0 ? ledgerRows(state, decision) : undefined;
  const newest = known.counter + decision.accepted.length;
  decided(decision, newest, { mark });
  const kinds = kindsOf(decision);
  const [answer] = moved
    ? await session.query<{ taken: number }>(sql.applyKnownWithLedgersOf(kinds), [
        ...values,
        ...storeColumns(moved.stored),
        ...placeColumns(moved.dropped),
      ])
    : await session.query<{ taken: number }>(sql.applyKnownOf(kinds), values);
  if (answer?.taken !== 1) {
    known.missed();
    return undefined;
  }
  known.committed(newest, decision);
  return decision;
}
