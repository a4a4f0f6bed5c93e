/** The versions in which one stored object is served, from the catalog: what rules of an older version mean for requests in a newer one. */
import type { TenantId } from "#platform/store/port.ts";
import { definitionOf } from "#sdk/api/facts.ts";
import {
  apiVersionOf,
  type DynamicObject,
  type GroupVersionResource,
  type JsonObject,
  parseApiVersion,
} from "#sdk/api/object.ts";
import { internal } from "#sdk/api/status.ts";
import type { Catalog } from "../registry/catalog.ts";
import type { TypeRules } from "../registry/ports.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import { decoder } from "../types.ts";
import type { ServedVersion, VersionsOf } from "./match.ts";
import type { ParamKinds } from "./policies/params.ts";

const sameVersion = (a: GroupVersionResource, b: GroupVersionResource): boolean =>
  a.group === b.group && a.version === b.version && a.resource === b.resource;

function served({ facts }: ResourceEntry, subresource: string): ServedVersion[] {
  const { group, version, resource } = facts;
  const own = facts.subresources.find(({ name }) => name === subresource);
  if (subresource !== "" && !own) return [];
  return [{ resource: { group, version, resource }, kind: { group, version, kind: own?.kind ?? facts.kind } }];
}

const entriesOf = (catalog: Catalog, tenant: TenantId): readonly ResourceEntry[] => {
  const own = catalog.own?.all(tenant) ?? [];
  return own.length === 0 ? catalog.entries : [...catalog.entries, ...own];
};

export const catalogVersions =
  (catalog: () => Catalog, types: TypeRules): VersionsOf =>
  (tenant) => {
    const find = ({ group, version, resource }: GroupVersionResource): ResourceEntry | undefined =>
      catalog().find(group, version, resource) ?? catalog().own?.find(tenant, group, version, resource);
    const entryOf = (gvr: GroupVersionResource): ResourceEntry => {
      const entry = find(gvr);
      if (!entry) throw internal(`unable to convert to ${apiVersionOf(gvr)}, Resource=${gvr.resource}: unknown kind`);
      return entry;
    };
    return {
      equivalents(resource, subresource) {
        const own = find(resource);
        if (!own) return [];
        const same = entriesOf(catalog(), tenant).filter((entry) => entry.storeResource === own.storeResource);
        return same.flatMap((entry) => served(entry, subresource));
      },
      convert(object, from, to): DynamicObject {
        if (sameVersion(from, to)) return object;
        const [source, target] = [entryOf(from), entryOf(to)];
        const copy = structuredClone(object);
        const stored = source.strategy.storage ? source.strategy.storage.toStorage(copy) : copy;
        return target.strategy.storage ? target.strategy.storage.fromStorage(stored) : stored;
      },
      typed: (kind, object) =>
        definitionOf(kind) ? decoder.check(kind, object as unknown as JsonObject, "Ignore", () => undefined) : object,
      applyDefaults(resource, object) {
        const { facts, strategy, own } = entryOf(resource);
        const gvk = { group: facts.group, version: facts.version, kind: facts.kind };
        (own?.rules ?? types).applyDefaults(gvk, object);
        strategy.applyDefaults?.(object);
      },
    };
  };

/** The kinds of parameters that are served. */
export const catalogParamKinds =
  (catalog: () => Catalog): ParamKinds =>
  (tenant, { apiVersion = "", kind }) => {
    const { group, version } = parseApiVersion(apiVersion);
    const found = entriesOf(catalog(), tenant).find(
      ({ facts }) =>
        facts.group === group && facts.version === version && facts.kind === kind && facts.verbs.includes("get"),
    );
    if (!found) return undefined;
    const { storage } = found.strategy;
    return {
      resource: found.facts.resource,
      storeResource: found.storeResource,
      namespaced: found.facts.namespaced,
      fromStorage: (object) => (storage ? storage.fromStorage(object) : object),
    };
  };
