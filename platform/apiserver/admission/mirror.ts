/**
 * Objects of one kind of every tenant, made ready once for admission and kept current by the store's watch. It names the tenant in every key;
 * nothing of one tenant is seen by another.
 */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { ALL_TENANTS, type Store, type StoredObject, type TenantId } from "#platform/store/port.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { decode } from "../registry/document.ts";

const RETRY_MS = 500;

export interface MirrorOptions<T> {
  store: Store;
  /** The store's name of the kind: "validatingwebhookconfigurations.admissionregistration.k8s.io". */
  resource: string;
  log: Log;
  /** What admission needs of an object; may be costly, is called once a change. */
  make(object: DynamicObject, tenant: TenantId): T;
}

export class Mirror<T> {
  readonly #o: MirrorOptions<T>;
  readonly #tenants = new Map<TenantId, Map<string, T>>();
  readonly #sorted = new Map<TenantId, readonly T[]>();

  constructor(options: MirrorOptions<T>) {
    this.#o = options;
  }

  /** Of one tenant, by name. */
  list(tenant: TenantId): readonly T[] {
    const present = this.#sorted.get(tenant);
    if (present) return present;
    const objects = this.#tenants.get(tenant);
    if (!objects) return [];
    const sorted = [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, made]) => made);
    this.#sorted.set(tenant, sorted);
    return sorted;
  }

  /** Those that have had any. */
  tenants(): Iterable<TenantId> {
    return this.#tenants.keys();
  }

  get(tenant: TenantId, name: string): T | undefined {
    return this.#tenants.get(tenant)?.get(name);
  }

  /** Resolves when all that is there has been read; follows the changes until the signal aborts. */
  start(signal: AbortSignal): Promise<void> {
    return new Promise((synced, failed) => void this.#follow(signal, synced).catch(failed));
  }

  async #follow(signal: AbortSignal, synced: () => void): Promise<void> {
    const scope = { tenant: ALL_TENANTS, resource: this.#o.resource };
    while (!signal.aborted) {
      const seen = new Set<string>();
      let initial = true;
      try {
        for await (const events of this.#o.store.watch({ scope, after: 0, initial: true, bookmarks: true, signal })) {
          for (const event of events) {
            if (event.type === "change") {
              const { object, type } = event.change;
              if (initial) seen.add(`${object.key.tenant}/${object.key.name}`);
              this.#put(object, type === "deleted");
            } else if (event.initialEnd) {
              this.#forget(seen);
              initial = false;
              synced();
            }
          }
        }
      } catch (error) {
        const { log, resource } = this.#o;
        log.warn("watching admission's objects failed, starting again", { resource, error: messageOf(error) });
        await delay(RETRY_MS, signal);
      }
    }
    synced();
  }

  #put(stored: StoredObject, deleted: boolean): void {
    const { tenant, name } = stored.key;
    const objects = this.#tenants.get(tenant) ?? new Map<string, T>();
    this.#tenants.set(tenant, objects);
    if (deleted) objects.delete(name);
    else objects.set(name, this.#o.make(decode(stored), tenant));
    this.#sorted.delete(tenant);
  }

  /** After a new start: what was there before and is no more. */
  #forget(seen: ReadonlySet<string>): void {
    for (const [tenant, objects] of this.#tenants) {
      for (const name of objects.keys()) if (!seen.has(`${tenant}/${name}`)) objects.delete(name);
      this.#sorted.delete(tenant);
    }
  }
}
