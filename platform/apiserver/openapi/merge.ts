/**
 * OpenAPI v2 of several servers as one document (kube-aggregator's openapi aggregator): of an extension server what is under its own group and version,
 * with the definitions that it takes. A name that means something else here is told as NAME_v2.
 */
import type { Json, JsonObject } from "#sdk/api/object.ts";

/** Paths and the definitions that they lead to. */
export interface SwaggerPart {
  paths: JsonObject;
  definitions: JsonObject;
}

const REFERENCE = "#/definitions/";
const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Calls `visit` with every definition's name that a value refers to; what it answers stands there instead. */
function renamed(value: Json | undefined, visit: (name: string) => string): Json | undefined {
  if (Array.isArray(value)) return value.map((item) => renamed(item, visit) ?? null);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, part]): [string, Json | undefined] =>
    key === "$ref" && typeof part === "string" && part.startsWith(REFERENCE)
      ? [key, REFERENCE + visit(part.slice(REFERENCE.length))]
      : [key, renamed(part, visit)],
  );
  return Object.fromEntries(entries) as JsonObject;
}

/** What a server tells of one group version; undefined when it is no OpenAPI v2. `prefix`: "/apis/GROUP/VERSION". */
export function partOf(document: unknown, prefix: string): SwaggerPart | undefined {
  if (!isObject(document) || document["swagger"] !== "2.0" || !isObject(document["paths"])) return undefined;
  const all = isObject(document["definitions"]) ? document["definitions"] : {};
  const own = Object.entries(document["paths"]).filter(([path]) => path === prefix || path.startsWith(`${prefix}/`));
  const paths = Object.fromEntries(own) as JsonObject;
  const definitions: JsonObject = {};
  const take = (name: string): string => {
    if (!Object.hasOwn(definitions, name) && all[name] !== undefined) {
      definitions[name] = all[name] as Json;
      renamed(all[name], take);
    }
    return name;
  };
  renamed(paths, take);
  return { paths, definitions };
}

const same = (a: Json | undefined, b: Json | undefined): boolean => JSON.stringify(a) === JSON.stringify(b);

/** A name that is free, or means the same. */
function nameFor(name: string, definition: Json | undefined, taken: JsonObject): string {
  for (let i = 2, other = name; ; other = `${name}_v${i++}`)
    if (!Object.hasOwn(taken, other) || same(taken[other], definition)) return other;
}

/** `base` is not changed. Paths that are there already stay what they are. */
export function mergeSwagger(base: JsonObject, parts: readonly SwaggerPart[]): JsonObject {
  const paths: JsonObject = { ...(base["paths"] as JsonObject) };
  const definitions: JsonObject = { ...(base["definitions"] as JsonObject) };
  for (const part of parts) {
    const names = new Map<string, string>();
    for (const [name, definition] of Object.entries(part.definitions))
      names.set(name, nameFor(name, definition, definitions));
    const rename = (name: string): string => names.get(name) ?? name;
    for (const [name, definition] of Object.entries(part.definitions))
      definitions[rename(name)] = renamed(definition, rename) ?? {};
    for (const [path, item] of Object.entries(part.paths)) paths[path] ??= renamed(item, rename) ?? {};
  }
  return { ...base, paths, definitions };
}
