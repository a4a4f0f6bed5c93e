/** The writes that wait for the committer, and which of them go together (S2, S11). */
import type { Write, WriteResult } from "../port.ts";
import { keyText } from "./decide.ts";

export interface Pending {
  write: Write;
  /** Milliseconds since the epoch. */
  since: number;
  /** How often its transaction was tried again after an error that may pass. */
  attempts: number;
  resolve(result: WriteResult): void;
  reject(error: unknown): void;
}

export const BATCH_OPERATIONS_MAX = 500;
/** How many waiting writes are looked at for one batch: a hot key must not make every batch look at all of them. */
const LOOKED_AT_MAX = 4_000;
export const BATCH_BYTES_MAX = 8 * 1024 * 1024;

const bytesOf = (write: Write): number =>
  write.operations.reduce((sum, op) => sum + op.object.document.length + 400, 0);

/**
 * Takes the next batch out of the queue, in order. A key is written once in a batch: a write that touches (or guards) a key already
 * written in it waits for the next, and so does whatever touches the keys of one that waits. Ledgers may repeat: their
 * changes are decided in order. When only relaxed writes are left the batch is relaxed; otherwise they ride along.
 */
export function takeBatch(queue: Pending[]): { batch: Pending[]; relaxed: boolean } {
  const batch: Pending[] = [];
  const blocked = new Set<string>();
  let operations = 0;
  let bytes = 0;
  let at = 0;
  for (; at < queue.length && at < LOOKED_AT_MAX; at++) {
    const pending = queue[at]!;
    const { write } = pending;
    const size = bytesOf(write);
    const full =
      batch.length > 0 &&
      (operations + write.operations.length > BATCH_OPERATIONS_MAX || bytes + size > BATCH_BYTES_MAX);
    if (full) break;
    const keys = write.operations.map((op) => keyText(op.key));
    const guards = write.guards?.map((guard) => keyText(guard.key)) ?? [];
    const waits = [...keys, ...guards].some((key) => blocked.has(key));
    for (const key of keys) blocked.add(key);
    if (waits) continue;
    batch.push(pending);
    operations += write.operations.length;
    bytes += size;
  }
  const taken = new Set(batch);
  const rest = queue.slice(0, at).filter((pending) => !taken.has(pending));
  queue.splice(0, at, ...rest);
  return { batch, relaxed: batch.every((pending) => pending.write.relaxed === true) };
}
