/** Makes the pools of a host: which engine, which capabilities, whose quota. One compile a digest and engine, two at a time. */
import type { Clock } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Client } from "#sdk/client/port.ts";
import { createEngine } from "#sdk/engine/index.ts";
import { CONTRACT_PREFIX, type Component, compiledDir, type Engine, type EngineName } from "#sdk/engine/port.ts";
import { onlyComputes, type PluginSpec } from "#sdk/plugin/manifest.ts";
import { InstanceBudget } from "./budget.ts";
import { createGrpcCaller } from "./capabilities/grpc.ts";
import { createHostCalls } from "./capabilities/index.ts";
import type { PluginLogs } from "./logs.ts";
import type { PluginMetrics } from "./metrics.ts";
import { type CallContext, Pool, type Prepare } from "./pool.ts";
import type { Viewer } from "./port.ts";
import { type Quota, TenantUse } from "./quota.ts";
import { type ComponentSource, createSource } from "./source.ts";

/** The API as a plugin's own user, or as `viewer`, addressed at a tenant; `owner`: whose plugin it is. */
export type ClientFor = (plugin: string, tenant: string, owner: string, viewer?: Viewer) => Client;

export interface LoaderOptions {
  role: string;
  instance: string;
  engine: EngineName;
  componentsDir: string;
  /** Reads the trusted keys of the tenants. */
  client?: Client;
  clientFor?: ClientFor;
  variables?: Record<string, string>;
  pureMsMax?: number;
  facts?: Record<string, unknown>;
  /** Of a tenant other than root. */
  quota: (tenant: string) => Quota;
  logs?: PluginLogs;
  log: Log;
  clock: Clock;
}

/** A plugin as its pools see it. */
export interface Owned {
  tenant: string;
  name: string;
  /** "name" of root's, "tenant/name" of others'. */
  key: string;
  metrics: PluginMetrics;
}

/** So many pieces of work at once. */
class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  constructor(max: number) {
    this.#free = max;
  }
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      // The next one looks after whoever is done now has gone on.
      if (next) setImmediate(next);
      else this.#free++;
    }
  }
}

export class Loader {
  readonly #o: LoaderOptions;
  readonly #engines = new Map<EngineName, Engine>();
  readonly #components = new Map<string, Promise<Component>>();
  readonly #budget = new InstanceBudget();
  readonly #uses = new Map<string, TenantUse>();
  readonly #grpc = createGrpcCaller();
  readonly #source: ComponentSource;
  /** One after the other: of many plugins with one component, the first brings its bytes for all. */
  readonly #fetches = new Turns(1);
  readonly #compiles = new Turns(2);

  /** Throws where the platform's engine is not there. */
  constructor(options: LoaderOptions) {
    this.#o = options;
    this.#source = createSource(options.componentsDir, options.client);
    this.#engine(options.engine);
  }

  /** The quota that counts for a tenant's plugins. */
  use(tenant: string): TenantUse {
    let use = this.#uses.get(tenant);
    if (!use) {
      use = new TenantUse(tenant, () => this.#o.quota(tenant));
      this.#uses.set(tenant, use);
    }
    return use;
  }

  engineOf(spec: PluginSpec): EngineName {
    return spec.engine ?? this.#o.engine;
  }

  /** `prepare`: first calls into each instance, of a component that is kept current by deltas; such a one has one instance only. */
  pool(plugin: Owned, given: PluginSpec, prepare: Prepare | undefined, changed: (pool: Pool) => void): Pool {
    const { tenant, name, key, metrics } = plugin;
    const spec = prepare ? { ...given, limits: { ...given.limits, instances: 1 } } : given;
    const { role, instance, clock, logs } = this.#o;
    const engine = this.engineOf(spec);
    const hostFacts = { ...this.#o.facts, role, instance };
    const log = this.#o.log.with(tenant === "root" ? { plugin: name } : { plugin: name, owner: tenant });
    const host = createHostCalls({
      plugin: name,
      tenant,
      spec,
      client: this.#o.clientFor,
      grpc: this.#grpc,
      variables: this.#o.variables ?? {},
      log,
      ...(logs ? { say: (level, message) => logs.write(tenant, name, level, message) } : {}),
      clock,
      onDenied: () => metrics.failed("denied"),
    });
    const isRoots = tenant === "root";
    let bytes: Uint8Array | undefined;
    const pool: Pool = new Pool({
      plugin: key,
      spec,
      fetch: async () => {
        const isCompiled = () => this.#components.has(keyOf(engine, spec));
        bytes = await this.#fetches.run(() => this.#source(tenant, spec, isCompiled()));
      },
      load: async () => {
        const given = bytes;
        // Compiled code is all that is needed from now on.
        bytes = undefined;
        return await this.#load(engine, spec, given);
      },
      host: (context: CallContext) => host(context),
      prepare: prepare ?? (async () => undefined),
      pureMsMax: this.#o.pureMsMax,
      own: { config: JSON.stringify(spec.config), facts: JSON.stringify(hostFacts) },
      pure: isRoots && onlyComputes(spec),
      // A worker costs milliseconds and megabytes: one that nobody calls is not made.
      lazy: !isRoots && engine === "jco",
      kept: isRoots ? 1 : 0,
      budget: this.#budget,
      use: this.use(tenant),
      metrics,
      log,
      clock,
      changed: () => changed(pool),
    });
    return pool;
  }

  close(): void {
    this.#grpc.close();
    this.#o.logs?.flush();
  }

  #engine(name: EngineName): Engine {
    let engine = this.#engines.get(name);
    if (!engine) {
      engine = createEngine(name, {
        cacheDir: compiledDir(this.#o.componentsDir),
        importPrefixes: [CONTRACT_PREFIX],
      });
      this.#engines.set(name, engine);
    }
    return engine;
  }

  #load(engine: EngineName, spec: PluginSpec, bytes: Uint8Array | undefined): Promise<Component> {
    const { digest } = spec;
    const key = keyOf(engine, spec);
    let component = this.#components.get(key);
    if (!component) {
      component = this.#compile(engine, spec, bytes ?? new Uint8Array());
      this.#components.set(key, component);
      component.catch((error: unknown) => {
        this.#o.log.debug("a component could not be compiled", { digest, error: messageOf(error) });
        this.#components.delete(key);
      });
    }
    return component;
  }

  #compile(engine: EngineName, { digest, limits }: PluginSpec, bytes: Uint8Array): Promise<Component> {
    const counted = limits.fuel !== undefined;
    return this.#compiles.run(() => this.#engine(engine).load(bytes, digest, { fuel: counted }));
  }
}

/** What is counted is compiled otherwise. */
const keyOf = (engine: EngineName, { digest, limits }: PluginSpec): string =>
  `${engine} ${digest}${limits.fuel === undefined ? "" : " fuel"}`;
