/**
 * Writes sdk/api/generated from a folder of upstream facts: `node sdk/api/generate/main.ts FACTS_DIR GOLANG_JSON`, by
 * hand, when the Kubernetes version rises. FACTS_DIR holds `openapi-v3/`, `discovery/` and `bootstrap/` as a server of
 * that version answers them; GOLANG_JSON is what the program in ./golang prints (it needs Go).
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Facts, ResourceFacts, Schema } from "../schema.ts";
import { readBootstrap } from "./bootstrap.ts";
import { CAPSTAN_GROUP, CAPSTAN_RESOURCES, CAPSTAN_TYPES } from "./capstan.ts";
import { readGroups, readResources } from "./discovery.ts";
import { addGoFacts } from "./golang.ts";
import { reachable, readDefinitions } from "./openapi.ts";
import { readOptional } from "./optional.ts";
import { typescript } from "./typescript.ts";

/** What every group's documents need beside its kinds. */
const META = [
  "Status",
  "DeleteOptions",
  "WatchEvent",
  "Patch",
  "APIVersions",
  "APIGroupList",
  "APIGroup",
  "APIResourceList",
].map((name) => `io.k8s.apimachinery.pkg.apis.meta.v1.${name}`);

/** Definitions of the kinds that the resources serve, their lists and their subresources' kinds. */
function rootsOf(resources: readonly ResourceFacts[], definitions: ReadonlyMap<string, Schema>): string[] {
  const wanted = new Set<string>();
  for (const r of resources) {
    const want = (group: string, version: string, kind: string) => wanted.add(`${group}/${version}/${kind}`);
    want(r.group, r.version, r.kind).add(`${r.group}/${r.version}/${r.kind}List`);
    for (const s of r.subresources) want(s.group ?? r.group, s.version ?? r.version, s.kind);
  }
  return [...definitions]
    .filter(([, schema]) => schema.gvks?.some((gvk) => wanted.has(`${gvk.group}/${gvk.version}/${gvk.kind}`)))
    .map(([name]) => name);
}

function main(folder: string, golang: string): void {
  const upstream = readGroups(join(folder, "discovery"));
  const resources = [...readResources(join(folder, "discovery"), upstream), ...CAPSTAN_RESOURCES];
  const definitions = readDefinitions(join(folder, "openapi-v3"));
  for (const [name, schema] of Object.entries(CAPSTAN_TYPES)) definitions.set(name, schema);
  const optional = readOptional(join(folder, "openapi-v3"));
  const types = reachable(definitions, [...META, ...rootsOf([...resources, ...optional], definitions)]);
  addGoFacts(types, golang);
  const facts: Facts = { groups: [...upstream, CAPSTAN_GROUP], resources, optional, types };
  const out = (name: string, text: string) => writeFileSync(join(import.meta.dirname, "../generated", name), text);
  out("facts.json", lines(facts));
  out("types.ts", typescript(facts));
  const lists = Object.entries(readBootstrap(join(folder, "bootstrap")));
  out("bootstrap.json", `{${lists.map(([name, items]) => `${JSON.stringify(name)}:${list(items)}`).join(",\n")}}\n`);
}

const list = (items: readonly unknown[]): string => `[\n${items.map((item) => JSON.stringify(item)).join(",\n")}\n]`;

/** One line an entry: small, and a change of the upstream version shows as a readable difference. */
function lines(facts: Facts): string {
  const types = Object.entries(facts.types).map(
    ([name, schema]) => `${JSON.stringify(name)}:${JSON.stringify(schema)}`,
  );
  return `{"groups":${list(facts.groups)},\n"resources":${list(facts.resources)},\n"optional":${list(facts.optional)},\n"types":{\n${types.join(",\n")}\n}}\n`;
}

const [, , folder, golang] = process.argv;
if (folder === undefined || golang === undefined) {
  process.stderr.write("usage: node sdk/api/generate/main.ts FACTS_DIR GOLANG_JSON\n");
  process.exitCode = 2;
} else {
  main(folder, golang);
}
