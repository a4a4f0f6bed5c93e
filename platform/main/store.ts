/** Composition of the store: PostgresStore below, the watch cache above. */
import { type Clock, systemClock } from "#platform/base/clock.ts";
import type { Log } from "#platform/base/log.ts";
import { WatchCache } from "#platform/store/cache/cache.ts";
import { keepExpiring } from "#platform/store/expiry.ts";
import type { Store } from "#platform/store/port.ts";
import { PostgresStore } from "#platform/store/postgres/store.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";

export interface OpenStore {
  store: Store;
  tenants: TenantDirectory;
  /** Resolves once the store can serve reads. */
  ready: Promise<void>;
  close(): Promise<void>;
}

/** Fields that lists and watches are narrowed by: a node agent reads its own pods. */
const INDEXED_FIELDS = { pods: ["spec.nodeName"] };
/** As kube-apiserver's --event-ttl. */
const AGES = { events: 3_600_000 };

/** The database must have been migrated. Reconnects by itself; until it can be reached `ready` is pending. */
export function createStore(options: { databaseUrl: string; log: Log; clock?: Clock }): OpenStore {
  const { databaseUrl, log, clock = systemClock } = options;
  const postgres = new PostgresStore({ databaseUrl, log, clock });
  const cache = new WatchCache({ backing: postgres, log, clock, indexedFields: INDEXED_FIELDS });
  const stop = new AbortController();
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
    ready: cache.loaded,
    close: async () => {
      stop.abort();
      await cache.close();
      await postgres.close();
      await expiring;
    },
  };
}
