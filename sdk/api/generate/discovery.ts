/** Reads upstream's discovery documents into `GroupFacts` and `ResourceFacts`, in upstream's order. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { GroupFacts, ResourceFacts } from "../schema.ts";

interface ApiResource {
  name: string;
  singularName: string;
  namespaced: boolean;
  group?: string;
  version?: string;
  kind: string;
  verbs: string[];
  shortNames?: string[];
  categories?: string[];
  storageVersionHash?: string;
}

const read = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"));

export function readGroups(folder: string): GroupFacts[] {
  const list = read(join(folder, "apis.json")) as { groups: { name: string; versions: { version: string }[] }[] };
  const named = list.groups.map((group) => ({ name: group.name, versions: group.versions.map((v) => v.version) }));
  return [{ name: "", versions: ["v1"] }, ...named];
}

export function readResources(folder: string, groups: readonly GroupFacts[]): ResourceFacts[] {
  return groups.flatMap(({ name, versions }) =>
    versions.flatMap((version) => {
      const file = name === "" ? `api_${version}.json` : `apis_${name}_${version}.json`;
      const list = read(join(folder, file)) as { resources: ApiResource[] };
      return assemble(name, version, list.resources);
    }),
  );
}

/** Subresources follow their resource in discovery; a few (serviceaccounts/token) share its namespaced-ness. */
function assemble(group: string, version: string, listed: readonly ApiResource[]): ResourceFacts[] {
  const resources = new Map<string, ResourceFacts>();
  for (const r of listed.filter((item) => !item.name.includes("/"))) {
    resources.set(r.name, {
      group,
      version,
      resource: r.name,
      kind: r.kind,
      singular: r.singularName,
      namespaced: r.namespaced,
      verbs: r.verbs,
      shortNames: r.shortNames ?? [],
      categories: r.categories ?? [],
      subresources: [],
      ...(r.storageVersionHash ? { storageVersionHash: r.storageVersionHash } : {}),
    });
  }
  for (const r of listed.filter((item) => item.name.includes("/"))) {
    const [parent = "", name = ""] = r.name.split("/");
    const owner = resources.get(parent);
    if (!owner) throw new Error(`discovery lists ${r.name} of ${group}/${version} without ${parent}`);
    owner.subresources.push({
      name,
      ...(r.version ? { group: r.group ?? "", version: r.version } : {}),
      kind: r.kind,
      verbs: r.verbs,
    });
  }
  return [...resources.values()];
}
