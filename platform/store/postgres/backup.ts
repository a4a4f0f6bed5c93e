/**
 * A backup is one gzip file of lines: a header, one line a row (`TABLE JSON`), and a last line that counts them, so that a file cut
 * short is known. It is read in one repeatable-read snapshot while the store serves. The log is not in it: a restore begins a new
 * epoch (S12), caches load anew and watches are told 410, as after any loss of the database's last moments.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import type { Revision } from "../port.ts";
import { raiseAfterCrash } from "./committer.ts";
import { PageSize } from "./page.ts";
import { PARTITION_REVISIONS } from "./partitions.ts";
import { Session } from "./session.ts";
import { CHANNEL, LOCK_COUNTER } from "./statements.ts";

/** In the order of restoring; with the columns that order their rows. */
const TABLES = {
  tenant: "id",
  object: "tenant, resource, namespace, name",
  ledger: "tenant, ledger, resource",
  moment: "at",
} as const;
type Table = keyof typeof TABLES;

const FORMAT = "capstan-backup/1";
/** Rows are sent to the database in portions of about this size. */
const PORTION_BYTES = 4 * 1024 * 1024;

export interface BackupHeader {
  format: string;
  /** Names of the applied migrations. */
  migrations: string[];
  revision: Revision;
  /** RFC 3339. */
  at: string;
}

export type Rows = Record<Table, number>;

const none = (): Rows => ({ tenant: 0, object: 0, ledger: 0, moment: 0 });
const isTable = (name: string): name is Table => Object.hasOwn(TABLES, name);

const MIGRATIONS = `SELECT migration_name AS name FROM _prisma_migrations
  WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY migration_name`;

async function headerOf(session: Session): Promise<BackupHeader> {
  const [counter] = await session.query<{ revision: Revision }>({ text: "SELECT revision FROM counter" });
  const applied = await session.query<{ name: string }>({ text: MIGRATIONS });
  if (!counter) throw new Error("the database is damaged: counter has no row");
  const migrations = applied.map(({ name }) => name);
  return { format: FORMAT, migrations, revision: counter.revision, at: new Date().toISOString() };
}

async function* linesOf(session: Session, rows: Rows): AsyncGenerator<string> {
  yield `${JSON.stringify(await headerOf(session))}\n`;
  for (const [table, order] of Object.entries(TABLES) as [Table, string][]) {
    await session.query({
      text: `DECLARE ${table}_rows NO SCROLL CURSOR FOR SELECT row_to_json(t)::text AS document FROM "${table}" t ORDER BY ${order}`,
    });
    for (const page = new PageSize(); ; ) {
      const asked = page.rows;
      const read = await session.query<{ document: string }>({ text: `FETCH ${asked} FROM ${table}_rows` });
      rows[table] += read.length;
      yield read.map(({ document }) => `${table} ${document}\n`).join("");
      if (read.length < asked) break;
      page.read(read);
    }
  }
  yield `${JSON.stringify({ rows })}\n`;
}

