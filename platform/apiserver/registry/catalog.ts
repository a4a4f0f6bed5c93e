/** The served resources by URL, kind and store name. Built once per process from facts and strategies. */
import type { ResourceFacts } from "#sdk/api/schema.ts";
import type { ResourceEntry, Strategy } from "./strategy.ts";

export const groupResource = (group: string, resource: string): string =>
  group === "" ? resource : `${resource}.${group}`;

export class Catalog {
  readonly entries: readonly ResourceEntry[];
  readonly #byUrl = new Map<string, ResourceEntry>();
  readonly #byName = new Map<string, ResourceEntry>();

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

  /** The preferred version. */
  byName(group: string, resource: string): ResourceEntry | undefined {
    return this.#byName.get(`${group}/${resource}`);
  }

  versions(group: string, resource: string): ResourceEntry[] {
    return this.entries.filter((e) => e.facts.group === group && e.facts.resource === resource);
  }
}
