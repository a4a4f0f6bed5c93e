/**
 * API aggregation (KEP-263 and kube-aggregator): groups' versions that a tenant's own extension servers answer. Follows every tenant's
 * APIServices, looks whether their servers can be reached, shows what they serve in discovery, and passes requests on.
 */
import type { Duplex } from "node:stream";
import { delay, timeText } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Store, TenantId } from "#platform/store/port.ts";
import type { APIService } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { isReason } from "#sdk/api/status.ts";
import { Mirror } from "../admission/mirror.ts";
import { systemContext } from "../bootstrap.ts";
import type { Exchange } from "../http/exchange.ts";
import type { SwaggerPart } from "../openapi/merge.ts";
import type { Published } from "../openapi/published.ts";
import type { Registry } from "../registry/registry.ts";
import { type CheckParts, checkAvailability, type Verdict } from "./availability.ts";
import { forwardRequest, forwardUpgrade } from "./forward.ts";
import { managedOf, registerLocal } from "./local.ts";
import { isAvailable, pathOf, type RemoteApi, remoteOf } from "./remote.ts";

const APISERVICES = "apiservices.apiregistration.k8s.io";
const OPENAPI = "/openapi/v3";
const TICK_MS = 1_000;
/** The objects that lead to a server are looked at often, the server itself is asked less often while it works. */
const RECHECK_MS = { available: 30_000, unavailable: 3_000, objects: 3_000 };
const CHECKS_AT_ONCE = 8;

export interface AggregationParts extends CheckParts {
  store: Store;
  registry(): Registry;
  tenantName(tenant: TenantId): string;
  /** A tenant's custom resources. */
  custom(tenant: TenantId): readonly Published[];
  /** All of them. */
  tenants(): Iterable<TenantId>;
  clock: { now(): number };
  log: Log;
}

interface Checked {
  /** The object's meaning that was looked at: a changed one is looked at anew at once. */
  of: string;
  /** When the server was asked, and when the objects were looked at. */
  asked: number;
  at: number;
  resources: readonly ResourceFacts[];
  swagger: SwaggerPart | undefined;
}

const keyOf = ({ tenant, name }: RemoteApi): string => `${tenant}/${name}`;
const meaning = ({ condition: _, ...api }: RemoteApi): string => JSON.stringify(api);

/** The object that is known already stands for what means the same: documents made of it are kept. */
const sameSwagger = (a: SwaggerPart | undefined, b: SwaggerPart | undefined): boolean =>
  a !== undefined && b !== undefined && JSON.stringify(a) === JSON.stringify(b);

export class Aggregation {
  readonly #parts: AggregationParts;
  readonly #services: Mirror<{ name: string; managed: string | undefined; remote: RemoteApi | undefined }>;
  /** Aborted by a changed APIService: it is looked at at once. */
  #changed = new AbortController();
  /** What was registered last, by tenant. */
  readonly #registered = new Map<TenantId, string>();
  readonly #checked = new Map<string, Checked>();
  readonly #swaggers = new Map<TenantId, { base: readonly Published[]; parts: readonly SwaggerPart[] }>();
  readonly #served = new Map<TenantId, { base: readonly Published[]; made: string; all: readonly Published[] }>();

