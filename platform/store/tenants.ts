/**
 * Tenants as the API server sees them: a name outside, an immutable number inside (S10: a tenant is a row and a key
 * prefix, nothing else). A number is never used again, so a token, certificate or continue token of a removed tenant
 * opens nothing; its name may be taken again by a new tenant with another number.
 * Lookups are answered from memory; the memory follows the store's log, so every API server sees a change as soon as it
 * sees the objects written after it.
 */
import type { Revision, TenantId } from "./port.ts";

export interface Tenant {
  id: TenantId;
  name: string;
}

export interface TenantDirectory {
  /** The living tenant of that name. */
  byName(name: string): Tenant | undefined;
  /** The living tenant of that number. */
  byId(id: TenantId): Tenant | undefined;
  /** Every living tenant, `root` first. */
  all(): Tenant[];
  /**
   * As byName, but when the name is unknown here asks the database once, so that a tenant made a moment ago through
   * another API server is found. Unknown names are remembered for a moment (bounded), so guessing costs no queries.
   */
  resolve(name: string): Promise<Tenant | undefined>;
  /** Makes a tenant, or returns the living one of that name. Resolves when this process knows it. */
  create(name: string): Promise<Tenant>;
  /** Retires the number for good. The tenant's objects must have been deleted before. `root` cannot be removed. */
  remove(id: TenantId): Promise<void>;
  /** Called after each change of the directory; returns the unsubscribe. */
  onChange(listener: () => void): () => void;
}

export interface TenantRecord extends Tenant {
  revision: Revision;
  removed: boolean;
}
