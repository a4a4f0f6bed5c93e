/** The tenants of the database, in memory; the tail brings every change (see ../tenants.ts for the contract). */
import { type Log, messageOf } from "#platform/base/log.ts";
import { badRequest, unavailable } from "#sdk/api/status.ts";
import { ROOT_TENANT, type TenantId } from "../port.ts";
import type { Tenant, TenantDirectory, TenantRecord } from "../tenants.ts";
import { ConnectionLost, Session, type Statement } from "./session.ts";
import { CHANNEL, COUNTER_ROW, TAKE_REVISIONS } from "./statements.ts";

const NOTIFY = { text: "SELECT pg_notify($1, '')", values: [CHANNEL] };
const COLUMNS = "id, name, revision, removed";
/** How long a name that the database did not know is not asked for again, in milliseconds, and how many are remembered. */
const UNKNOWN_MS = 1_000;
const UNKNOWN_MAX = 10_000;

export interface PostgresTenantsOptions {
  databaseUrl: string;
  log: Log;
  onWrite(): void;
}

export class PostgresTenants implements TenantDirectory {
  readonly #options: PostgresTenantsOptions;
  readonly #byName = new Map<string, Tenant>();
  readonly #byId = new Map<TenantId, Tenant>();
  readonly #unknown = new Map<string, number>();
  /** Numbers that are gone for good: an answer read before a removal must not bring one back. */
  readonly #removed = new Set<TenantId>();
  readonly #listeners = new Set<() => void>();

  constructor(options: PostgresTenantsOptions) {
    this.#options = options;
    this.#put({ id: ROOT_TENANT, name: "root" });
  }

  byName(name: string): Tenant | undefined {
    return this.#byName.get(name);
  }

  byId(id: TenantId): Tenant | undefined {
    return this.#byId.get(id);
  }

  all(): Tenant[] {
    return [...this.#byId.values()].sort((a, b) => a.id - b.id);
  }

  /** Resolves when all tenants that live now are known. Throws 503 when the database cannot be reached. */
  async load(): Promise<void> {
    const text = `SELECT ${COLUMNS} FROM tenant WHERE NOT removed`;
    this.take(await this.#transaction([{ text, values: [] }]));
  }

  async resolve(name: string): Promise<Tenant | undefined> {
    const found = this.#byName.get(name);
    const until = this.#unknown.get(name);
    if (found || (until !== undefined && until > performance.now())) return found;
    const text = `SELECT ${COLUMNS} FROM tenant WHERE name = $1 AND NOT removed`;
    this.take(await this.#transaction([{ text, values: [name] }]));
    if (!this.#byName.has(name)) {
      if (this.#unknown.size >= UNKNOWN_MAX) this.#unknown.clear();
      this.#unknown.set(name, performance.now() + UNKNOWN_MS);
    }
    return this.#byName.get(name);
  }

  async create(name: string): Promise<Tenant> {
    const insert = `INSERT INTO tenant (name, revision) SELECT $1, revision FROM counter WHERE ${COUNTER_ROW}
      ON CONFLICT (name) WHERE NOT removed DO NOTHING`;
    this.take(
      await this.#transaction([
        { ...TAKE_REVISIONS, values: [1] },
        { text: insert, values: [name] },
        NOTIFY,
        { text: `SELECT ${COLUMNS} FROM tenant WHERE name = $1 AND NOT removed`, values: [name] },
      ]),
    );
    this.#options.onWrite();
    const tenant = this.#byName.get(name);
    if (!tenant) throw unavailable(`the tenant ${name} was removed while it was made`);
    return tenant;
  }

  async remove(id: TenantId): Promise<void> {
    if (id === ROOT_TENANT) throw badRequest("the tenant root cannot be removed");
    const update = `UPDATE tenant SET removed = true, revision = (SELECT revision FROM counter WHERE ${COUNTER_ROW})
      WHERE id = $1 AND NOT removed`;
    this.take(
      await this.#transaction([
        { ...TAKE_REVISIONS, values: [1] },
        { text: update, values: [id] },
        NOTIFY,
        { text: `SELECT ${COLUMNS} FROM tenant WHERE id = $1`, values: [id] },
      ]),
    );
    this.#options.onWrite();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Records in any order, some maybe known already; a removed tenant never comes back. */
  take(records: readonly TenantRecord[]): void {
    let changed = false;
    for (const { id, name, removed } of [...records].sort((a, b) => a.revision - b.revision)) {
      if (this.#removed.has(id) || (!removed && this.#byId.has(id))) continue;
      changed = true;
      this.#unknown.delete(name);
      if (!removed) this.#put({ id, name });
      else {
        this.#removed.add(id);
        this.#byId.delete(id);
        if (this.#byName.get(name)?.id === id) this.#byName.delete(name);
      }
    }
    if (changed) for (const listener of this.#listeners) listener();
  }

  #put(tenant: Tenant): void {
    this.#byId.set(tenant.id, tenant);
    this.#byName.set(tenant.name, tenant);
  }

  /** Runs the statements in one transaction on a connection of its own (tenants are made rarely); returns the last one's rows. */
  async #transaction(statements: (Statement & { values: unknown[] })[]): Promise<TenantRecord[]> {
    let session: Session | undefined;
    try {
      session = await Session.open(this.#options.databaseUrl, "tenants");
      const open = session;
      const settled = await Promise.allSettled([
        open.query({ text: "BEGIN" }),
        ...statements.map(({ values, ...statement }) => open.query(statement, values)),
        open.query({ text: "COMMIT" }),
      ]);
      for (const outcome of settled) if (outcome.status === "rejected") throw outcome.reason;
      const last = settled[statements.length];
      return last?.status === "fulfilled" ? (last.value as unknown as TenantRecord[]) : [];
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      this.#options.log.warn("the tenants cannot be read or changed", { error: messageOf(error) });
      throw unavailable("the database is not reachable");
    } finally {
      await session?.close();
    }
  }
}
