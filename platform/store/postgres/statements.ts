/** The committer's SQL. Every statement is set-based: a batch of any size is the same few statements. */
import type { Statement } from "./session.ts";

/** The channel of the store's one notification a batch; the payload is the newest revision. */
export const CHANNEL = "capstan_revision";
/**
 * The counter's only row. Its number moves on with the revisions, so that this finds it among few versions even while a long
 * transaction keeps thousands of them from being cleaned away. ">=" and not "=": whoever waited for a writer that moved it must still find it.
 */
export const COUNTER_ROW = "id >= (SELECT max(id) FROM counter)";
const REVISIONS_A_NUMBER = 1_024;
/** How far the counter jumps after a crash (S12): more than any database can have lost. */
export const JUMP = 1_000_000;

/**
 * S1, S12: locks the counter until the transaction ends and takes $1 revisions. The row of the unlogged table is missing only
 * after a crash, a promotion or a restore: then the counter jumps and the epoch rises. `xid` names the transaction, should its
 * COMMIT never be answered.
 */
export const TAKE_REVISIONS: Statement = {
  name: "take_revisions",
  text: `WITH marked AS (INSERT INTO crash_marker (identity) VALUES (store_identity()) ON CONFLICT DO NOTHING RETURNING 1),
    lost AS (SELECT count(*) AS n FROM marked)
    UPDATE counter SET revision = revision + lost.n * ${JUMP} + $1::bigint, epoch = epoch + lost.n,
      epoch_revision = CASE WHEN lost.n > 0 THEN revision + ${JUMP} ELSE epoch_revision END,
      id = id + ((revision + $1::bigint) / ${REVISIONS_A_NUMBER} > revision / ${REVISIONS_A_NUMBER})::int
    FROM lost WHERE ${COUNTER_ROW}
    RETURNING revision, epoch, pg_current_xact_id()::text AS xid`,
};

/** Which cluster a connection is to. */
export const SYSTEM: Statement = { text: "SELECT system_identifier::text AS system FROM pg_control_system()" };

/** What a batch is decided on. $1…$4: keys as parallel arrays; `at` is the index among them. */
export const READ_KEYS: Statement = {
  name: "read_keys",
  text: `SELECT k.at::int - 1 AS at, o.uid, o.revision, o.terminating
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k (tenant, resource, namespace, name, at)
    JOIN object o USING (tenant, resource, namespace, name)`,
};

export const READ_LEDGERS: Statement = {
  name: "read_ledgers",
  text: `SELECT l.tenant, l.ledger, l.resource, l.used, l."limit"
    FROM unnest($1::bigint[], $2::text[]) AS k (tenant, ledger) JOIN ledger l USING (tenant, ledger)`,
};

/** The rows that a refused compare-and-swap lost to. */
export const READ_CURRENT: Statement = {
  name: "read_current",
  text: `SELECT k.at::int - 1 AS at, o.*
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k (tenant, resource, namespace, name, at)
    JOIN object o USING (tenant, resource, namespace, name)`,
};

const W = `unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::bigint[], $9::text[], $10::text[], $11::text[], $12::boolean[])
      AS w (revision, kind, tenant, resource, namespace, name, uid, expected, document, labels, fields, terminating)`;

export type Kind = "create" | "update" | "delete";
/** In the order of the numbers that `kind` has. */
export const KINDS: readonly Kind[] = ["create", "update", "delete"];

const SAME_KEY = "o.tenant = w.tenant AND o.resource = w.resource AND o.namespace = w.namespace AND o.name = w.name";

/** What is done to objects, by kind; each restates its condition (S3). */
const DONE: Readonly<Record<Kind, string>> = {
  create: `done_create AS (
      INSERT INTO object (tenant, resource, namespace, name, uid, revision, document, labels, fields, terminating)
      SELECT tenant, resource, namespace, name, uid, revision, document, labels::jsonb, fields::jsonb, terminating
      FROM w WHERE kind = 0 RETURNING 1)`,
  update: `done_update AS (
      UPDATE object o SET uid = w.uid, revision = w.revision, document = w.document, labels = w.labels::jsonb,
        fields = w.fields::jsonb, terminating = w.terminating
      FROM w WHERE w.kind = 1 AND ${SAME_KEY} AND o.revision = w.expected RETURNING 1)`,
  delete: `done_delete AS (
      DELETE FROM object o USING w WHERE w.kind = 2 AND ${SAME_KEY} AND o.revision = w.expected RETURNING 1)`,
};

/** What is done with the rows of `w`; `mark` is what the log's rows carry. What is only created had no labels and fields before. */
function writes(kinds: readonly Kind[], mark: string): string {
  const hadBefore = kinds.some((kind) => kind !== "create");
  return `logged AS (
      INSERT INTO change (revision, kind, tenant, resource, namespace, name, uid, document, labels, fields, labels_before,
        fields_before, mark)
      SELECT w.revision, w.kind, w.tenant, w.resource, w.namespace, w.name, w.uid, w.document, w.labels::jsonb, w.fields::jsonb,
        ${hadBefore ? "o.labels, o.fields" : "NULL::jsonb, NULL::jsonb"}, ${mark}
      FROM w ${hadBefore ? `LEFT JOIN object o ON ${SAME_KEY}` : ""}
      RETURNING 1),
    ${kinds.map((kind) => DONE[kind]).join(",\n    ")}`;
}

const writtenOf = (kinds: readonly Kind[]): string =>
  kinds.map((kind) => `(SELECT count(*) FROM done_${kind})`).join(" + ");

