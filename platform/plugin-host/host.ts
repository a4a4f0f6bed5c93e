/**
 * Runs the components that Plugin objects name, for one role of one process. Main gives it the Plugin objects (an informer on root), an
 * engine and what capabilities need; the worlds' adapters (worlds/v1) turn the contract into plain objects for the role.
 */
import { type Clock, systemClock, timeText } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Client } from "#sdk/client/port.ts";
import { createEngine } from "#sdk/engine/index.ts";
import { CONTRACT_PREFIX, type Component, compiledDir, type Engine, type EngineName } from "#sdk/engine/port.ts";
import {
  type Plugin,
  type PluginHostStatus,
  type PluginSpec,
  pluginSpecSchema,
  type World,
} from "#sdk/plugin/manifest.ts";
import { createGrpcCaller } from "./capabilities/grpc.ts";
import { createHostCalls } from "./capabilities/index.ts";
import { configError, fetchVerified } from "./checks.ts";
import { PluginCallError } from "./errors.ts";
import { PluginMetrics } from "./metrics.ts";
import { type CallContext, Pool, type Prepare } from "./pool.ts";
import { StatusReporter } from "./reporter.ts";

/** What the host needs of an Informer<Plugin> on root. */
export interface PluginSource {
  list(): Plugin[];
  on(handler: {
    added?(plugin: Plugin): void;
    updated?(plugin: Plugin, old: Plugin): void;
    deleted?(plugin: Plugin): void;
  }): void;
}

export interface PluginHostOptions {
  /** "scheduler", "node" … and which of them: the key in Plugin.status.hosts. */
  role: string;
  instance: string;
  engine: EngineName;
  /** Where sha256-HEX.wasm files are; compiled code goes to `cache` below it. */
  componentsDir: string;
  worlds: readonly World[];
  plugins: PluginSource;
  /** Root's: writes Plugin.status. Left out: statuses stay in the process. */
  client?: Client;
  /** The API as a plugin's own user, addressed at a tenant. Left out: the capability `api` is denied. */
  clientFor?: (plugin: string, tenant: string) => Client;
  /** For {names} in granted paths: dataDir, runDir, containerdSocket … */
  variables?: Record<string, string>;
  /** What `config.host` tells a component beside role and instance: nodeName, podCIDR … */
  facts?: Record<string, unknown>;
  log: Log;
  clock?: Clock;
}

export interface CallOptions {
  tenant?: string;
  /** Never more than the manifest's. */
  deadlineMs?: number;
}

/** One enabled plugin of the role's worlds. */
export interface LoadedPlugin {
  readonly name: string;
  readonly spec: PluginSpec;
  /** Throws PluginCallError. `hooks`: "filter-hooks", "runtime-hooks" … */
  call(hooks: string, functionName: string, args: unknown[], options?: CallOptions): Promise<unknown>;
  /** A call that changes the instance's state: the successor of a swap under way is told too. */
  broadcast(hooks: string, functionName: string, args: unknown[]): Promise<void>;
  /** Counts an answer that the caller could not use, and says why in the plugin's status. */
  refused(functionName: string, why: string): void;
}

export interface PluginHost {
  /** Resolves when every plugin that is there now serves, or is known not to for now. */
  ready(): Promise<void>;
  /** In the manifests' order, then by name. */
  loaded(world: World): readonly LoadedPlugin[];
  /** Rises with every change of what `loaded` answers. */
  readonly generation: number;
  onChange(listener: () => void): void;
  /** Some enabled plugin names this guard of the store, whichever role runs it. */
  guard(name: string): boolean;
  /** A plugin's state in this process; undefined for one that is not this role's. */
  status(name: string): PluginHostStatus | undefined;
  /** First calls into a new instance of plugins of this world. Set before `start`. */
  prepare(world: World, prepare: (plugin: PluginSpec) => Prepare): void;
  start(): void;
  /** Calls under way end first. */
  close(): Promise<void>;
}

interface Entry {
  name: string;
  /** Of the spec without `enabled`: another one is another pool. */
  fingerprint: string;
  spec: PluginSpec;
  metrics: PluginMetrics;
  /** Serving, or the only one. */
  pool: Pool | undefined;
  /** Becomes `pool` when it is warm (P7). */
  successor: Pool | undefined;
  /** Why there is no pool. */
  reason: string;
  loaded: LoadedPlugin;
}

export function createPluginHost(options: PluginHostOptions): PluginHost {
  return new Host(options);
}

class Host implements PluginHost {
  generation = 0;
  readonly #o: PluginHostOptions;
  readonly #clock: Clock;
  readonly #engine: Engine;
  readonly #grpc = createGrpcCaller();
  readonly #entries = new Map<string, Entry>();
  /** The specs that were seen last, as JSON text. */
  readonly #specs = new Map<string, string>();
  readonly #guards = new Map<string, readonly string[]>();
  readonly #prepares = new Map<World, (plugin: PluginSpec) => Prepare>();
  readonly #listeners: (() => void)[] = [];
  readonly #reporter: StatusReporter;
  readonly #components = new Map<string, Promise<Component>>();
  #byWorld = new Map<World, LoadedPlugin[]>();