/** Writes the file (mode 0600: it holds Secrets), whole or not at all. */
export async function backup(databaseUrl: string, file: string): Promise<Rows> {
  const session = await Session.open(databaseUrl, "backup", { cursor_tuple_fraction: "1.0" });
  const unfinished = `${file}.unfinished`;
  const rows = none();
  try {
    await session.query({ text: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" });
    await session.query({ text: "SET LOCAL idle_in_transaction_session_timeout = '10min'" });
    await pipeline(Readable.from(linesOf(session, rows)), createGzip(), createWriteStream(unfinished, { mode: 0o600 }));
    await rename(unfinished, file);
    return rows;
  } finally {
    await session.close();
    await rm(unfinished, { force: true });
  }
}

/** What is in a database that a restore would replace. */
export async function countObjects(databaseUrl: string): Promise<number> {
  const session = await Session.open(databaseUrl, "restore");
  try {
    return (await session.query<{ n: number }>({ text: "SELECT count(*) AS n FROM object" }))[0]?.n ?? 0;
  } finally {
    await session.close();
  }
}

/**
 * Replaces everything in a migrated database by the backup, in one transaction that holds the counter: servers that run meanwhile
 * wait, then load anew. Throws, with nothing changed, when the file is damaged or of another schema.
 */
export async function restore(databaseUrl: string, file: string): Promise<Rows> {
  const session = await Session.open(databaseUrl, "restore", { idle_in_transaction_session_timeout: "10min" });
  try {
    await session.query({ text: "BEGIN" });
    await session.query(LOCK_COUNTER);
    const rows = await replaceAll(session, file);
    await session.query({ text: "COMMIT" });
    // The new epoch begins now, not with the next write, and servers that run are told.
    await raiseAfterCrash(session, PARTITION_REVISIONS);
    await session.query({ text: `NOTIFY ${CHANNEL}` });
    return rows;
  } finally {
    await session.close();
  }
}

async function replaceAll(session: Session, file: string): Promise<Rows> {
  const lines = createInterface({
    input: createReadStream(file).pipe(createGunzip()),
    crlfDelay: Number.POSITIVE_INFINITY,
  });
  const rows = none();
  let header: BackupHeader | undefined;
  let end: { rows: Rows } | undefined;
  let portion: { table: Table; documents: string[]; bytes: number } | undefined;
  const send = async () => {
    if (portion) await insert(session, portion.table, portion.documents);
    portion = undefined;
  };
  for await (const line of lines) {
    if (!header) {
      header = checkHeader(line, await headerOf(session));
      await empty(session);
    } else if (line.startsWith("{")) end = JSON.parse(line) as { rows: Rows };
    else {
      const table = line.slice(0, line.indexOf(" "));
      if (!isTable(table)) throw new Error(`the backup has rows of an unknown table: ${table.slice(0, 40)}`);
      if (portion && (portion.table !== table || portion.bytes > PORTION_BYTES)) await send();
      portion ??= { table, documents: [], bytes: 0 };
      portion.documents.push(line.slice(table.length + 1));
      portion.bytes += line.length;
      rows[table]++;
    }
  }
  await send();
  if (!header || !end || Object.entries(end.rows).some(([table, n]) => rows[table as Table] !== n))
    throw new Error("the backup is not whole: it was cut short; nothing was changed");
  await finish(session, header.revision);
  return rows;
}

function checkHeader(line: string, here: BackupHeader): BackupHeader {
  const header = line.startsWith("{") ? (JSON.parse(line) as BackupHeader) : undefined;
  if (header?.format !== FORMAT) throw new Error("this is no backup of Capstan, or one of a newer version");
  const [theirs, ours] = [header.migrations.join(", "), here.migrations.join(", ")];
  if (theirs !== ours)
    throw new Error(`the backup is of another schema (${theirs}; this database: ${ours}); nothing was changed`);
  return header;
}

/** Numbers of tenants are never used again: those that the backup does not know stay, as removed. */
async function empty(session: Session): Promise<void> {
  await session.query({ text: "CREATE TEMP TABLE present ON COMMIT DROP AS SELECT id, name FROM tenant" });
  await session.query({ text: "TRUNCATE object, ledger, moment, change, tenant, crash_marker" });
}

async function insert(session: Session, table: Table, documents: string[]): Promise<void> {
  await session.query(
    {
      text: `INSERT INTO "${table}" OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(null::"${table}", $1::json)`,
    },
    [`[${documents.join(",")}]`],
  );
}

async function finish(session: Session, revision: Revision): Promise<void> {
  const statements = [
    `UPDATE counter SET revision = greatest(revision, ${revision})`,
    "UPDATE compaction SET revision = (SELECT revision FROM counter)",
    `INSERT INTO tenant (id, name, revision, removed) OVERRIDING SYSTEM VALUE
      SELECT p.id, p.name, c.revision, true FROM present p, counter c WHERE NOT EXISTS (SELECT FROM tenant t WHERE t.id = p.id)`,
    "SELECT setval(pg_get_serial_sequence('tenant', 'id'), (SELECT max(id) FROM tenant))",
  ];
  for (const text of statements) await session.query({ text });
}
