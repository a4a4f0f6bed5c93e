/**
 * Which revision the log had, and when: rows that any process writes twice a minute, by the database's clock. What ages (the log's
 * partitions, Events) is measured by them, so that a restart forgets no age.
 */
import type { Revision } from "../port.ts";
import type { Session } from "./session.ts";
import { COUNTER_ROW } from "./statements.ts";

const EVERY = "30 seconds";
const KEPT = "1 day";

/** Notes where the log is, unless somebody just did. */
export async function noteMoment(session: Session): Promise<void> {
  await session.query({
    text: `INSERT INTO moment (revision) SELECT revision FROM counter
      WHERE ${COUNTER_ROW} AND NOT EXISTS (SELECT FROM moment WHERE at > now() - interval '${EVERY}') ON CONFLICT DO NOTHING`,
  });
  await session.query({ text: `DELETE FROM moment WHERE at < now() - interval '${KEPT}'` });
}

/** All revisions up to this one are older than `ageMs`; 0 when none is known to be. */
export async function revisionBefore(session: Session, ageMs: number): Promise<Revision> {
  const [row] = await session.query<{ revision: Revision | null }>(
    { text: "SELECT max(revision) AS revision FROM moment WHERE at <= now() - $1::float8 * interval '1 millisecond'" },
    [ageMs],
  );
  return row?.revision ?? 0;
}
