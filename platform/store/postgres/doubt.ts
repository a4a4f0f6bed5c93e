/** What became of a transaction whose COMMIT was never answered (S2). */
import type { Revision } from "../port.ts";
import { Session } from "./session.ts";
import { FIND_CHANGE, LOCK_COUNTER, XACT_STATUS } from "./statements.ts";

/** As TAKE_REVISIONS told it. */
export interface Transaction {
  /** 64-bit, decimal. */
  xid: string;
  epoch: number;
}

/** Of a transaction that had no time to tell its number: what its first row in the log carries. */
export interface Mark {
  mark: number;
}

/**
 * Holds the counter for a moment, so that the transaction is over, and asks the log; where it left no row there (`first` is undefined:
 * only ledgers moved; or the log was compacted since), its status. undefined: it cannot be told any more. Throws ConnectionLost.
 */
export async function wasCommitted(
  databaseUrl: string,
  first: Revision | undefined,
  transaction: Transaction | Mark,
): Promise<boolean | undefined> {
  const session = await Session.open(databaseUrl, "doubt", { lock_timeout: "8s" });
  try {
    const [, [counter], [found]] = await Promise.all([
      session.query({ text: "BEGIN" }),
      session.query<{ epoch: number }>(LOCK_COUNTER),
      session.query<{ xmin: string | null; mark: number | null; compacted: number }>(FIND_CHANGE, [first ?? 0]),
      session.query({ text: "COMMIT" }),
    ]);
    const logged = first !== undefined && found !== undefined && found.compacted < first;
    if ("mark" in transaction) return logged ? found.mark === transaction.mark : undefined;
    if (logged) return found.xmin !== null && BigInt(found.xmin) === BigInt.asUintN(32, BigInt(transaction.xid));
    if (counter?.epoch !== transaction.epoch) return undefined;
    const [now] = await session.query<{ status: string | null }>(XACT_STATUS, [transaction.xid]);
    return now?.status === "committed" ? true : now?.status === "aborted" ? false : undefined;
  } finally {
    await session.close();
  }
}
