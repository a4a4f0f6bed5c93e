/**
 * Checks the store's invariants on a live database, in one snapshot. Each check is a query for what must not be: its rows are
 * violations, described in `what`.
 */
import { messageOf } from "#platform/base/log.ts";
import type { StoredObject } from "../port.ts";
import { PageSize } from "./page.ts";
import { OBJECT_COLUMNS, type ObjectRow, objectOf } from "./rows.ts";
import { Session } from "./session.ts";

export interface CheckResult {
  name: string;
  violations: number;
  /** The first few, in words. */
  examples: string[];
}

const EXAMPLES = 5;
const keyOf = (t: string) => `${t}.tenant || '/' || ${t}.resource || '/' || ${t}.namespace || '/' || ${t}.name`;

/** The newest change of each key that the log still has. */
const NEWEST = `SELECT DISTINCT ON (tenant, resource, namespace, name) * FROM change
  ORDER BY tenant, resource, namespace, name, revision DESC`;

const CHECKS: Record<string, string> = {
  "S1: no revision is beyond the counter": `SELECT ${keyOf("o")} || ' has revision ' || o.revision AS what
    FROM object o, counter c WHERE o.revision > c.revision
    UNION ALL SELECT 'the log has revision ' || l.revision FROM change l, counter c WHERE l.revision > c.revision`,
  "S1: a revision is of one object": `SELECT 'revision ' || revision || ' is of ' || count(*) || ' objects' AS what
    FROM object GROUP BY revision HAVING count(*) > 1`,
  "S4: the state is what the log says last": `SELECT ${keyOf("l")} || ' was last ' || CASE WHEN l.kind = 2 THEN 'deleted' ELSE 'written' END ||
      ' at ' || l.revision || ', the state has ' || coalesce(o.revision::text, 'nothing') AS what
    FROM (${NEWEST}) l LEFT JOIN object o USING (tenant, resource, namespace, name)
    WHERE CASE WHEN l.kind = 2 THEN o.revision IS NOT NULL
      ELSE o.revision IS DISTINCT FROM l.revision OR o.document <> l.document OR o.uid <> l.uid END`,
  "S4: each object written since the compaction is in the log": `SELECT ${keyOf("o")} || ' at ' || o.revision AS what
    FROM object o, compaction p WHERE o.revision > p.revision AND NOT EXISTS (SELECT FROM change l WHERE l.revision = o.revision)`,
  "S3: an object is added once, then modified, then deleted": `SELECT ${keyOf("l")} || ' at ' || l.revision AS what FROM (
      SELECT *, lag(kind) OVER (PARTITION BY tenant, resource, namespace, name ORDER BY revision) AS before FROM change) l
    WHERE l.before IS NOT NULL AND (l.kind = 0) <> (l.before = 2)`,
  "S5: nothing is in the log that was compacted": `SELECT 'revision ' || l.revision AS what FROM change l, compaction p
    WHERE l.revision <= p.revision UNION ALL
    SELECT 'compacted beyond the counter' FROM compaction p, counter c WHERE p.revision > c.revision`,
  "the log has a partition for the next revision": `SELECT 'none for ' || c.revision + 1 AS what FROM counter c WHERE NOT EXISTS (
      SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid,
        LATERAL regexp_matches(pg_get_expr(p.relpartbound, p.oid), '\\(''?(\\d+)''?\\).*\\(''?(\\d+)''?\\)') AS bounds
      WHERE i.inhparent = 'change'::regclass AND c.revision + 1 >= bounds[1]::bigint AND c.revision + 1 < bounds[2]::bigint)`,
  "a document is of its key": `SELECT ${keyOf("o")} AS what FROM object o,
      LATERAL (SELECT CASE WHEN o.document LIKE 'k8s:enc:%' THEN NULL ELSE o.document::json -> 'metadata' END AS m) d
    WHERE o.document NOT LIKE 'k8s:enc:%' AND (d.m ->> 'name' IS DISTINCT FROM o.name OR coalesce(d.m ->> 'namespace', '') <> o.namespace
      OR d.m ->> 'uid' IS DISTINCT FROM o.uid OR d.m ->> 'resourceVersion' IS NOT NULL
      OR (d.m ->> 'deletionTimestamp' IS NOT NULL) <> o.terminating)`,
  "S10: each object is of a living tenant": `SELECT 'tenant ' || o.tenant || ': ' || count(*) || ' objects' AS what FROM object o
    WHERE NOT EXISTS (SELECT FROM tenant t WHERE t.id = o.tenant AND NOT t.removed) GROUP BY o.tenant`,
  "S3: no ledger gave back more than it took": `SELECT tenant || '/' || ledger || '/' || resource || ' is ' || used AS what FROM ledger WHERE used < 0`,
};

/** The rest of "a document is of its key": opening binds the text to the key already. */
async function checkSealed(
  session: Session,
  open: (object: StoredObject) => Promise<StoredObject>,
): Promise<CheckResult> {
  await session.query({
    text: `DECLARE sealed NO SCROLL CURSOR FOR SELECT ${OBJECT_COLUMNS}, terminating FROM object WHERE document LIKE 'k8s:enc:%'`,
  });
  const examples: string[] = [];
  let violations = 0;
  for (const page = new PageSize(); ; ) {
    const asked = page.rows;
    const rows = await session.query<ObjectRow & { terminating: boolean }>({ text: `FETCH ${asked} FROM sealed` });
    for (const row of rows) {
      const why = await wrongSealed(row, open);
      if (why === undefined) continue;
      violations++;
      if (examples.length < EXAMPLES) examples.push(why);
    }
    if (rows.length < asked) return { name: "an encrypted document opens and is of its key", violations, examples };
    page.read(rows);
  }
}

async function wrongSealed(
  row: ObjectRow & { terminating: boolean },
  open: (object: StoredObject) => Promise<StoredObject>,
): Promise<string | undefined> {
  const { key, uid } = objectOf(row);
  const named = `${key.tenant}/${key.resource}/${key.namespace}/${key.name}`;
  try {
    const { document } = await open(objectOf(row));
    const { metadata: m } = JSON.parse(document) as { metadata: Record<string, string | undefined> };
    const same = m["name"] === key.name && (m["namespace"] ?? "") === key.namespace && m["uid"] === uid;
    return same && (m["deletionTimestamp"] !== undefined) === row.terminating ? undefined : named;
  } catch (error) {
    return messageOf(error);
  }
}

/** `open` decrypts; without it encrypted documents are not looked into. Throws only when the database cannot be asked. */
export async function verify(
  databaseUrl: string,
  open?: (object: StoredObject) => Promise<StoredObject>,
): Promise<CheckResult[]> {
  const session = await Session.open(databaseUrl, "verify");
  try {
    await session.query({ text: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" });
    const results: CheckResult[] = [];
    for (const [name, text] of Object.entries(CHECKS)) {
      const rows = await session.query<{ what: string }>({ text });
      results.push({ name, violations: rows.length, examples: rows.slice(0, EXAMPLES).map(({ what }) => what) });
    }
    return open ? [...results, await checkSealed(session, open)] : results;
  } finally {
    await session.close();
  }
}
