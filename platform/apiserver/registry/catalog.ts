/** The served resources by URL, kind and store name: those of the facts, built once, and each tenant's own, which come and go. */
import type { TenantId } from "#platform/store/port.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import type { ResourceEntry, Strategy } from "./strategy.ts";

export const groupResource = (group: string, resource: string): string =>
  group === "" ? resource : `${resource}.${group}`;

/** Resources that a tenant defined for itself. */
export interface TenantResources {
  find(tenant: TenantId | "*", group: string, version: string, resource: string): ResourceEntry | undefined;
  /** The version that objects are stored in. */
  stored(tenant: TenantId | "*", group: string, resource: string): ResourceEntry | undefined;
  /** Every version that is served. */
  all(tenant: TenantId): readonly ResourceEntry[];
  /** Resolves when what the database knows by now is known here. */
  fresh(): Promise<void>;
}

export class Catalog {
  readonly entries: readonly ResourceEntry[];
  readonly #byUrl = new Map<string, ResourceEntry>();
  readonly #byName = new Map<string, ResourceEntry>();

  /** Set once, by who puts the server together. */
  own: TenantResources | undefined;

  constructor(facts: readonly ResourceFacts[], strategyFor: (facts: ResourceFacts) => Strategy) {
    this.entries = facts.map((f) => {
      const strategy = strategyFor(f);
      const storage = strategy.storage ?? f;
      return { facts: f, strategy, storeResource: groupResource(storage.group, storage.resource) };
    });
    for (const entry of this.entries) {
      const { group, version, resource } = entry.facts;
      this.#byUrl.set(`${group}/${version}/${resource}`, entry);
      if (!this.#byName.has(`${group}/${resource}`)) this.#byName.set(`${group}/${resource}`, entry);
    }
  }

  find(group: string, version: string, resource: string): ResourceEntry | undefined {
    return this.#byUrl.get(`${group}/${version}/${resource}`);
  }

  /** The tenant's own resources too, as fresh as the database where the first look finds nothing. */
  async resolve(
    tenant: TenantId | "*",
    group: string,
    version: string,
    resource: string,
  ): Promise<ResourceEntry | undefined> {
    const found = this.find(group, version, resource) ?? this.own?.find(tenant, group, version, resource);
    if (found || !this.own || !group.includes(".")) return found;
    await this.own.fresh();
    return this.own.find(tenant, group, version, resource);
  }

  /** Whether there is anything of this group's version. */
  serves(tenant: TenantId | "*", group: string, version: string): boolean {
    const own = this.own && tenant !== "*" ? this.own.all(tenant) : [];
    return [...this.entries, ...own].some(({ facts }) => facts.group === group && facts.version === version);
  }

  /** The preferred version. */
  byName(group: string, resource: string): ResourceEntry | undefined {
    return this.#byName.get(`${group}/${resource}`);
  }

  versions(group: string, resource: string): ResourceEntry[] {
    return this.entries.filter((e) => e.facts.group === group && e.facts.resource === resource);
  }
}
