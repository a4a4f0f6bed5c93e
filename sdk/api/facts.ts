/**
 * The API's facts: every resource, kind and type as upstream 1.36 has them, and our own group. Generated data
 * (./generate), read once when this module loads.
 */
import { readFileSync } from "node:fs";
import type { DynamicObject, GroupVersionKind, GroupVersionResource } from "./object.ts";
import type { Facts, GroupFacts, ResourceFacts, Schema } from "./schema.ts";

export type { Facts, GroupFacts, ResourceFacts, Schema, SubresourceFacts } from "./schema.ts";

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`./generated/${name}`, import.meta.url), "utf8"));

const facts = read("facts.json") as Facts;

/** Every group, the core group ("") first, in upstream's order of priority. */
export const groups = (): readonly GroupFacts[] => facts.groups;

/** Every resource upstream serves by default (GA versions), and ours, in discovery's order. */
export const resources = (): readonly ResourceFacts[] => facts.resources;

/** Those of group versions that upstream serves only where it is told to. */
export const optionalResources = (): readonly ResourceFacts[] => facts.optional;

/** Every definition by its upstream name. */
export const types = (): Readonly<Record<string, Schema>> => facts.types;

const gvkKey = (gvk: GroupVersionKind): string => `${gvk.group}/${gvk.version}/${gvk.kind}`;
const gvrKey = (gvr: GroupVersionResource): string => `${gvr.group}/${gvr.version}/${gvr.resource}`;

const byGVR = new Map(facts.resources.map((r) => [gvrKey(r), r]));
const byName = new Map(facts.resources.toReversed().map((r) => [`${r.resource}.${r.group}`, r]));
const byGVK = new Map(facts.resources.toReversed().map((r) => [gvkKey(r), r]));
const definitionByGVK = new Map<string, string>();
for (const [name, schema] of Object.entries(facts.types)) {
  for (const gvk of schema.gvks ?? []) definitionByGVK.set(gvkKey(gvk), name);
}

export const resourceByGVR = (gvr: GroupVersionResource): ResourceFacts | undefined => byGVR.get(gvrKey(gvr));

/** The resource that serves a kind; the first in discovery's order where there are several. */
export const resourceByGVK = (gvk: GroupVersionKind): ResourceFacts | undefined => byGVK.get(gvkKey(gvk));

/** The preferred version's resource: "pods" and "" or "deployments" and "apps". */
export const resourceByName = (group: string, resource: string): ResourceFacts | undefined =>
  byName.get(`${resource}.${group}`);

/** The definition's name of a kind, e.g. "io.k8s.api.core.v1.Pod". */
export const definitionOf = (gvk: GroupVersionKind): string | undefined => definitionByGVK.get(gvkKey(gvk));

/** The structure of a kind. */
export function typeOf(gvk: GroupVersionKind): Schema | undefined {
  const name = definitionOf(gvk);
  return name === undefined ? undefined : facts.types[name];
}

/**
 * Follows a reference to what it names; facts written beside the reference (default, list type, patch strategy) stay
 * with the field and are not in the result.
 */
export function resolve(schema: Schema): Schema {
  if (schema.ref === undefined) return schema;
  const target = facts.types[schema.ref];
  if (!target) throw new Error(`no definition ${schema.ref} in the API's facts`);
  return resolve(target);
}

/** A field's schema as it stands in its parent (unresolved); a map's free keys answer with the map's value. */
export function fieldOf(parent: Schema, name: string): Schema | undefined {
  const schema = resolve(parent);
  return schema.properties?.[name] ?? schema.values;
}

/** Walks ["spec", "template", "spec"]; an array is stepped into by any index. Undefined where the path leaves the type. */
export function schemaAt(root: Schema, path: readonly (string | number)[]): Schema | undefined {
  let at: Schema | undefined = root;
  for (const step of path) {
    if (at === undefined) return undefined;
    const schema = resolve(at);
    at = typeof step === "number" ? schema.items : fieldOf(schema, step);
  }
  return at;
}

export interface Bootstrap {
  clusterRoles: DynamicObject[];
  clusterRoleBindings: DynamicObject[];
  roles: DynamicObject[];
  roleBindings: DynamicObject[];
  priorityClasses: DynamicObject[];
  flowSchemas: DynamicObject[];
  priorityLevelConfigurations: DynamicObject[];
}

let loaded: Bootstrap | undefined;

/** What every new cluster has; aggregated cluster roles have their rules. Read on first use; do not change the result. */
export function bootstrap(): Readonly<Bootstrap> {
  loaded ??= read("bootstrap.json") as Bootstrap;
  return loaded;
}
