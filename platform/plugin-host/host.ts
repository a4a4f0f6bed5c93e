/**
 * Runs the components that Plugin objects name, for one role of one process. Main gives it the Plugin objects (an informer on root), an
 * engine and what capabilities need; the worlds' adapters (worlds/v1) turn the contract into plain objects for the role.
 */
import { type Clock, systemClock, timeText } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { capabilitiesText, runnable, tenantError } from "#sdk/plugin/approval.ts";
import type { Plugin, PluginHostStatus, PluginSpec, World } from "#sdk/plugin/manifest.ts";
import { configError, specError } from "./checks.ts";
import { PluginCallError } from "./errors.ts";
import { Loader, type Owned } from "./loader.ts";
import { PluginMetrics } from "./metrics.ts";
import type { Pool, Prepare } from "./pool.ts";
import type { CallOptions, LoadedPlugin, PluginHost, PluginHostOptions } from "./port.ts";
import { DEFAULT_QUOTA } from "./quota.ts";
import { StatusReporter } from "./reporter.ts";

export type { CallOptions, LoadedPlugin, PluginHost, PluginHostOptions, PluginSource } from "./port.ts";

interface Entry extends Owned {
  /** Of the spec without `enabled` and `approved`: another one is another pool. */
  fingerprint: string;
  spec: PluginSpec;
  /** Serving, or the only one. */
  pool: Pool | undefined;
  /** Becomes `pool` when it is warm (P7). */
  successor: Pool | undefined;
  /** Why there is no pool, or which version waits. */
  reason: string;
  /** Its capabilities wait for approval, and nothing older serves. */
  waiting: boolean;
  loaded: LoadedPlugin;
}

export function createPluginHost(options: PluginHostOptions): PluginHost {
  return new Host(options);
}

class Host implements PluginHost {
  generation = 0;
  readonly #o: PluginHostOptions;
  readonly #clock: Clock;
  readonly #loader: Loader;
  readonly #entries = new Map<string, Entry>();
  /** What was seen last of each object, as JSON text. */
  readonly #seen = new Map<string, string>();
  readonly #guards = new Map<string, readonly string[]>();
  readonly #prepares = new Map<World, (plugin: PluginSpec, name: string) => Prepare>();
  readonly #partings = new Map<World, { hooks: string; functionName: string }>();
  readonly #listeners: (() => void)[] = [];
  readonly #reporter: StatusReporter;
  /** Plugins beyond their tenant's quota: looked at again when one of the tenant's goes. */
  readonly #beyond = new Map<string, Plugin>();
  /** By world and tenant; made when it is asked for. Tenants without plugins of their own share root's. */
  readonly #lists = new Map<string, readonly LoadedPlugin[]>();
  /** Whoever has plugins of its own. */
  #owners: ReadonlySet<string> = new Set();

  constructor(options: PluginHostOptions) {
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
    this.#loader = new Loader({ ...options, quota: options.quota ?? (() => DEFAULT_QUOTA), clock: this.#clock });
    const { role, instance, client, log } = options;
    this.#reporter = new StatusReporter({ role, instance, client, log, status: (key) => this.status(key) });
  }

  prepare(world: World, prepare: (plugin: PluginSpec, name: string) => Prepare): void {
    this.#prepares.set(world, prepare);
  }

  parting(world: World, hooks: string, functionName: string): void {
    this.#partings.set(world, { hooks, functionName });
  }

