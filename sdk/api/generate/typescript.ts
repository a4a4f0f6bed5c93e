/** Writes TypeScript interfaces for the definitions: plain names, with group and version before the name on a clash only. */
import type { Facts, Schema } from "../schema.ts";

const META = "io.k8s.apimachinery.pkg.apis.meta.v1.";
/** Written by hand in ../object.ts. */
const BY_HAND = ["ObjectMeta", "OwnerReference", "ManagedFieldsEntry", "ListMeta"];
const OBJECT_META = `${META}ObjectMeta`;

/** "io.k8s.api.rbac.v1.Role" → group part "rbac", version "v1", name "Role". */
function split(definition: string): { group: string; version: string; name: string } {
  const parts = definition.split(".");
  return { name: parts.at(-1) ?? "", version: parts.at(-2) ?? "", group: parts.at(-3) ?? "" };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Lower ranks win the plain name: served kinds, then core, then groups and versions in upstream's order of priority. */
function rank(facts: Facts, definition: string): number {
  const { group, version } = split(definition);
  const kind = facts.types[definition]?.gvks?.length === 1 ? 0 : 1000;
  const index = facts.groups.findIndex(({ name }) => (name === "" ? "core" : name.split(".")[0]) === group);
  const versions = facts.groups[index]?.versions ?? [];
  return kind + (index < 0 ? 999 : index * 10 + Math.max(0, versions.indexOf(version)));
}

export function typeNames(facts: Facts): Map<string, string> {
  const byName = Map.groupBy(Object.keys(facts.types), (definition) => split(definition).name);
  const names = new Map<string, string>();
  for (const [name, definitions] of byName) {
    const ordered = definitions.toSorted((a, b) => rank(facts, a) - rank(facts, b));
    ordered.forEach((definition, i) => {
      const { group, version } = split(definition);
      names.set(definition, i === 0 ? name : capital(group) + capital(version) + name);
    });
  }
  return names;
}

const identifier = /^[A-Za-z_$][\w$]*$/;

function shape(schema: Schema, names: ReadonlyMap<string, string>): string {
  if (schema.ref !== undefined) return names.get(schema.ref) ?? "unknown";
  if (schema.format === "int-or-string") return "number | string";
  if (schema.format === "quantity") return "string";
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.items) {
    const item = shape(schema.items, names);
    return item.includes("|") ? `(${item})[]` : `${item}[]`;
  }
  if (schema.values) return `Record<string, ${shape(schema.values, names)}>`;
  if (schema.properties) return `{ ${fields(schema, names).join(" ")} }`;
  switch (schema.type) {
    case "string":
    case "boolean":
      return schema.type;
    case "integer":
    case "number":
      return "number";
    case "object":
      return "JsonObject";
    default:
      return "Json";
  }
}

function fields(schema: Schema, names: ReadonlyMap<string, string>, skip: readonly string[] = []): string[] {
  return Object.entries(schema.properties ?? {})
    .filter(([name]) => !skip.includes(name))
    .map(([name, field]) => {
      const key = identifier.test(name) ? name : JSON.stringify(name);
      const optional = schema.required?.includes(name) ? "" : "?";
      return `${key}${optional}: ${shape(field, names)};`;
    });
}

function declaration(definition: string, schema: Schema, names: ReadonlyMap<string, string>): string {
  const name = names.get(definition) ?? "";
  const properties = schema.properties;
  if (!properties || schema.preserveUnknownFields) {
    return `export type ${name} = ${schema.type === "object" && !schema.preserveUnknownFields && !schema.values ? "Record<string, never>" : shape(schema, names)};`;
  }
  const items = properties["items"]?.items?.ref;
  if (properties["metadata"]?.ref === `${META}ListMeta` && items !== undefined) {
    return `export type ${name} = KubeList<${names.get(items)}>;`;
  }
  const top = properties["metadata"]?.ref === OBJECT_META && properties["kind"] !== undefined;
  const body = fields(schema, names, top ? ["apiVersion", "kind", "metadata"] : []);
  if (top && body.length === 0) return `export type ${name} = KubeObject;`;
  const heritage = top ? " extends KubeObject" : "";
  if (body.length === 0) return `export type ${name} = Record<string, never>;`;
  return `export interface ${name}${heritage} {\n${body.map((line) => `  ${line}\n`).join("")}}`;
}

export function typescript(facts: Facts): string {
  const names = typeNames(facts);
  const byHand = BY_HAND.map((name) => META + name);
  const declarations = Object.entries(facts.types)
    .filter(([definition]) => !byHand.includes(definition))
    .map(([definition, schema]) => declaration(definition, schema, names));
  return [
    "// Written by sdk/api/generate/main.ts. Do not edit.",
    `import type { Json, JsonObject, KubeList, KubeObject, ManagedFieldsEntry, ObjectMeta, OwnerReference } from "../object.ts";`,
    `import type { ListMeta } from "../object.ts";`,
    "",
    "export type { ListMeta, ManagedFieldsEntry, ObjectMeta, OwnerReference };",
    "",
    ...declarations,
    "",
  ].join("\n");
}
