/** Keeps partitions ahead of the counter, drops the old ones and notes moments. Any number of processes may do it at once. */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { noteMoment, revisionBefore } from "./moments.ts";
import { dropPartitions, ensurePartitions, excess } from "./partitions.ts";
import { Session } from "./session.ts";

const ROUND_MS = 10_000;

export interface MaintenanceOptions {
  databaseUrl: string;
  log: Log;
  partitionRevisions: number;
  /** How long changes stay in the log. */
  retentionMs: number;
  /** At most this many used partitions, however young. */
  partitionsMax: number;
}

/** What the database said at the last round. */
export interface Condition {
  /** 0…1 of the notification queue. */
  notificationQueue: number;
  /** A standby, or a database set to read-only: it takes no writes. */
  readOnly: boolean;
}

const CONDITION = {
  text: `SELECT pg_notification_queue_usage() AS "notificationQueue", current_setting('transaction_read_only') = 'on' AS "readOnly"`,
};

/** One round. Throws when the database refuses; the next round tries again. */
export async function tend(session: Session, options: MaintenanceOptions): Promise<void> {
  await ensurePartitions(session, options.partitionRevisions);
  await noteMoment(session);
  const old = await revisionBefore(session, options.retentionMs);
  const upTo = Math.max(old, await excess(session, options.partitionsMax));
  if (upTo > 0) await dropPartitions(session, upTo);
}

export async function maintain(
  options: MaintenanceOptions,
  onCondition: (condition: Condition | undefined) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let session: Session | undefined;
    try {
      session = await Session.open(options.databaseUrl, "maintenance");
      onCondition((await session.query<Condition>(CONDITION))[0]);
      await tend(session, options);
    } catch (error) {
      options.log.warn("the log's partitions could not be tended; trying again", { error: messageOf(error) });
    } finally {
      await session?.close();
    }
    await delay(ROUND_MS, signal);
  }
}
