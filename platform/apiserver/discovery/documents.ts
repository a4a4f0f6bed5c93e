/**
 * The discovery documents, made from the list of served resources: the classic ones (/api, /apis, /apis/G, /apis/G/V)
 * and the aggregated ones (KEP-3352). Pure functions.
 */
import { groups } from "#sdk/api/facts.ts";
import type { ResourceFacts, SubresourceFacts } from "#sdk/api/schema.ts";

/** `stale`: its server cannot be reached now. */
type Served = readonly (ResourceFacts & { stale?: boolean })[];

const groupVersion = (group: string, version: string): string => (group === "" ? version : `${group}/${version}`);

/** Groups with their versions: upstream's in upstream's order, then others in the order of the list. */
export function servedGroups(served: Served): { name: string; versions: string[] }[] {
  const order = groups().map((group) => group.name);
  const found = new Map<string, string[]>();
  for (const name of order) found.set(name, []);
  for (const { group, version } of served) {
    const versions = found.get(group) ?? [];
    if (!versions.includes(version)) versions.push(version);
    found.set(group, versions);
  }
  return [...found].filter(([, versions]) => versions.length > 0).map(([name, versions]) => ({ name, versions }));
}

const versionEntry = (group: string, version: string) => ({ groupVersion: groupVersion(group, version), version });

const groupEntry = ({ name, versions }: { name: string; versions: string[] }) => ({
  name,
  versions: versions.map((version) => versionEntry(name, version)),
  preferredVersion: versionEntry(name, versions[0] ?? ""),
});

/** /api. `serverAddress` is the "host:port" clients reach the server at. */
export const apiVersions = (serverAddress: string) => ({
  kind: "APIVersions",
  versions: ["v1"],
  serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress }],
});

/** /apis */
export const apiGroupList = (served: Served) => ({
  kind: "APIGroupList",
  apiVersion: "v1",
  groups: servedGroups(served)
    .filter((group) => group.name !== "")
    .map(groupEntry),
});

/** /apis/G */
export function apiGroup(served: Served, name: string) {
  const group = servedGroups(served).find((candidate) => candidate.name === name && name !== "");
  return group && { kind: "APIGroup", apiVersion: "v1", ...groupEntry(group) };
}

/** /api/v1 and /apis/G/V */
export function apiResourceList(served: Served, group: string, version: string) {
  const members = served.filter((r) => r.group === group && r.version === version);
  if (members.length === 0) return undefined;
  return {
    kind: "APIResourceList",
    ...(group === "" ? {} : { apiVersion: "v1" }),
    groupVersion: groupVersion(group, version),
    resources: members.flatMap((r) => [resourceEntry(r), ...r.subresources.map((s) => subresourceEntry(r, s))]),
  };
}

const resourceEntry = (r: ResourceFacts) => ({
  name: r.resource,
  singularName: r.singular,
  namespaced: r.namespaced,
  kind: r.kind,
  verbs: r.verbs,
  ...(r.shortNames.length > 0 ? { shortNames: r.shortNames } : {}),
  ...(r.categories.length > 0 ? { categories: r.categories } : {}),
  ...(r.storageVersionHash ? { storageVersionHash: r.storageVersionHash } : {}),
});

const subresourceEntry = (r: ResourceFacts, s: SubresourceFacts) => ({
  name: `${r.resource}/${s.name}`,
  singularName: "",
  namespaced: r.namespaced,
  ...(s.version === undefined ? {} : { group: s.group ?? "", version: s.version }),
  kind: s.kind,
  verbs: s.verbs,
});

/** The aggregated form of /api (`core`) or /apis. A kind of the resource's own group version has both left empty, as upstream. */
export function aggregatedDiscovery(served: Served, core: boolean, version: "v2" | "v2beta1") {
  const items = servedGroups(served)
    .filter((group) => (group.name === "") === core)
    .map((group) => ({
      metadata: core ? {} : { name: group.name },
      versions: group.versions.map((v) => {
        const members = served.filter((r) => r.group === group.name && r.version === v);
        const freshness = members.some((r) => r.stale) ? "Stale" : "Current";
        return { version: v, resources: members.map(aggregatedResource), freshness };
      }),
    }));
  return { kind: "APIGroupDiscoveryList", apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items };
}

const aggregatedResource = (r: ResourceFacts) => ({
  resource: r.resource,
  responseKind: { group: "", version: "", kind: r.kind },
  scope: r.namespaced ? "Namespaced" : "Cluster",
  singularResource: r.singular,
  verbs: r.verbs,
  ...(r.shortNames.length > 0 ? { shortNames: r.shortNames } : {}),
  ...(r.categories.length > 0 ? { categories: r.categories } : {}),
  ...(r.subresources.length > 0
    ? {
        subresources: r.subresources.map((s) => ({
          subresource: s.name,
          responseKind: { group: s.group ?? "", version: s.version ?? "", kind: s.kind },
          verbs: s.verbs,
        })),
      }
    : {}),
});

/** /version: what clients parse is upstream's version; the platform says that it is not upstream's program. */
export const versionInfo = (build: { commit?: string; date?: string } = {}) => ({
  major: "1",
  minor: "36",
  emulationMajor: "1",
  emulationMinor: "36",
  minCompatibilityMajor: "1",
  minCompatibilityMinor: "35",
  gitVersion: "v1.36.3",
  gitCommit: build.commit ?? "",
  gitTreeState: "",
  buildDate: build.date ?? "1970-01-01T00:00:00Z",
  goVersion: "",
  compiler: `capstan node ${process.versions.node}`,
  platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
});
