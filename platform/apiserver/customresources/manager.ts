/**
 * Keeps what every tenant defined: follows the definitions in the store, accepts or refuses their names, serves what is established and
 * removes the instances of what is deleted. Any number of API servers do the same at once: every write is a compare-and-swap.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Clock, timeText } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Store, StoredObject, TenantId } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { StatusError } from "#sdk/api/status.ts";
import { systemContext } from "../bootstrap.ts";
import type { Published } from "../openapi/published.ts";
import type { TenantResources } from "../registry/catalog.ts";
import { decode } from "../registry/document.ts";
import type { Registry } from "../registry/registry.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import type { WebhookClient } from "../webhook/client.ts";
import { CLEANUP_FINALIZER, compareVersions, type Definition, holds, setCondition } from "./definition.ts";
import { entryOf, schemaOf } from "./entry.ts";
import { acceptNames } from "./names.ts";

const GROUP = "apiextensions.k8s.io";
const RESOURCE = "customresourcedefinitions";
const STORE_RESOURCE = `${RESOURCE}.${GROUP}`;
const RETRY_MS = 500;
const COMPILED_MAX = 5_000;

interface Known {
  tenant: TenantId;
  revision: number;
  definition: Definition;
  entries: ResourceEntry[];
}

export interface CustomResourceParts {
  store: Store;
  tenants: TenantDirectory;
  registry: () => Registry;
  /** Absent where nobody converts. */
  webhooks?: WebhookClient;
  log: Log;
  clock: Clock;
}

export class CustomResources implements TenantResources {
  readonly #parts: CustomResourceParts;
  readonly #known = new Map<TenantId, Map<string, Known>>();
  /** Equal definitions of any number of tenants share their compiled schemas. */
  readonly #compiled = new Map<string, ResourceEntry[]>();
  readonly #served = new Map<TenantId, { base: readonly ResourceFacts[]; all: readonly Published[] }>();
  readonly #cleaning = new Set<string>();
  #signal: AbortSignal = AbortSignal.abort();

  constructor(parts: CustomResourceParts) {
    this.#parts = parts;
  }

  /** Resolves when the definitions present are known. Follows them until `signal` aborts. */
  async start(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await this.fresh();
    void this.#follow(signal);
  }

  find(tenant: TenantId | "*", group: string, version: string, resource: string): ResourceEntry | undefined {
    for (const known of this.#named(tenant, `${resource}.${group}`)) {
      const entry = known.entries.find((e) => e.facts.version === version);
      if (entry) return entry;
    }
    return undefined;
  }

