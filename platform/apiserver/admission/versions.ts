/** The versions in which one stored object is served, from the catalog: what rules of an older version mean for requests in a newer one. */
import type { DynamicObject, GroupVersionResource } from "#sdk/api/object.ts";
import { internal } from "#sdk/api/status.ts";
import type { Catalog } from "../registry/catalog.ts";
import type { TypeRules } from "../registry/ports.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import type { ServedVersion, Versions } from "./match.ts";

const sameVersion = (a: GroupVersionResource, b: GroupVersionResource): boolean =>
  a.group === b.group && a.version === b.version && a.resource === b.resource;

function served({ facts }: ResourceEntry, subresource: string): ServedVersion[] {
  const { group, version, resource } = facts;
  const own = facts.subresources.find(({ name }) => name === subresource);
  if (subresource !== "" && !own) return [];
  return [{ resource: { group, version, resource }, kind: { group, version, kind: own?.kind ?? facts.kind } }];
}

export function catalogVersions(catalog: () => Catalog, types: TypeRules): Versions {
  const entryOf = ({ group, version, resource }: GroupVersionResource): ResourceEntry => {
    const entry = catalog().find(group, version, resource);
    if (!entry) throw internal(`unable to convert to ${group}/${version}, Resource=${resource}: unknown kind`);
    return entry;
  };
  return {
    equivalents(resource, subresource) {
      const own = catalog().find(resource.group, resource.version, resource.resource);
      if (!own) return [];
      const same = catalog().entries.filter((entry) => entry.storeResource === own.storeResource);
      return same.flatMap((entry) => served(entry, subresource));
    },
    convert(object, from, to): DynamicObject {
      if (sameVersion(from, to)) return object;
      const [source, target] = [entryOf(from), entryOf(to)];
      const copy = structuredClone(object);
      const stored = source.strategy.storage ? source.strategy.storage.toStorage(copy) : copy;
      return target.strategy.storage ? target.strategy.storage.fromStorage(stored) : stored;
    },
    applyDefaults(resource, object) {
      const { facts, strategy } = entryOf(resource);
      types.applyDefaults({ group: facts.group, version: facts.version, kind: facts.kind }, object);
      strategy.applyDefaults?.(object);
    },
  };
}
