/**
 * Decides a batch: which writes succeed, in the order they came, given what the database showed after the counter was locked
 * (S2, S3). Pure. A write sees the ledgers as the writes before it left them; a refused write leaves no trace.
 */
import type { Guard, Key, LedgerChange, Operation, Revision, Write, WriteResult } from "../port.ts";

/** What a decision needs of the stored row. */
export interface RowState {
  uid: string;
  revision: Revision;
  terminating: boolean;
}

export interface LedgerRow {
  tenant: number;
  ledger: string;
  resource: string;
  used: number;
  limit: number | null;
}

/** resource → amounts of one ledger. */
export type LedgerState = Map<string, { used: number; limit: number | null }>;

export interface State {
  /** By keyText. */
  rows: Map<string, RowState>;
  /** By ledgerText. */
  ledgers: Map<string, LedgerState>;
}

export const keyText = (key: Key): string => `${key.tenant}\0${key.resource}\0${key.namespace}\0${key.name}`;
export const ledgerText = (ledger: { tenant: number; ledger: string }): string => `${ledger.tenant}\0${ledger.ledger}`;

export interface Accepted {
  operation: Operation;
  revision: Revision;
}

export interface Decision {
  results: WriteResult[];
  accepted: Accepted[];
  /** The ledgers after the batch, only those that it touched. */
  ledgers: Map<string, LedgerState>;
}

/** `first` is the first of the revisions taken: one for each operation of the batch, used or not. */
export function decide(writes: readonly Write[], state: State, first: Revision): Decision {
  const decision: Decision = { results: [], accepted: [], ledgers: new Map() };
  let next = first;
  for (const write of writes) {
    const moved = new Map<string, LedgerState>();
    const refusal =
      refusedByOperation(write.operations, state) ??
      refusedByGuard(write.guards ?? [], state) ??
      moveLedgers(write.ledgers ?? [], state, decision.ledgers, moved);
    if (refusal) {
      decision.results.push(refusal);
      continue;
    }
    for (const [ledger, amounts] of moved) decision.ledgers.set(ledger, amounts);
    const revisions = write.operations.map(() => next++);
    write.operations.forEach((operation, i) => {
      decision.accepted.push({ operation, revision: revisions[i]! });
    });
    decision.results.push({ ok: true, revisions });
  }
  return decision;
}

function refusedByOperation(operations: readonly Operation[], state: State): WriteResult | undefined {
  for (const [index, operation] of operations.entries()) {
    const row = state.rows.get(keyText(operation.key));
    if (operation.type === "create") {
      if (row) return { ok: false, why: "exists", operation: index };
      continue;
    }
    if (!row) return { ok: false, why: "notFound", operation: index };
    const { expected } = operation;
    if (row.uid !== expected.uid || row.revision !== expected.revision)
      return { ok: false, why: "changed", operation: index };
  }
  return undefined;
}

function refusedByGuard(guards: readonly Guard[], state: State): WriteResult | undefined {
  const index = guards.findIndex((guard) => {
    const row = state.rows.get(keyText(guard.key));
    if (!row) return true;
    if (guard.revision !== undefined && row.revision !== guard.revision) return true;
    return guard.notTerminating === true && row.terminating;
  });
  return index < 0 ? undefined : { ok: false, why: "guard", guard: index };
}

/** Puts the ledgers as they would be into `moved`; returns the refusal when one would exceed its limit. */
function moveLedgers(
  changes: readonly LedgerChange[],
  state: State,
  batch: ReadonlyMap<string, LedgerState>,
  moved: Map<string, LedgerState>,
): WriteResult | undefined {
  for (const [index, change] of changes.entries()) {
    const name = ledgerText(change);
    const ledger: LedgerState = new Map(moved.get(name) ?? batch.get(name) ?? state.ledgers.get(name) ?? []);
    moved.set(name, ledger);
    if (change.limits === null) {
      ledger.clear();
      continue;
    }
    if (change.limits) replaceLimits(ledger, change.limits);
    for (const [resource, delta] of Object.entries(change.delta)) {
      const amounts = ledger.get(resource) ?? { used: 0, limit: null };
      const used = amounts.used + delta;
      if (change.enforce && delta > 0 && amounts.limit !== null && used > amounts.limit)
        return { ok: false, why: "ledger", ledger: index, resource, used: amounts.used, limit: amounts.limit };
      ledger.set(resource, { used, limit: amounts.limit });
    }
  }
  return undefined;
}

function replaceLimits(ledger: LedgerState, limits: Record<string, number>): void {
  for (const [resource, amounts] of ledger)
    ledger.set(resource, { used: amounts.used, limit: limits[resource] ?? null });
  for (const [resource, limit] of Object.entries(limits))
    if (!ledger.has(resource)) ledger.set(resource, { used: 0, limit });
}