  constructor(parts: AggregationParts) {
    this.#parts = parts;
    const { store, log } = parts;
    this.#services = new Mirror({
      store,
      resource: APISERVICES,
      log,
      make: (object, tenant) => {
        this.#changed.abort();
        return {
          name: object.metadata.name ?? "",
          managed: managedOf(object.metadata.labels),
          remote: remoteOf(object, tenant),
        };
      },
    });
  }

  #remotes(tenant: TenantId): RemoteApi[] {
    return this.#services.list(tenant).flatMap(({ remote }) => (remote ? [remote] : []));
  }

  /** The API that another server answers at a path, if that is where it belongs; group and version documents are theirs too. */
  find(tenant: TenantId | "*", path: string): RemoteApi | undefined {
    if (tenant === "*") return undefined;
    const below = path.startsWith(OPENAPI) ? path.slice(OPENAPI.length) : path;
    if (!below.startsWith("/api")) return undefined;
    return this.#remotes(tenant).find((api) => below === pathOf(api) || below.startsWith(`${pathOf(api)}/`));
  }

  /** Where the schemas of extension servers are: "apis/GROUP/VERSION". */
  schemaPaths(tenant: TenantId | "*"): string[] {
    if (tenant === "*") return [];
    return this.#remotes(tenant)
      .filter(isAvailable)
      .map((api) => pathOf(api).slice(1));
  }

  /** The served resources with those of extension servers, for discovery. The same list as long as nothing has changed. */
  served(tenant: TenantId | "*", base: readonly Published[]): readonly Published[] {
    if (tenant === "*") return base;
    const remotes = this.#remotes(tenant)
      .filter((api) => this.#checked.has(keyOf(api)))
      .sort((a, b) => b.priority.group - a.priority.group || b.priority.version - a.priority.version);
    if (remotes.length === 0) return base;
    const own = remotes.flatMap((api) =>
      (this.#checked.get(keyOf(api))?.resources ?? []).map((r) => ({
        ...r,
        remote: true as const,
        stale: !isAvailable(api),
      })),
    );
    const made = JSON.stringify(own);
    const kept = this.#served.get(tenant);
    if (kept?.base === base && kept.made === made) return kept.all;
    const all = [...base, ...own];
    this.#served.set(tenant, { base, made, all });
    return all;
  }

  /** What available extension servers tell in OpenAPI v2: a new list when that, or `base`, is another. */
  swaggers(tenant: TenantId | "*", base: readonly Published[]): readonly SwaggerPart[] {
    if (tenant === "*") return [];
    const parts = this.#remotes(tenant)
      .filter(isAvailable)
      .flatMap((api) => this.#checked.get(keyOf(api))?.swagger ?? []);
    const kept = this.#swaggers.get(tenant);
    const isSame = kept?.base === base && kept.parts.length === parts.length;
    if (isSame && parts.every((part, i) => part === kept.parts[i])) return kept.parts;
    this.#swaggers.set(tenant, { base, parts });
    return parts;
  }

  forward(exchange: Exchange, api: RemoteApi): Promise<void> {
    return forwardRequest(this.#parts, exchange, api);
  }

  forwardUpgrade(exchange: Exchange, api: RemoteApi, socket: Duplex, head: Buffer): Promise<void> {
    return forwardUpgrade(this.#parts, exchange, api, socket, head);
  }

  /** Resolves when the APIServices have been read; looks after them until the signal aborts. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#services.start(signal);
    void this.#watch(signal);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const tenant of this.#parts.tenants()) await this.#register(tenant);
      const due = this.#due();
      for (let i = 0; i < due.length; i += CHECKS_AT_ONCE)
        await Promise.all(due.slice(i, i + CHECKS_AT_ONCE).map((api) => this.#check(api)));
      this.#changed = new AbortController();
      await delay(TICK_MS, AbortSignal.any([signal, this.#changed.signal]));
    }
  }

  async #register(tenant: TenantId): Promise<void> {
    const custom = this.#parts.custom(tenant);
    const present = new Map(this.#services.list(tenant).map((service) => [service.name, service]));
    const state = JSON.stringify([[...present.keys()], custom.map(({ group, version }) => `${version}.${group}`)]);
    if (this.#registered.get(tenant) === state) return;
    try {
      await registerLocal(this.#parts, tenant, present, custom);
      this.#registered.set(tenant, state);
    } catch (error) {
      const { log, tenantName } = this.#parts;
      log.warn("APIServices could not be registered", { tenant: tenantName(tenant), error: messageOf(error) });
    }
  }

  #due(): RemoteApi[] {
    const now = this.#parts.clock.now();
    const present = new Set<string>();
    const due: RemoteApi[] = [];
    for (const tenant of this.#services.tenants()) {
      for (const api of this.#remotes(tenant)) {
        present.add(keyOf(api));
        const last = this.#checked.get(keyOf(api));
        if (!last || last.of !== meaning(api) || now - last.at >= RECHECK_MS.objects) due.push(api);
      }
    }
    for (const key of this.#checked.keys()) if (!present.has(key)) this.#checked.delete(key);
    return due;
  }

  async #check(api: RemoteApi): Promise<void> {
    const { clock, log, tenantName } = this.#parts;
    try {
      const last = this.#checked.get(keyOf(api));
      const now = clock.now();
      const every = isAvailable(api) ? RECHECK_MS.available : RECHECK_MS.unavailable;
      const deep = last?.of !== meaning(api) || now - last.asked >= every;
      const verdict = await checkAvailability(this.#parts, api, deep);
      const asked = deep || !last ? now : last.asked;
      this.#checked.set(keyOf(api), {
        of: meaning(api),
        asked,
        at: now,
        resources: verdict?.resources ?? last?.resources ?? [],
        swagger: sameSwagger(verdict?.swagger, last?.swagger) ? last?.swagger : (verdict?.swagger ?? last?.swagger),
      });
      if (verdict) await this.#tell(api, verdict);
    } catch (error) {
      const tenant = tenantName(api.tenant);
      log.warn("an aggregated API could not be looked at", { tenant, apiService: api.name, error: messageOf(error) });
    }
  }

  /** Writes the condition when it says something new: several API servers look, and find the same. */
  async #tell(api: RemoteApi, { status, reason, message }: Verdict): Promise<void> {
    const { condition } = api;
    if (condition?.status === status && condition.reason === reason && condition.message === message) return;
    const { registry, clock, tenantName } = this.#parts;
    const entry = registry().catalog.byName("apiregistration.k8s.io", "apiservices");
    if (!entry) return;
    const context = systemContext(api.tenant, tenantName(api.tenant), clock.now());
    const produce = (old: DynamicObject): DynamicObject => {
      const service = old as unknown as APIService;
      const others = (service.status?.conditions ?? []).filter(({ type }) => type !== "Available");
      const same = condition?.status === status ? condition.lastTransitionTime : undefined;
      const lastTransitionTime = same ?? timeText(clock.now());
      service.status = { conditions: [...others, { type: "Available", status, lastTransitionTime, reason, message }] };
      return old;
    };
    const request = { namespace: "", name: api.name, subresource: "status", produce, retries: true };
    try {
      await registry().update(context, entry, request, { dryRun: false, fieldManager: "kube-apiserver" });
    } catch (error) {
      if (!isReason(error, "NotFound")) throw error;
    }
  }
}