/** A form of a statement for each set of kinds: what a batch has nothing for is not in its plan, which was a quarter of its time. */
function byKinds(name: string, textOf: (kinds: readonly Kind[]) => string): (kinds: ReadonlySet<Kind>) => Statement {
  const made = new Map<string, Statement>();
  return (present) => {
    const kinds = KINDS.filter((kind) => present.has(kind));
    const full = [name, ...kinds].join("_");
    const statement = made.get(full) ?? { name: full, text: textOf(kinds) };
    made.set(full, statement);
    return statement;
  };
}

/**
 * All the object writes of a batch, its log and its notification, for the kinds in it. A key is in it once. expect_rows aborts the
 * transaction when the database does not agree with what was decided. `expected` is the revision an update or delete replaces.
 */
export const applyOf = byKinds(
  "apply",
  (kinds) => `WITH w AS MATERIALIZED (SELECT * FROM ${W}),
    ${writes(kinds, "NULL::bigint")}
    SELECT expect_rows(${writtenOf(kinds)}, $13), expect_rows((SELECT count(*) FROM logged), $13), pg_notify('${CHANNEL}', $14)`,
);

/**
 * The same as a transaction of its own, if the counter still is at $15 and there was no crash: otherwise \`taken\` is 0 and nothing was done.
 * $16: the first row's mark; $17: relaxed; $18: SYSTEM, with which the marker is checked as store_identity() does, which reads a file each time. The rows come out of \`taken\`, so the counter is locked before anything is touched.
 */
const applyKnown = (kinds: readonly Kind[], ledgers: string, ledgersDone: string) => `WITH taken AS MATERIALIZED (
      UPDATE counter SET revision = revision + $13::bigint,
        id = id + ((revision + $13::bigint) / ${REVISIONS_A_NUMBER} > revision / ${REVISIONS_A_NUMBER})::int
      WHERE ${COUNTER_ROW} AND revision = $15::bigint
        AND EXISTS (SELECT FROM crash_marker WHERE identity = $18 || '/' || pg_relation_filenode('crash_marker')::text)
      RETURNING revision),
    w AS MATERIALIZED (SELECT w.* FROM taken, ${W}),
    ${writes(kinds, "CASE WHEN w.revision = $15::bigint + 1 THEN $16::bigint END")}${ledgers}
    SELECT t.n::int AS taken, expect_rows(${writtenOf(kinds)}, t.n * $13::bigint), expect_rows((SELECT count(*) FROM logged), t.n * $13::bigint),
      CASE WHEN t.n > 0 THEN pg_notify('${CHANNEL}', $14) END,
      CASE WHEN $17::boolean THEN set_config('synchronous_commit', 'off', true) END${ledgersDone}
    FROM (SELECT count(*) AS n FROM taken) AS t`;

export const applyKnownOf = byKinds("apply_known", (kinds) => applyKnown(kinds, "", ""));

/** With $19…$23: ledgers to store; $24…$26: ledgers to drop. */
export const applyKnownWithLedgersOf = byKinds("apply_known_with_ledgers", (kinds) =>
  applyKnown(
    kinds,
    `,
    stored AS (
      INSERT INTO ledger (tenant, ledger, resource, used, "limit")
      SELECT l.* FROM taken, unnest($19::bigint[], $20::text[], $21::text[], $22::bigint[], $23::bigint[]) AS l
      ON CONFLICT (tenant, ledger, resource) DO UPDATE SET used = excluded.used, "limit" = excluded."limit" RETURNING 1),
    dropped AS (
      DELETE FROM ledger l USING taken, unnest($24::bigint[], $25::text[], $26::text[]) AS k (tenant, ledger, resource)
      WHERE l.tenant = k.tenant AND l.ledger = k.ledger AND l.resource = k.resource RETURNING 1)`,
    ", (SELECT count(*) FROM stored) + (SELECT count(*) FROM dropped)",
  ),
);

export const STORE_LEDGERS: Statement = {
  name: "store_ledgers",
  text: `INSERT INTO ledger (tenant, ledger, resource, used, "limit")
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
    ON CONFLICT (tenant, ledger, resource) DO UPDATE SET used = excluded.used, "limit" = excluded."limit"`,
};

export const DROP_LEDGERS: Statement = {
  name: "drop_ledgers",
  text: `DELETE FROM ledger l USING unnest($1::bigint[], $2::text[], $3::text[]) AS k (tenant, ledger, resource)
    WHERE l.tenant = k.tenant AND l.ledger = k.ledger AND l.resource = k.resource`,
};

/** After a lost connection: waits for the transaction in doubt (it holds the counter), then says what became of it. */
export const LOCK_COUNTER: Statement = { text: `SELECT epoch FROM counter WHERE ${COUNTER_ROW} FOR UPDATE` };
/**
 * The transaction that wrote a revision is the row's xmin. A revision that was rolled back is taken again by the next writer, maybe
 * for the same object: revision and uid alone would take its write for ours. An xid is used again only after a crash, a
 * revision never after one: the two together name one transaction.
 */
export const FIND_CHANGE: Statement = {
  text: `SELECT c.xmin::text AS xmin, c.mark, (SELECT revision FROM compaction) AS compacted
    FROM (SELECT $1::bigint AS revision) AS asked LEFT JOIN change c USING (revision)`,
};
/** For what left no row in the log. Only while the epoch is the same: a crash may give an xid to another transaction. */
export const XACT_STATUS: Statement = { text: "SELECT pg_xact_status($1::text::xid8) AS status" };

/** For sessions that look up a few keys in tables of any size, and plan once, when a table may have been small. */
export const LOOKUPS = { enable_seqscan: "off", plan_cache_mode: "force_generic_plan" };
export const COMMITTER_SETTINGS = {
  ...LOOKUPS,
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  lock_timeout: "8s",
  // A stopped process that holds the counter stops every writer for this long, no longer.
  idle_in_transaction_session_timeout: "3s",
};