  constructor(options: PluginHostOptions) {
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
    this.#engine = createEngine(options.engine, {
      cacheDir: compiledDir(options.componentsDir),
      importPrefixes: [CONTRACT_PREFIX],
    });
    const { role, instance, client, log } = options;
    this.#reporter = new StatusReporter({ role, instance, client, log, status: (name) => this.status(name) });
  }

  prepare(world: World, prepare: (plugin: PluginSpec) => Prepare): void {
    this.#prepares.set(world, prepare);
  }

  start(): void {
    this.#o.plugins.on({
      added: (plugin) => this.#apply(plugin),
      updated: (plugin) => this.#apply(plugin),
      deleted: (plugin) => {
        this.#specs.delete(plugin.metadata.name ?? "");
        this.#remove(plugin.metadata.name ?? "", "the Plugin object was deleted");
      },
    });
    for (const plugin of this.#o.plugins.list()) this.#apply(plugin);
    this.#reporter.start();
  }

  async ready(): Promise<void> {
    const pools = [...this.#entries.values()].flatMap(({ pool }) => (pool ? [pool] : []));
    await Promise.all(pools.map((pool) => pool.settled()));
  }

  loaded(world: World): readonly LoadedPlugin[] {
    return this.#byWorld.get(world) ?? [];
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  guard(name: string): boolean {
    for (const names of this.#guards.values()) if (names.includes(name)) return true;
    return false;
  }

  status(name: string): PluginHostStatus | undefined {
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    const { pool, successor, metrics } = entry;
    const failing = successor && successor.reason !== "" ? `the new version: ${successor.reason}` : "";
    return {
      state: pool?.state ?? "absent",
      reason: failing || pool?.reason || entry.reason,
      engine: this.#o.engine,
      digest: pool?.spec.digest ?? entry.spec.digest,
      calls: metrics.calls,
      errors: metrics.errors,
      errorsByKind: { ...metrics.errorsByKind },
      latency: metrics.latency(),
      instances: pool?.instances ?? 0,
      restarts: metrics.restarts,
      memoryBytes: pool?.memoryBytes ?? 0,
      lastSeen: timeText(this.#clock.now()),
    };
  }

  async close(): Promise<void> {
    this.#reporter.stop();
    await Promise.all(
      [...this.#entries.values()].flatMap(({ pool, successor }) => [pool?.drain(), successor?.drain()]),
    );
    await this.#reporter.written();
    this.#grpc.close();
  }

  #apply(plugin: Plugin): void {
    const name = plugin.metadata.name ?? "";
    // Every process' status comes by here too, every two seconds: only another spec is worth a look.
    const text = JSON.stringify(plugin.spec);
    if (this.#specs.get(name) === text) return;
    this.#specs.set(name, text);
    const parsed = pluginSpecSchema.safeParse(plugin.spec);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      this.#remove(name, `invalid spec: ${issue?.path.join(".")}: ${issue?.message}`);
      return;
    }
    const wrong = configError(parsed.data);
    if (wrong !== undefined) {
      this.#remove(name, wrong);
      return;
    }
    const { enabled, ...rest } = parsed.data;
    if (enabled) this.#guards.set(name, rest.guards);
    else this.#guards.delete(name);
    if (!rest.worlds.some((world) => this.#o.worlds.includes(world))) return;
    const fingerprint = JSON.stringify(rest);
    const entry = this.#entries.get(name) ?? this.#newEntry(name, parsed.data);
    entry.spec = parsed.data;
    if (!enabled) this.#disable(entry, "disabled (spec.enabled is false)");
    if (!enabled || entry.fingerprint === fingerprint) return;
    entry.fingerprint = fingerprint;
    void entry.successor?.drain();
    entry.successor = undefined;
    const pool = this.#newPool(entry);
    if (entry.pool?.state === "serving") entry.successor = pool;
    else {
      void entry.pool?.drain();
      entry.pool = pool;
    }
    pool.start();
    this.#update();
  }

  #remove(name: string, reason: string): void {
    this.#guards.delete(name);
    this.#o.log.warn("a plugin is not loaded", { plugin: name, reason });
    const entry = this.#entries.get(name);
    if (entry) this.#disable(entry, reason);
  }

  #disable(entry: Entry, reason: string): void {
    void entry.pool?.drain();
    void entry.successor?.drain();
    entry.pool = undefined;
    entry.successor = undefined;
    entry.fingerprint = "";
    entry.reason = reason;
    this.#reporter.changed(entry.name);
    this.#update();
  }

  #newEntry(name: string, spec: PluginSpec): Entry {
    const entry: Entry = {
      name,
      spec,
      fingerprint: "",
      metrics: new PluginMetrics(),
      pool: undefined,
      successor: undefined,
      reason: "",
      loaded: {
        name,
        get spec() {
          return entry.pool?.spec ?? entry.spec;
        },
        call: (hooks, functionName, args, o) => this.#call(entry, hooks, functionName, args, o),
        broadcast: (hooks, functionName, args) => this.#broadcast(entry, hooks, functionName, args),
        refused: (functionName, why) => entry.pool?.refused(functionName, why),
      },
    };
    this.#entries.set(name, entry);
    return entry;
  }

  #newPool(entry: Entry): Pool {
    const { name, metrics } = entry;
    const stateful = entry.spec.worlds.some((world) => this.#prepares.has(world));
    // An instance that is kept current by deltas is the only one, so that deltas have an order.
    const limits = stateful ? { ...entry.spec.limits, instances: 1 } : entry.spec.limits;
    const spec = { ...entry.spec, limits };
    const log = this.#o.log.with({ plugin: name });
    const host = createHostCalls({
      plugin: name,
      spec,
      client: this.#o.clientFor,
      grpc: this.#grpc,
      variables: this.#o.variables ?? {},
      hostFacts: { ...this.#o.facts, role: this.#o.role, instance: this.#o.instance },
      log,
      clock: this.#clock,
      onDenied: () => metrics.failed("denied"),
    });
    let bytes: Uint8Array | undefined;
    const pool: Pool = new Pool({
      plugin: name,
      spec,
      fetch: async () => {
        if (!this.#components.has(spec.digest)) bytes = await fetchVerified(this.#o.componentsDir, spec.digest);
      },
      load: () => this.#load(spec.digest, bytes),
      host: (context: CallContext) => host(context),
      prepare: async (call) => {
        const world = spec.worlds.find((candidate) => this.#prepares.has(candidate));
        if (world) await this.#prepares.get(world)?.(spec)(call);
      },
      metrics,
      log,
      clock: this.#clock,
      changed: () => this.#poolChanged(entry, pool),
    });
    return pool;
  }

  /** One compile a digest and process, however many pools ask. */
  #load(digest: string, bytes: Uint8Array | undefined): Promise<Component> {
    let component = this.#components.get(digest);
    if (!component) {
      component = this.#engine.load(bytes ?? new Uint8Array(), digest);
      this.#components.set(digest, component);
      component.catch(() => this.#components.delete(digest));
    }
    return component;
  }

  #poolChanged(entry: Entry, pool: Pool): void {
    this.#reporter.changed(entry.name);
    if (entry.successor !== pool || pool.state !== "serving") return;
    const old = entry.pool;
    entry.pool = pool;
    entry.successor = undefined;
    void old?.drain();
    this.#update();
  }

  #update(): void {
    const byWorld = new Map<World, LoadedPlugin[]>();
    const entries = [...this.#entries.values()].filter(({ pool }) => pool);
    for (const entry of entries.sort(byOrder)) {
      for (const world of entry.loaded.spec.worlds) {
        if (!this.#o.worlds.includes(world)) continue;
        byWorld.set(world, [...(byWorld.get(world) ?? []), entry.loaded]);
      }
    }
    this.#byWorld = byWorld;
    this.generation++;
    for (const listener of this.#listeners) listener();
  }

  #call(entry: Entry, hooks: string, functionName: string, args: unknown[], o: CallOptions = {}): Promise<unknown> {
    const { pool } = entry;
    if (!pool) {
      return Promise.reject(new PluginCallError(entry.name, functionName, "unavailable", entry.reason || "not loaded"));
    }
    return pool.call({
      interfaceName: interfaceOf(hooks),
      functionName,
      args,
      tenant: o.tenant ?? "root",
      deadlineMs: o.deadlineMs ?? Number.POSITIVE_INFINITY,
    });
  }

  async #broadcast(entry: Entry, hooks: string, functionName: string, args: unknown[]): Promise<void> {
    const { successor } = entry;
    if (successor?.state === "serving" || successor?.state === "warming") {
      const interfaceName = interfaceOf(hooks);
      const deadlineMs = Number.POSITIVE_INFINITY;
      successor.call({ interfaceName, functionName, args, tenant: "root", deadlineMs }).catch((error: unknown) => {
        this.#o.log.warn("a plugin's new version missed a change", { plugin: entry.name, error: messageOf(error) });
      });
    }
    await this.#call(entry, hooks, functionName, args);
  }
}

const byOrder = (a: Entry, b: Entry): number => a.spec.order - b.spec.order || (a.name < b.name ? -1 : 1);

const interfaceOf = (hooks: string): string => `capstan:plugin/${hooks}@1.0.0`;