  start(): void {
    this.#o.plugins.on({
      added: (plugin) => this.#apply(plugin),
      updated: (plugin) => this.#apply(plugin),
      deleted: (plugin) => {
        const key = keyOf(plugin);
        this.#seen.delete(key);
        this.#refuse(key, "the Plugin object was deleted");
        this.#entries.delete(key);
      },
    });
    for (const plugin of this.#o.plugins.list()) this.#apply(plugin);
    this.#reporter.start();
  }

  async ready(): Promise<void> {
    const pools = [...this.#entries.values()].flatMap(({ pool }) => (pool ? [pool] : []));
    await Promise.all(pools.map((pool) => pool.settled()));
  }

  loaded(world: World, tenant = "root"): readonly LoadedPlugin[] {
    const own = this.#owners.has(tenant) ? tenant : "root";
    return this.#listed(`${world} ${own}`, world, (owner) => owner === "root" || owner === own);
  }

  everybodys(world: World): readonly LoadedPlugin[] {
    return this.#listed(world, world, () => true);
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  guard(name: string): boolean {
    for (const names of this.#guards.values()) if (names.includes(name)) return true;
    return false;
  }

  status(key: string): PluginHostStatus | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    const { pool, successor, metrics } = entry;
    const failing = successor && successor.reason !== "" ? `the new version: ${successor.reason}` : "";
    return {
      state: pool?.state ?? (entry.waiting ? "waiting-for-approval" : "absent"),
      reason: failing || pool?.reason || entry.reason,
      engine: this.#loader.engineOf(pool?.spec ?? entry.spec),
      digest: pool?.spec.digest ?? entry.spec.digest,
      calls: metrics.calls,
      errors: metrics.errors,
      errorsByKind: { ...metrics.errorsByKind },
      latency: metrics.latency(),
      instances: pool?.instances ?? 0,
      restarts: metrics.restarts,
      memoryBytes: pool?.memoryBytes ?? 0,
      costMicros: Math.round(metrics.costMicros),
      hooks: metrics.hooks(),
      lastSeen: timeText(this.#clock.now()),
    };
  }

  async close(): Promise<void> {
    this.#reporter.stop();
    await Promise.all(
      [...this.#entries.values()].flatMap(({ pool, successor }) => [pool?.drain(), successor?.drain()]),
    );
    await this.#reporter.written();
    this.#loader.close();
  }

  #apply(plugin: Plugin): void {
    const key = keyOf(plugin);
    // Every process' status comes by here too, every two seconds: only another spec is worth a look.
    const text = JSON.stringify([plugin.spec, plugin.status?.revisions?.[0]]);
    if (this.#seen.get(key) === text) return;
    this.#seen.set(key, text);
    try {
      const { asked, spec } = runnable(plugin);
      this.#take(plugin, asked, spec);
    } catch (error) {
      this.#refuse(key, specError(error));
    }
  }

  /** `spec`: what of it may run. */
  #take(plugin: Plugin, asked: PluginSpec, spec: PluginSpec | undefined): void {
    const [key, tenant] = [keyOf(plugin), tenantOf(plugin)];
    if (tenant === "root") {
      if (spec?.enabled) this.#guards.set(key, spec.guards);
      else this.#guards.delete(key);
    }
    const shown = spec ?? asked;
    if (!shown.worlds.some((world) => this.#o.worlds.includes(world))) return;
    const entry = this.#entries.get(key) ?? this.#newEntry(plugin, shown);
    entry.spec = shown;
    entry.waiting = spec === undefined;
    const wrong = configError(shown) ?? (tenant === "root" ? undefined : tenantError(shown));
    const asks = `version ${asked.version} waits for approval of ${capabilitiesText(asked.capabilities)}`;
    entry.reason = spec === asked ? "" : asks;
    if (wrong !== undefined) this.#refuse(key, wrong);
    else if (!shown.enabled) this.#disable(entry, "disabled (spec.enabled is false)");
    else if (!spec) this.#disable(entry, asks);
    else if (this.#isBeyondQuota(entry)) {
      this.#beyond.set(key, plugin);
      this.#disable(entry, `the quota of tenant ${tenant} allows ${this.#loader.use(tenant).count} plugins`);
    } else this.#run(entry);
  }

  /** Another pool where the spec is another. */
  #run(entry: Entry): void {
    const { enabled: _, approved: __, ...rest } = entry.spec;
    const fingerprint = JSON.stringify(rest);
    this.#reporter.changed(entry.key);
    if (entry.fingerprint === fingerprint) return;
    entry.fingerprint = fingerprint;
    void entry.successor?.drain();
    entry.successor = undefined;
    const world = entry.spec.worlds.find((candidate) => this.#prepares.has(candidate));
    const prepare = world && this.#prepares.get(world)?.(entry.spec, entry.key);
    const pool = this.#loader.pool(entry, entry.spec, prepare, (changed) => this.#poolChanged(entry, changed));
    if (entry.pool?.state === "serving") entry.successor = pool;
    else {
      void entry.pool?.drain();
      entry.pool = pool;
    }
    pool.start();
    this.#update();
  }

  #isBeyondQuota({ key, tenant, pool }: Entry): boolean {
    if (tenant === "root" || pool) return false;
    let running = 0;
    for (const other of this.#entries.values())
      if (other.tenant === tenant && other.key !== key && other.pool) running++;
    return running >= this.#loader.use(tenant).count;
  }

  #refuse(key: string, reason: string): void {
    this.#guards.delete(key);
    this.#o.log.warn("a plugin is not loaded", { plugin: key, reason });
    const entry = this.#entries.get(key);
    if (entry) this.#disable(entry, reason);
  }

  #disable(entry: Entry, reason: string): void {
    const ran = entry.pool !== undefined;
    void this.#part(entry);
    void entry.successor?.drain();
    entry.pool = undefined;
    entry.successor = undefined;
    entry.fingerprint = "";
    entry.reason = reason;
    this.#reporter.changed(entry.key);
    this.#update();
    if (ran) this.#tryBeyond(entry.tenant);
  }

  /** It takes away what it made, where its world has a call for that, and goes. */
  async #part({ key, pool, tenant }: Entry): Promise<void> {
    const last = pool?.spec.worlds.flatMap((world) => this.#partings.get(world) ?? []) ?? [];
    for (const { hooks, functionName } of pool?.state === "serving" ? last : []) {
      const call = { interfaceName: interfaceOf(hooks), functionName, args: [], tenant };
      await pool?.call({ ...call, deadlineMs: Number.POSITIVE_INFINITY }).catch((error: unknown) => {
        this.#o.log.warn("a plugin left what it made", { plugin: key, error: messageOf(error) });
      });
    }
    await pool?.drain();
  }

  /** One of a tenant's has gone: the next one that was beyond the quota may come. */
  #tryBeyond(tenant: string): void {
    for (const [key, plugin] of this.#beyond) {
      if (tenantOf(plugin) !== tenant) continue;
      this.#beyond.delete(key);
      if (!this.#entries.has(key)) continue;
      this.#seen.delete(key);
      this.#apply(plugin);
      return;
    }
  }

  #newEntry(plugin: Plugin, spec: PluginSpec): Entry {
    const [key, name, tenant] = [keyOf(plugin), plugin.metadata.name ?? "", tenantOf(plugin)];
    const entry: Entry = {
      key,
      name,
      tenant,
      spec,
      fingerprint: "",
      metrics: new PluginMetrics(),
      pool: undefined,
      successor: undefined,
      reason: "",
      waiting: false,
      loaded: {
        name: key,
        tenant,
        get spec() {
          return entry.pool?.spec ?? entry.spec;
        },
        call: (hooks, functionName, args, o) => this.#call(entry, hooks, functionName, args, o),
        offers: (hooks) => entry.pool?.offers(interfaceOf(hooks)) ?? false,
        broadcast: (hooks, functionName, args) => this.#broadcast(entry, hooks, functionName, args),
        failed: (functionName, failure) => entry.pool?.failed(functionName, failure) ?? new Error(failure.message),
        refused: (functionName, why) => entry.pool?.refused(functionName, why),
      },
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #poolChanged(entry: Entry, pool: Pool): void {
    this.#reporter.changed(entry.key);
    if (entry.successor !== pool || pool.state !== "serving") return;
    const old = entry.pool;
    entry.pool = pool;
    entry.successor = undefined;
    void old?.drain();
    this.#update();
  }

  #update(): void {
    this.#lists.clear();
    this.#owners = new Set([...this.#entries.values()].map(({ tenant }) => tenant));
    this.generation++;
    for (const listener of this.#listeners) listener();
  }

  #listed(key: string, world: World, ownedBy: (tenant: string) => boolean): readonly LoadedPlugin[] {
    let list = this.#lists.get(key);
    if (!list) {
      const entries = [...this.#entries.values()].filter(
        ({ pool, tenant, loaded }) => pool && ownedBy(tenant) && loaded.spec.worlds.includes(world),
      );
      list = this.#o.worlds.includes(world) ? entries.sort(byOrder).map(({ loaded }) => loaded) : [];
      this.#lists.set(key, list);
    }
    return list;
  }

  #call(entry: Entry, hooks: string, functionName: string, args: unknown[], o: CallOptions = {}): Promise<unknown> {
    const { pool } = entry;
    if (!pool) {
      return Promise.reject(new PluginCallError(entry.key, functionName, "unavailable", entry.reason || "not loaded"));
    }
    return pool.call({
      interfaceName: interfaceOf(hooks),
      functionName,
      args,
      tenant: entry.tenant === "root" ? (o.tenant ?? "root") : entry.tenant,
      ...(o.user ? { user: o.user } : {}),
      deadlineMs: o.deadlineMs ?? Number.POSITIVE_INFINITY,
    });
  }

  async #broadcast(entry: Entry, hooks: string, functionName: string, args: unknown[]): Promise<void> {
    const { pool, successor, tenant } = entry;
    const call = { interfaceName: interfaceOf(hooks), functionName, args, tenant, background: true };
    const deadlineMs = Number.POSITIVE_INFINITY;
    if (successor?.state === "serving" || successor?.state === "warming") {
      successor.call({ ...call, deadlineMs }).catch((error: unknown) => {
        this.#o.log.warn("a plugin's new version missed a change", { plugin: entry.key, error: messageOf(error) });
      });
    }
    // An instance that is made when it is next called gets everything then.
    if (tenant !== "root" && pool?.state === "serving" && pool.instances === 0) return;
    if (!pool) throw new PluginCallError(entry.key, functionName, "unavailable", entry.reason || "not loaded");
    await pool.call({ ...call, deadlineMs });
  }
}

const keyOf = (plugin: Plugin): string => {
  const [tenant, name] = [tenantOf(plugin), plugin.metadata.name ?? ""];
  return tenant === "root" ? name : `${tenant}/${name}`;
};

/** Root's first. */
const byOrder = (a: Entry, b: Entry): number =>
  Number(a.tenant !== "root") - Number(b.tenant !== "root") || a.spec.order - b.spec.order || (a.key < b.key ? -1 : 1);

const interfaceOf = (hooks: string): string => `capstan:plugin/${hooks}@1.0.0`;
