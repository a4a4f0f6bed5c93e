/**
 * Group versions that upstream serves only where it is told to (`--runtime-config`): their resources, from the OpenAPI documents, since discovery
 * does not list what is off.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ResourceFacts } from "../schema.ts";

const OPTIONAL = [
  { group: "scheduling.k8s.io", version: "v1alpha2" },
  { group: "storagemigration.k8s.io", version: "v1beta1" },
];

interface Operation {
  "x-kubernetes-action"?: string;
  "x-kubernetes-group-version-kind"?: { kind: string };
}
type Paths = Record<string, Record<string, Operation>>;

const VERBS: Readonly<Record<string, string>> = { post: "create", put: "update", watchlist: "watch" };

export const readOptional = (folder: string): ResourceFacts[] =>
  OPTIONAL.flatMap(({ group, version }) => {
    const file = join(folder, `apis__${group}__${version}_openapi.json`);
    const { paths } = JSON.parse(readFileSync(file, "utf8")) as { paths: Paths };
    return resourcesOf(group, version, paths);
  });

function resourcesOf(group: string, version: string, paths: Paths): ResourceFacts[] {
  const prefix = `/apis/${group}/${version}/`;
  const found = new Map<string, ResourceFacts>();
  const verbs = new Map<string, Set<string>>();
  for (const [path, operations] of Object.entries(paths)) {
    const parts = path
      .slice(prefix.length)
      .replace(/^watch\//, "")
      .split("/");
    const namespaced = parts[0] === "namespaces";
    const [resource = "", , subresource] = namespaced ? parts.slice(2) : parts;
    for (const operation of Object.values(operations)) {
      const { "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk } = operation;
      if (!action || !gvk) continue;
      const { kind } = gvk;
      const facts = found.get(resource) ?? {
        group,
        version,
        resource,
        kind,
        singular: kind.toLowerCase(),
        namespaced: false,
        verbs: [],
        shortNames: [],
        categories: [],
        subresources: [],
        storageVersionHash: hashOf(`${group}/${version}/${kind}`),
      };
      facts.namespaced ||= namespaced;
      found.set(resource, facts);
      const name = subresource === undefined ? resource : `${resource}/${subresource}`;
      verbs.set(name, (verbs.get(name) ?? new Set()).add(VERBS[action] ?? action));
      if (subresource !== undefined && !facts.subresources.some((one) => one.name === subresource)) {
        facts.subresources.push({ name: subresource, kind, verbs: [] });
      }
    }
  }
  const sorted = (name: string) => [...(verbs.get(name) ?? [])].sort();
  return [...found.values()].map((facts) => ({
    ...facts,
    verbs: sorted(facts.resource),
    subresources: facts.subresources.map((one) => ({ ...one, verbs: sorted(`${facts.resource}/${one.name}`) })),
  }));
}

/** As upstream's discovery.StorageVersionHash. */
const hashOf = (groupVersionKind: string): string =>
  createHash("sha256").update(groupVersionKind).digest().subarray(0, 8).toString("base64");
