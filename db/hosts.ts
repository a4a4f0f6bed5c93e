/**
 * A database URL may name several hosts, as libpq's does: `postgres://user:password@one:5432,two:5432/name`. One of them takes writes;
 * which one is asked of all, again after every lost connection. A host whose write-ahead log is on an older timeline
 * than one seen before was primary once and has been replaced: it is not taken, though it may say that it takes writes.
 */
import pg from "pg";

const PROBE_MS_MAX = 2_000;
/** How long the others may take to answer once one has said that it takes writes. */
const OTHERS_MS_MAX = 1_000;

/** One URL for each host, in their order. */
export function hostUrls(databaseUrl: string): string[] {
  const parts = /^([a-z]+:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/s.exec(databaseUrl);
  const [, before = "", hosts = "", rest = ""] = parts ?? [];
  return hosts.includes(",") ? hosts.split(",").map((host) => `${before}${host}${rest}`) : [databaseUrl];
}

/** Hosts and ports alone, for messages. */
export const hostNames = (databaseUrl: string): string =>
  hostUrls(databaseUrl)
    .map((url) => new URL(url).host)
    .join(", ");

interface Primary {
  url: string;
  /** Of the cluster that all hosts are copies of. */
  system: string;
  timeline: number;
}

/** By database URL: the primary that was found last, or the search for it. */
const found = new Map<string, Promise<Primary>>();
/** By cluster: the newest timeline that was seen. */
const timelines = new Map<string, number>();

/** The URL of the host that takes writes; of one host, that host, unasked. Throws with every host's reason when none does. */
export async function primaryUrl(databaseUrl: string): Promise<string> {
  const urls = hostUrls(databaseUrl);
  if (urls.length === 1) return databaseUrl;
  let search = found.get(databaseUrl);
  if (!search) {
    search = findPrimary(urls);
    found.set(databaseUrl, search);
    search.catch(() => forgetPrimary(databaseUrl, search));
  }
  return (await search).url;
}

/** The next one who asks searches anew. With `search` only when that is still the answer. */
export function forgetPrimary(databaseUrl: string, search?: Promise<Primary>): void {
  if (search === undefined || found.get(databaseUrl) === search) found.delete(databaseUrl);
}

async function findPrimary(urls: readonly string[]): Promise<Primary> {
  const primaries: Primary[] = [];
  const reasons: string[] = [];
  const decided = Promise.withResolvers<void>();
  let waiting: NodeJS.Timeout | undefined;
  const probes = urls.map(async (url) => {
    try {
      primaries.push(await probe(url));
      waiting ??= setTimeout(decided.resolve, OTHERS_MS_MAX);
    } catch (error) {
      reasons.push(`${new URL(url).host}: ${error instanceof Error ? error.message : String(error)}`);
    }
  });
  void Promise.all(probes).then(() => decided.resolve());
  await decided.promise;
  clearTimeout(waiting);
  const newest = primaries.reduce<Primary | undefined>((a, b) => (a && a.timeline >= b.timeline ? a : b), undefined);
  if (!newest) throw new Error(`no host takes writes (${reasons.join("; ")})`);
  const known = timelines.get(newest.system) ?? 0;
  if (newest.timeline < known)
    throw new Error(`${new URL(newest.url).host} has been replaced: it is on timeline ${newest.timeline} of ${known}`);
  timelines.set(newest.system, newest.timeline);
  return newest;
}

/** The first eight digits of a WAL file's name are its timeline. A standby may not be asked for it. */
const ASK = `SELECT current_setting('transaction_read_only') = 'on' AS "readOnly", pg_is_in_recovery() AS standby,
  (SELECT system_identifier FROM pg_control_system())::text AS system,
  CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END AS timeline`;

async function probe(url: string): Promise<Primary> {
  const client = new pg.Client({
    connectionString: url,
    application_name: "capstan-probe",
    connectionTimeoutMillis: PROBE_MS_MAX,
    query_timeout: PROBE_MS_MAX,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{
      readOnly: boolean;
      standby: boolean;
      system: string;
      timeline: string | null;
    }>(ASK);
    const [row] = rows;
    if (!row || row.timeline === null) throw new Error("a standby");
    if (row.readOnly) throw new Error("read-only");
    return { url, system: row.system, timeline: Number.parseInt(row.timeline, 16) };
  } finally {
    // The farewell of a host that is gone would be waited for.
    void client.end().catch(() => undefined);
  }
}