  all(tenant: TenantId): readonly ResourceEntry[] {
    return [...(this.#known.get(tenant)?.values() ?? [])].flatMap(({ entries }) => entries);
  }

  stored(tenant: TenantId | "*", group: string, resource: string): ResourceEntry | undefined {
    const [known] = this.#named(tenant, `${resource}.${group}`);
    const version = known?.definition.spec.versions.find((v) => v.storage)?.name;
    return known?.entries.find((e) => e.facts.version === version) ?? known?.entries[0];
  }

  /** The facts of the base and of what the tenant defined; the same list until something changes. */
  served(tenant: TenantId | "*", base: readonly ResourceFacts[]): readonly Published[] {
    if (tenant === "*") return base;
    const kept = this.#served.get(tenant);
    if (kept?.base === base) return kept.all;
    const own = [...(this.#known.get(tenant)?.values() ?? [])]
      .flatMap(({ entries, definition }) => entries.map((entry) => published(entry, definition)))
      .sort((a, b) => compareVersions(a.version, b.version) || (a.resource < b.resource ? -1 : 1));
    const all = own.length === 0 ? base : [...base, ...own];
    this.#served.set(tenant, { base, all });
    return all;
  }

  /** Brings this process up to what the database knows when asked. */
  async fresh(): Promise<void> {
    const { objects } = await this.#parts.store.list({
      scope: { tenant: "*", resource: STORE_RESOURCE },
      freshness: { type: "consistent" },
    });
    for (const object of objects) this.#learn(object);
  }

  #named(tenant: TenantId | "*", name: string): Known[] {
    if (tenant !== "*") {
      const known = this.#known.get(tenant)?.get(name);
      return known ? [known] : [];
    }
    return [...this.#known.values()].flatMap((all) => all.get(name) ?? []);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { store, log } = this.#parts;
    while (!signal.aborted) {
      try {
        const scope = { tenant: "*", resource: STORE_RESOURCE } as const;
        for await (const events of store.watch({ scope, after: 0, initial: true, signal })) {
          for (const event of events) {
            if (event.type !== "change") continue;
            if (event.change.type === "deleted") this.#forget(event.change.object);
            else this.#learn(event.change.object);
          }
        }
      } catch (error) {
        if (!signal.aborted) log.warn("following custom resource definitions begins anew", { error: messageOf(error) });
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #forget({ key, revision }: StoredObject): void {
    const all = this.#known.get(key.tenant);
    const known = all?.get(key.name);
    if (!known || known.revision > revision) return;
    all?.delete(key.name);
    this.#served.delete(key.tenant);
    // A name that was refused may be free now.
    for (const other of all?.values() ?? []) void this.#reconcile(other);
  }

  #learn(object: StoredObject): void {
    const { tenant, name } = object.key;
    const all = this.#known.get(tenant) ?? new Map<string, Known>();
    this.#known.set(tenant, all);
    const before = all.get(name);
    if (before && before.revision >= object.revision) return;
    const definition = decode(object) as unknown as Definition;
    const known = { tenant, revision: object.revision, definition, entries: this.#entries(definition) };
    all.set(name, known);
    this.#served.delete(tenant);
    void this.#reconcile(known);
  }

  #entries(definition: Definition): ResourceEntry[] {
    if (!holds(definition, "Established")) return [];
    const text = JSON.stringify([definition.spec, definition.status?.acceptedNames]);
    const found = this.#compiled.get(text);
    if (found) return found;
    const made = definition.spec.versions
      .filter((v) => v.served)
      .map((v) => entryOf(definition, v, this.#parts.webhooks));
    if (this.#compiled.size >= COMPILED_MAX) this.#compiled.clear();
    this.#compiled.set(text, made);
    return made;
  }

  async #reconcile(known: Known): Promise<void> {
    if (this.#signal.aborted) return;
    const { tenant, definition } = known;
    try {
      if (definition.metadata.deletionTimestamp) return await this.#clean(tenant, definition.metadata.name ?? "");
      const others = [...(this.#known.get(tenant)?.values() ?? [])].map((k) => k.definition);
      const now = timeText(this.#parts.clock.now());
      if (!acceptNames(structuredClone(definition), others, now)) return;
      await this.#modify(
        tenant,
        definition.metadata.name ?? "",
        "status",
        (live) => void acceptNames(live, others, now),
      );
    } catch (error) {
      if (error instanceof StatusError && error.code === 404) return;
      const { name } = definition.metadata;
      this.#parts.log.warn("a custom resource definition could not be brought up to date", {
        tenant,
        name,
        error: messageOf(error),
      });
    }
  }

  async #modify(
    tenant: TenantId,
    name: string,
    subresource: string,
    change: (live: Definition) => void,
  ): Promise<void> {
    const { tenants, registry, clock } = this.#parts;
    const context = systemContext(tenant, tenants.byId(tenant)?.name ?? String(tenant), clock.now());
    await registry().modify(context, {
      group: GROUP,
      resource: RESOURCE,
      namespace: "",
      name,
      subresource,
      raw: true,
      dryRun: false,
      fieldManager: "kube-apiserver",
      change: (object) => change(object as unknown as Definition),
    });
  }

  /** Deletes every instance, waits until their finalizers let them go, then releases the definition. */
  async #clean(tenant: TenantId, name: string): Promise<void> {
    const key = `${tenant}/${name}`;
    if (this.#cleaning.has(key)) return;
    this.#cleaning.add(key);
    try {
      for (
        let known = this.#known.get(tenant)?.get(name);
        known && !this.#signal.aborted;
        known = this.#known.get(tenant)?.get(name)
      ) {
        const { definition } = known;
        if (!definition.metadata.deletionTimestamp || !definition.metadata.finalizers?.includes(CLEANUP_FINALIZER))
          return;
        if (await this.#deleteInstances(tenant, definition)) {
          const now = timeText(this.#parts.clock.now());
          await this.#modify(tenant, name, "", (live) => {
            const message = "removed all instances";
            setCondition(live, {
              type: "Terminating",
              status: "False",
              lastTransitionTime: now,
              reason: "InstanceDeletionCompleted",
              message,
            });
            live.metadata.finalizers = (live.metadata.finalizers ?? []).filter((f) => f !== CLEANUP_FINALIZER);
          });
          return;
        }
        await sleep(RETRY_MS, undefined, { signal: this.#signal });
      }
    } finally {
      this.#cleaning.delete(key);
    }
  }

  /** True when none is left. */
  async #deleteInstances(tenant: TenantId, definition: Definition): Promise<boolean> {
    const { store, registry, tenants, clock } = this.#parts;
    const version = definition.spec.versions.find((v) => v.storage);
    if (!version) return true;
    const entry = entryOf(definition, version);
    const scope = { tenant, resource: entry.storeResource };
    const { objects } = await store.list({ scope, freshness: { type: "consistent" } });
    const context = systemContext(tenant, tenants.byId(tenant)?.name ?? String(tenant), clock.now());
    for (const { key } of objects) {
      await registry()
        .delete(context, entry, key.namespace, key.name, { dryRun: false })
        .catch((error: unknown) => {
          if (!(error instanceof StatusError && error.code === 404)) throw error;
        });
    }
    if (objects.length === 0) return true;
    const left = await store.list({ scope, freshness: { type: "consistent" }, limit: 1 });
    return left.objects.length === 0;
  }
}

function published(entry: ResourceEntry, { spec }: Definition): Published {
  const version = spec.versions.find((v) => v.name === entry.facts.version);
  const schema = version?.schema?.openAPIV3Schema ? schemaOf(version) : undefined;
  const listKind = spec.names.listKind ?? `${spec.names.kind}List`;
  return {
    ...entry.facts,
    own: { ...(schema ? { schema } : {}), listKind, preserves: spec.preserveUnknownFields === true },
  };
}
