/** What a role sees of its plugin host, and what it gives it. */
import type { Clock } from "#platform/base/clock.ts";
import type { Log } from "#platform/base/log.ts";
import type { Client } from "#sdk/client/port.ts";
import type { EngineName } from "#sdk/engine/port.ts";
import type { Failure } from "#sdk/plugin/failure.ts";
import type { Plugin, PluginHostStatus, PluginSpec, World } from "#sdk/plugin/manifest.ts";
import type { LoaderOptions } from "./loader.ts";
import type { PluginLogs } from "./logs.ts";
import type { Prepare } from "./pool.ts";
import type { Quota } from "./quota.ts";

/** What the host needs of an Informer<Plugin>: on root, or through the wildcard where the role serves tenants' own plugins too. */
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
  /** Writes Plugin.status, in the plugin's tenant. Left out: statuses stay in the process. */
  client?: Client;
  /** The API as a plugin's own user, addressed at a tenant; `owner`: whose plugin. Left out: the capability `api` is denied. */
  clientFor?: LoaderOptions["clientFor"];
  /** What a tenant's own plugins may take; left out: the defaults. */
  quota?: (tenant: string) => Quota;
  /** Where what plugins say is kept for their owners. Left out: it goes to the role's log. */
  logs?: PluginLogs;
  /** For {names} in granted paths: dataDir, runDir, containerdSocket … */
  variables?: Record<string, string>;
  /** How long a call may stand on the caller's thread (decisions/095); left out: 50 ms, which suits who serves others meanwhile. */
  pureMsMax?: number;
  /** What `config.host` tells a component beside role and instance: nodeName, podCIDR … */
  facts?: Record<string, unknown>;
  log: Log;
  clock?: Clock;
}

/** A person, as the API server knows them. */
export interface Viewer {
  name: string;
  groups: readonly string[];
}

export interface CallOptions {
  tenant?: string;
  /** For whom the plugin acts: the capability `api` has this person's rights instead of the plugin's own user's. */
  user?: Viewer;
  /** Never more than the manifest's. */
  deadlineMs?: number;
}

/** One enabled plugin of the role's worlds. */
export interface LoadedPlugin {
  /** "name" of root's, "tenant/name" of another tenant's. */
  readonly name: string;
  /** Whose it is: root's are called for every tenant, another's for that tenant alone. */
  readonly tenant: string;
  readonly spec: PluginSpec;
  /** Throws PluginCallError. `hooks`: "filter-hooks", "runtime-hooks" … */
  call(hooks: string, functionName: string, args: unknown[], options?: CallOptions): Promise<unknown>;
  /** Whether the component that `call` would reach now has these hooks; those that every component of the world has need no question. */
  offers(hooks: string): boolean;
  /** A call that changes the instance's state: the successor of a swap under way is told too. */
  broadcast(hooks: string, functionName: string, args: unknown[]): Promise<void>;
  /** The error to throw for an answer that tells of the hook's own failure; it counts as a call that failed. */
  failed(functionName: string, failure: Failure): Error;
  /** Counts an answer that the caller could not use, and says why in the plugin's status. */
  refused(functionName: string, why: string): void;
}

export interface PluginHost {
  /** Resolves when every plugin that is there now serves, or is known not to for now. */
  ready(): Promise<void>;
  /** Those called for a tenant's requests: root's, then the tenant's own, each in the manifests' order, then by name. Left out: root's. */
  loaded(world: World, tenant?: string): readonly LoadedPlugin[];
  /** Those of every tenant. */
  everybodys(world: World): readonly LoadedPlugin[];
  /** Rises with every change of what `loaded` answers. */
  readonly generation: number;
  onChange(listener: () => void): void;
  /** Some enabled plugin names this guard of the store, whichever role runs it. */
  guard(name: string): boolean;
  /** A plugin's state in this process, by "name" or "tenant/name"; undefined for one that is not this role's. */
  status(name: string): PluginHostStatus | undefined;
  /** First calls into a new instance of plugins of this world. Set before `start`. */
  prepare(world: World, prepare: (plugin: PluginSpec, name: string) => Prepare): void;
  /** The last call into a plugin of this world that is turned off or deleted, not of one whose process ends. Set before `start`. */
  parting(world: World, hooks: string, functionName: string): void;
  start(): void;
  /** Calls under way end first. */
  close(): Promise<void>;
}
