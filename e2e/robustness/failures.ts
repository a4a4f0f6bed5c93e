/** What is done to the cluster while it works. Each failure ends by itself: afterwards everything runs again. */
import { delay } from "#platform/base/clock.ts";
import { dropPartitions } from "#platform/store/postgres/partitions.ts";
import { Session } from "#platform/store/postgres/session.ts";
import type { Cluster } from "../support/cluster.ts";
import type { Random } from "../support/random.ts";

/** `keep` saves the log before some of it is dropped. */
type Failure = (cluster: Cluster, random: Random, keep: () => Promise<void>) => Promise<void>;

/** Ends the connections whose application_name matches (SQL LIKE). */
const cut = (cluster: Cluster, like: string) =>
  cluster.sql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE $1 AND pid <> pg_backend_pid()",
    [like],
  );

async function killServer(cluster: Cluster, random: Random): Promise<void> {
  const server = random.pick(cluster.servers);
  await server.end("SIGKILL");
  await delay(random.below(1_000));
  server.start();
  await cluster.served(server);
}

async function stopServer(cluster: Cluster, random: Random): Promise<void> {
  const server = random.pick(cluster.servers);
  server.signal("SIGSTOP");
  await delay(1_000 + random.below(5_000));
  server.signal("SIGCONT");
}

async function killBackend(cluster: Cluster): Promise<void> {
  const backends = await cluster.sql<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'capstan-committer' ORDER BY query_start DESC LIMIT 1",
  );
  // The postmaster restarts everything when one of its children is killed so: a crash of the database.
  for (const { pid } of backends) process.kill(pid, "SIGKILL");
}

async function stopBackend(cluster: Cluster, random: Random): Promise<void> {
  const backends = await cluster.sql<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'capstan-%' ORDER BY random() LIMIT 1",
  );
  for (const { pid } of backends) {
    process.kill(pid, "SIGSTOP");
    await delay(500 + random.below(2_500));
    process.kill(pid, "SIGCONT");
  }
}

async function killPostmaster(cluster: Cluster, random: Random): Promise<void> {
  await cluster.db.kill();
  await delay(random.below(1_500));
  await cluster.db.start();
}

async function restartDatabase(cluster: Cluster): Promise<void> {
  await cluster.db.stop();
  await cluster.db.start();
}

/** Drops all whole partitions that hold nothing `keep` has not read. */
async function compact(cluster: Cluster, _random: Random, keep: () => Promise<void>): Promise<void> {
  const session = await Session.open(cluster.db.url, "robustness");
  try {
    const [row] = await session.query<{ revision: number }>({ text: "SELECT revision FROM counter" });
    await keep();
    await dropPartitions(session, row?.revision ?? 0);
  } finally {
    await session.close();
  }
}

export const FAILURES: Readonly<Record<string, Failure>> = {
  "kill -9 of an API server": killServer,
  "SIGSTOP of an API server": stopServer,
  "committers' connections cut": async (cluster) => void (await cut(cluster, "capstan-committer")),
  "LISTEN connections cut": async (cluster) => void (await cut(cluster, "capstan-tail")),
  "all connections cut": async (cluster) => void (await cut(cluster, "capstan-%")),
  "kill -9 of a backend": killBackend,
  "SIGSTOP of a backend": stopBackend,
  "kill -9 of the postmaster": killPostmaster,
  "restart of the database": restartDatabase,
  compaction: compact,
};
