/** The newest part of the log, read back for a cache that was just loaded: watches from before its load go on. */
import type { Recent, RecentLimits } from "../backing.ts";
import type { Change, Revision } from "../port.ts";
import { PageSize } from "./page.ts";
import { CHANGE_COLUMNS, type ChangeRow, changeOf } from "./rows.ts";
import type { Session } from "./session.ts";

const BACKWARDS = {
  name: "log_backwards",
  text: `SELECT ${CHANGE_COLUMNS} FROM change WHERE revision <= $1 ORDER BY revision DESC LIMIT $2`,
};
/** No history from beyond the compaction, nor from before the epoch: what readers hold from there may never have been (S12). */
const FLOOR = {
  text: "SELECT greatest(c.epoch_revision, p.revision) AS floor FROM counter c, compaction p",
};

/**
 * The changes up to `upTo`, as far back as the limits go, oldest first. The floor is asked for after the log was read: had a partition
 * gone missing meanwhile, its mark would be there (as the tail does, S5).
 */
export async function readRecent(session: Session, upTo: Revision, limits: RecentLimits): Promise<Recent> {
  const page = new PageSize();
  const newestFirst: Change[] = [];
  let bytes = 0;
  let at = upTo;
  let whole = false;
  while (!whole && newestFirst.length < limits.entriesMax && bytes < limits.bytesMax) {
    const rows = await session.query<ChangeRow>(BACKWARDS, [at, page.rows]);
    const changes = rows.map(changeOf);
    for (const { object } of changes) bytes += object.document.length;
    newestFirst.push(...changes);
    whole = rows.length < page.rows;
    page.read(changes.map(({ object }) => object));
    at = (rows.at(-1)?.revision ?? 1) - 1;
  }
  const [row] = await session.query<{ floor: Revision }>(FLOOR);
  const floor = Math.max(row?.floor ?? upTo, whole ? 0 : at);
  return { floor, changes: newestFirst.reverse().filter((change) => change.revision > floor) };
}
