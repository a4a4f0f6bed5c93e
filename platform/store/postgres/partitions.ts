/**
 * The log's partitions (S5): `change_FIRST` holds the revisions from FIRST up to the next multiple of the partition's size. They are
 * made ahead of the counter, and dropped whole, oldest first, once everything in them is older than the retention. The
 * compaction's row is moved in the transaction that drops: a reader that asks for it after it read the log cannot miss a gap.
 */
import type { Revision } from "../port.ts";
import type { Session } from "./session.ts";
import { COUNTER_ROW } from "./statements.ts";

/** Revisions in a partition, unless a test says otherwise. */
export const PARTITION_REVISIONS = 50_000;
/** Bytes of a row that is kept as it is: see the migration plain_documents, which does the same for the objects. */
const PLAIN_ROW_BYTES = 4_080;
/** Partitions that exist beyond the one in use. */
const AHEAD = 2;
/** Two processes never maintain the log at once. Any number that nobody else uses. */
const LOCK = 7_226_914_002;

/** Makes the partition of the counter's revision and those ahead of it, without blocking writers or readers. */
export async function ensurePartitions(session: Session, size: number): Promise<void> {
  const [row] = await session.query<{ revision: number }>({
    text: `SELECT revision FROM counter WHERE ${COUNTER_ROW}`,
  });
  const base = Math.floor((row?.revision ?? 0) / size) * size;
  const wanted = Array.from({ length: AHEAD + 1 }, (_, i) => base + i * size);
  const existing = await partitions(session);
  const missing = wanted.filter((first) => !existing.some((p) => p.first <= first && first < p.end));
  for (const first of missing) {
    const next = existing.find((p) => p.first > first)?.first ?? Number.POSITIVE_INFINITY;
    await makePartition(session, first, Math.min(first + size, next));
  }
}

interface Partition {
  name: string;
  first: Revision;
  /** The first revision beyond it. */
  end: Revision;
}

async function partitions(session: Session): Promise<Partition[]> {
  const rows = await session.query<{ name: string; bounds: string }>({
    text: `SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'change'::regclass`,
  });
  return rows
    .map(({ name, bounds }) => {
      const [first, end] = [...bounds.matchAll(/\('?(\d+)'?\)/g)].map((match) => Number(match[1]));
      return { name, first: first ?? 0, end: end ?? 0 };
    })
    .sort((a, b) => a.first - b.first);
}

/** ATTACH takes a lock that lets reads and writes go on; CREATE … PARTITION OF would stop both. */
async function makePartition(session: Session, first: Revision, end: Revision): Promise<void> {
  const name = `change_${first}`;
  await inTransaction(session, [
    `SELECT pg_advisory_xact_lock(${LOCK})`,
    `CREATE TABLE IF NOT EXISTS ${name} (LIKE change INCLUDING ALL) WITH (toast_tuple_target = ${PLAIN_ROW_BYTES})`,
    `DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = '${name}'::regclass) THEN
        ALTER TABLE change ATTACH PARTITION ${name} FOR VALUES FROM (${first}) TO (${end});
      END IF;
    END $$`,
  ]);
}

/** Pipelined; the first error is thrown and the transaction rolled back. */
async function inTransaction(session: Session, texts: string[]): Promise<void> {
  const all = ["BEGIN", ...texts, "COMMIT"].map((text) => session.query({ text }));
  const settled = await Promise.allSettled(all);
  for (const outcome of settled) if (outcome.status === "rejected") throw outcome.reason;
}

/** Drops the partitions that hold nothing newer than `upTo`; returns the revision up to which the log is now gone. */
export async function dropPartitions(session: Session, upTo: Revision): Promise<Revision> {
  let compacted = 0;
  for (const { name, end } of await partitions(session)) {
    if (end - 1 > upTo) break;
    await inTransaction(session, [
      // Writers never wait long behind us: when the lock is not to be had, the next round tries again.
      "SET LOCAL lock_timeout = '300ms'",
      `SELECT pg_advisory_xact_lock(${LOCK})`,
      `UPDATE compaction SET revision = greatest(revision, ${end - 1}) WHERE id = 1`,
      `DROP TABLE IF EXISTS ${name}`,
    ]);
    compacted = end - 1;
  }
  return compacted;
}

/** The newest revision that a log of at most `count` partitions must give up; 0 when it holds fewer. */
export async function excess(session: Session, count: number): Promise<Revision> {
  const all = await partitions(session);
  const [row] = await session.query<{ revision: number }>({
    text: `SELECT revision FROM counter WHERE ${COUNTER_ROW}`,
  });
  const used = all.filter((partition) => partition.first <= (row?.revision ?? 0));
  const last = used[used.length - count - 1];
  return last ? last.end - 1 : 0;
}
