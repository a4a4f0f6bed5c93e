/**
 * What a batch can be decided on without asking the database. The writer's cache says what it held at a revision (Seen); if all
 * revisions since are this committer's own, then that and its own writes are the truth, and stay it as long as the counter stays:
 * whoever writes moves the counter. The statement that commits checks that it has not moved.
 */
import type { Revision, Write } from "../port.ts";
import { type Decision, keyText, type LedgerState, ledgerText, type RowState, type State } from "./decide.ts";

/** S11. */
const ROWS_MAX = 20_000;
const LEDGERS_MAX = 20_000;
/** After a miss so many batches ask first; doubled with each further miss, since others are writing too. */
const ASK_FIRST_MIN = 2;
const ASK_FIRST_MAX = 64;
/** So many in a row that nobody came between: the next miss counts as the first. */
const CALM = 32;

export class Known {
  /** The newest revision; undefined when it must be asked for. */
  #counter: Revision | undefined;
  /** Since this revision all are this committer's own, and all their rows are in #rows. */
  #since: Revision = 0;
  /** null: deleted. In the order in which they were written. */
  readonly #rows = new Map<string, { revision: Revision; row: RowState | null }>();
  readonly #ledgers = new Map<string, LedgerState>();
  #askFirst = 0;
  #afterMiss = ASK_FIRST_MIN;
  #calm = 0;

  /** The cluster that the connection is to (SYSTEM). */
  system = "";

  get counter(): Revision | undefined {
    return this.#counter;
  }

  /** Nothing is known any more: the connection was lost, or the database did not agree. */
  forget(): void {
    this.#counter = undefined;
    this.#rows.clear();
    this.#ledgers.clear();
  }

  /** The state that the writes are decided on; undefined when some of it is not known. */
  stateFor(writes: readonly Write[]): State | undefined {
    if (this.#counter === undefined) return undefined;
    if (this.#askFirst > 0) {
      this.#askFirst--;
      return undefined;
    }
    const state: State = { rows: new Map(), ledgers: new Map() };
    for (const write of writes) if (!this.#add(state, write)) return undefined;
    return state;
  }

  #add(state: State, { operations, guards = [], ledgers = [], seen }: Write): boolean {
    if (!seen || seen.revision < this.#since) return false;
    for (const [i, { key }] of [...operations, ...guards].entries()) {
      const text = keyText(key);
      const own = this.#rows.get(text);
      const row = own && own.revision > seen.revision ? own.row : seen.rows[i];
      // Only guards are told of it, and others of the batch may write what they guard.
      if (row)
        state.rows.set(text, { ...row, terminating: row.terminating || state.rows.get(text)?.terminating === true });
    }
    for (const change of ledgers) {
      const name = ledgerText(change);
      const ledger = this.#ledgers.get(name);
      if (!ledger) return false;
      state.ledgers.set(name, ledger);
    }
    return true;
  }

  /** The database was asked, with the counter locked: `before` is the newest revision that is committed. */
  read(before: Revision, state: State, writes: readonly Write[]): void {
    if (before !== this.#counter) {
      this.forget();
      this.#since = before;
      this.#counter = before;
    }
    for (const { ledgers = [] } of writes)
      for (const change of ledgers) this.#keep(ledgerText(change), state.ledgers.get(ledgerText(change)) ?? new Map());
  }

  /** A batch is committed, and the counter at `newest`. */
  committed(newest: Revision, { accepted, ledgers }: Decision): void {
    this.#counter = newest;
    if (++this.#calm >= CALM) this.#afterMiss = ASK_FIRST_MIN;
    for (const { operation, revision } of accepted) {
      const text = keyText(operation.key);
      const { uid, terminating } = operation.object;
      this.#rows.delete(text);
      this.#rows.set(text, { revision, row: operation.type === "delete" ? null : { uid, revision, terminating } });
    }
    for (const [text, { revision }] of this.#rows) {
      if (this.#rows.size <= ROWS_MAX) break;
      this.#rows.delete(text);
      this.#since = revision;
    }
    for (const [name, ledger] of ledgers) this.#keep(name, ledger);
  }

  #keep(name: string, ledger: LedgerState): void {
    if (this.#ledgers.size >= LEDGERS_MAX) this.#ledgers.clear();
    this.#ledgers.set(name, ledger);
  }

  /** Somebody else came between. */
  missed(): void {
    this.forget();
    this.#calm = 0;
    this.#askFirst = this.#afterMiss;
    this.#afterMiss = Math.min(this.#afterMiss * 2, ASK_FIRST_MAX);
  }
}
