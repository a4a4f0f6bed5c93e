/** Composition of the store: PostgresStore below, the watch cache above. */
import { type Clock, delay, systemClock } from "#platform/base/clock.ts";
import type { Metric } from "#platform/base/exposition.ts";
import type { Log } from "#platform/base/log.ts";
import { WatchCache } from "#platform/store/cache/cache.ts";
import { SealedBacking } from "#platform/store/encryption/backing.ts";
import { followedSealing, sealingOf } from "#platform/store/encryption/file.ts";
import { keepExpiring } from "#platform/store/expiry.ts";
import type { Store } from "#platform/store/port.ts";
import { PostgresStore } from "#platform/store/postgres/store.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import { isReason, unavailable } from "#sdk/api/status.ts";

export interface OpenStore {
  store: Store;
  tenants: TenantDirectory;
  /** Resolves once the store can serve reads, and every tenant is known. */
  ready: Promise<void>;
  /** Throws 503 with the reason when requests cannot be served: the database is away, silent or read-only, or the cache is loading. */
  check(): Promise<void>;
  /** Throws 503 with the reason while the cache is loading. */
  checkCache(): Promise<void>;
  /** Throws 503 with the reason when what should be encrypted cannot be: the KMS plugin is away. */
  checkEncryption(): Promise<void>;
  metrics(): Metric[];
  close(): Promise<void>;
}

const CHECK_MS_MAX = 2_000;

/** Fields that lists and watches are narrowed by: a node agent reads its own pods. */
const INDEXED_FIELDS = { pods: ["spec.nodeName"] };
/** What every tenant has from its first moment (apiserver/bootstrap.ts). */
const REPEATED = [
  ...["clusterroles", "clusterrolebindings", "roles", "rolebindings"].map(
    (name) => `${name}.rbac.authorization.k8s.io`,
  ),
  ...["flowschemas", "prioritylevelconfigurations"].map((name) => `${name}.flowcontrol.apiserver.k8s.io`),
  "priorityclasses.scheduling.k8s.io",
  "namespaces",
];
const TURNS_MS = {
  /** Hundreds of heartbeats a second are read by loops that count in tens of seconds. Who watches one lease is told at once: it is rarely written. */
  "leases.coordination.k8s.io": 250,
  /** What a server serves by them is there as soon as their conditions say so: nobody may read those before the server itself does. */
  "customresourcedefinitions.apiextensions.k8s.io": 0,
  "apiservices.apiregistration.k8s.io": 0,
};
/** As kube-apiserver's --event-ttl. */
const AGES = { events: 3_600_000 };

export interface StoreOptions {
  databaseUrl: string;
  log: Log;
  clock?: Clock;
  /** Path of an EncryptionConfiguration; without one nothing is encrypted. */
  encryption?: string;
}

const RETRY_MS = 500;

/** The log tells of each tenant some time; who goes through all of them at the start must not miss one. */
async function allTenants({ tenants }: PostgresStore, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      return await tenants.load();
    } catch (error) {
      if (!isReason(error, "ServiceUnavailable")) throw error;
      await delay(RETRY_MS, signal);
    }
  }
}

/** The database must have been migrated. Reconnects by itself; until it can be reached `ready` is pending. */
export function createStore(options: StoreOptions): OpenStore {
  const { databaseUrl, log, clock = systemClock, encryption } = options;
  const stop = new AbortController();
  const sealing =
    encryption === undefined ? sealingOf(undefined, log) : followedSealing({ path: encryption, log }, stop.signal);
  const postgres = new PostgresStore({ databaseUrl, log, clock });
  const backing = new SealedBacking(postgres, sealing);
  const cache = new WatchCache({
    ...{ backing, log, clock },
    indexedFields: INDEXED_FIELDS,
    repeated: REPEATED,
    turnsMs: TURNS_MS,
  });
  const expiring = keepExpiring(
    {
      ages: AGES,
      revisionBefore: (ageMs) => postgres.revisionBefore(ageMs),
      lastWrittenBefore: (...asked) => cache.lastWrittenBefore(...asked),
      write: (write) => cache.write(write),
      log,
    },
    stop.signal,
  );
  return {
    store: cache,
    tenants: postgres.tenants,
    ready: cache.loaded.then(() => allTenants(postgres, stop.signal)),
    check: async () => {
      const trouble = cache.trouble() ?? postgres.trouble();
      if (trouble !== undefined) throw unavailable(trouble);
      const late = AbortSignal.timeout(CHECK_MS_MAX);
      const silence = new Promise<never>((_, reject) => {
        late.onabort = () => reject(unavailable(`the database has not answered for ${CHECK_MS_MAX / 1_000} s`));
      });
      await Promise.race([postgres.position(), silence]);
    },
    checkCache: async () => {
      const trouble = cache.trouble();
      if (trouble !== undefined) throw unavailable(trouble);
    },
    checkEncryption: async () => {
      const trouble = sealing.trouble();
      if (trouble !== undefined) throw unavailable(trouble);
    },
    metrics: () => [...cache.metrics(), ...postgres.metrics()],
    close: async () => {
      stop.abort();
      await cache.close();
      await postgres.close();
      await expiring;
      sealing.close();
    },
  };
}
