/** The operations of a resource, as OpenAPI paths: what kubectl reads to learn which parameters a kind's verbs take. */
import type { JsonObject } from "#sdk/api/object.ts";
import { type Published, publishedName } from "./published.ts";
import { definitionOfKind, META, type OpenApiVersion, refTo } from "./schemas.ts";

const MEDIA = ["application/json", "application/yaml"];
const PATCHES = [
  "application/apply-patch+yaml",
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
];

type Parameter = [name: string, type: "string" | "integer" | "boolean"];
const LIST: Parameter[] = [
  ["allowWatchBookmarks", "boolean"],
  ["continue", "string"],
  ["fieldSelector", "string"],
  ["labelSelector", "string"],
  ["limit", "integer"],
  ["resourceVersion", "string"],
  ["resourceVersionMatch", "string"],
  ["sendInitialEvents", "boolean"],
  ["timeoutSeconds", "integer"],
  ["watch", "boolean"],
];
const WRITE: Parameter[] = [
  ["dryRun", "string"],
  ["fieldManager", "string"],
  ["fieldValidation", "string"],
];
const DELETE: Parameter[] = [
  ["dryRun", "string"],
  ["gracePeriodSeconds", "integer"],
  ["orphanDependents", "boolean"],
  ["propagationPolicy", "string"],
];

const VERBS = {
  get: { method: "get", id: "read", action: "get", parameters: [] },
  list: { method: "get", id: "list", action: "list", parameters: LIST },
  create: { method: "post", id: "create", action: "post", parameters: WRITE },
  update: { method: "put", id: "replace", action: "put", parameters: WRITE },
  patch: { method: "patch", id: "patch", action: "patch", parameters: [...WRITE, ["force", "boolean"]] },
  delete: { method: "delete", id: "delete", action: "delete", parameters: DELETE },
  deletecollection: {
    method: "delete",
    id: "delete",
    action: "deletecollection",
    parameters: [...DELETE, ...LIST.filter(([name]) => name !== "watch" && name !== "allowWatchBookmarks")],
  },
} satisfies Record<string, { method: string; id: string; action: string; parameters: Parameter[] }>;
type Verb = keyof typeof VERBS;

const ON_COLLECTION: readonly Verb[] = ["list", "create", "deletecollection"];
const ON_OBJECT: readonly Verb[] = ["get", "update", "patch", "delete"];

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** "rbac.authorization.k8s.io" → "RbacAuthorization"; the core group is "Core". */
function groupName(group: string): string {
  const short = group === "" ? "core" : group.replace(/\.k8s\.io$/, "");
  return short.split(".").map(capital).join("");
}

/** What an operation is about: a resource or a subresource at one of its paths. */
interface Target {
  resource: Published;
  kind: { group: string; version: string; kind: string };
  /** After the verb in the operation's id: "AppsV1NamespacedDeploymentScale". */
  idSuffix: string;
}

const query = ([name, type]: Parameter, version: OpenApiVersion): JsonObject => ({
  in: "query",
  name,
  ...(version === 2 ? { type, uniqueItems: true } : { schema: { type, uniqueItems: true } }),
});

function content(schema: JsonObject, media: readonly string[]): JsonObject {
  return Object.fromEntries(media.map((type) => [type, { schema }]));
}

function operation(verb: Verb, target: Target, version: OpenApiVersion): JsonObject {
  const { id, action, parameters } = VERBS[verb];
  const { group, version: apiVersion, kind } = target.kind;
  const name = verb === "deletecollection" ? `${META}Status` : nameOf(target.resource, target.kind, verb === "list");
  const answered = verb === "delete" && target.resource.kind !== "Pod" ? `${META}Status` : name;
  const schema: JsonObject = answered === undefined ? { type: "string" } : refTo(answered, version);
  const body = bodyOf(verb, name, version);
  const group_ = groupName(target.resource.group);
  const asked = [...(version === 2 && body ? [body] : []), ...parameters.map((p) => query(p as Parameter, version))];
  const codes =
    verb === "create" ? ["200", "201", "202"] : verb === "update" || verb === "patch" ? ["200", "201"] : ["200"];
  const media = verb === "list" ? [...MEDIA, "application/json;stream=watch"] : MEDIA;
  const place = `${group_}${capital(target.resource.version)}`;
  // Streams and proxies: the request's object is in the query, and the answer is no object.
  const connect = name === undefined;
  const operationId = connect
    ? `connect${place}${capital(VERBS[verb].method)}${target.idSuffix}`
    : `${id}${place}${verb === "deletecollection" ? "Collection" : ""}${target.idSuffix}`;
  return {
    operationId,
    tags: [`${group_.charAt(0).toLowerCase()}${group_.slice(1)}_${target.resource.version}`],
    "x-kubernetes-action": connect ? "connect" : action,
    "x-kubernetes-group-version-kind": { group, version: apiVersion, kind },
    // Upstream leaves an empty list away, and its types do not write one again that they have read.
    ...(asked.length > 0 ? { parameters: asked } : {}),
    ...(version === 3 && body ? { requestBody: body } : {}),
    ...(version === 2 ? { consumes: verb === "patch" ? PATCHES : ["*/*"], produces: media, schemes: ["https"] } : {}),
    responses: Object.fromEntries([
      ...codes.map((code) => [
        code,
        { description: CODE[code], ...(version === 2 ? { schema } : { content: content(schema, media) }) },
      ]),
      ["401", { description: "Unauthorized" }],
    ]),
  };
}

/** Undefined for what is no object (streams). */
function nameOf(r: Published, of: Target["kind"], list: boolean): string | undefined {
  const { group, version, kind } = of;
  if (r.own && group === r.group) return publishedName(group, version, list ? r.own.listKind : kind);
  return definitionOfKind(group, version, list ? `${kind}List` : kind);
}

const CODE: Record<string, string> = { "200": "OK", "201": "Created", "202": "Accepted" };

function bodyOf(verb: Verb, name: string | undefined, version: OpenApiVersion): JsonObject | undefined {
  const sent =
    verb === "patch"
      ? `${META}Patch`
      : verb === "create" || verb === "update"
        ? name
        : verb === "delete" || verb === "deletecollection"
          ? `${META}DeleteOptions`
          : undefined;
  if (sent === undefined) return undefined;
  const required = verb !== "delete" && verb !== "deletecollection";
  const schema = refTo(sent, version);
  if (version === 2) return { in: "body", name: "body", ...(required ? { required } : {}), schema };
  return { content: content(schema, verb === "patch" ? PATCHES : ["*/*"]), ...(required ? { required } : {}) };
}

function pathParameters(names: readonly string[], version: OpenApiVersion): JsonObject[] {
  const placed = names.map(
    (name): JsonObject => ({
      in: "path",
      name,
      required: true,
      ...(version === 2 ? { type: "string", uniqueItems: true } : { schema: { type: "string", uniqueItems: true } }),
    }),
  );
  return [...placed, query(["pretty", "string"], version)];
}

function item(
  target: Target,
  verbs: readonly Verb[],
  offered: readonly string[],
  path: readonly string[],
  version: OpenApiVersion,
) {
  const operations = verbs.filter((verb) => offered.includes(verb));
  if (operations.length === 0) return undefined;
  return {
    ...Object.fromEntries(operations.map((verb) => [VERBS[verb].method, operation(verb, target, version)])),
    parameters: pathParameters(path, version),
  };
}

export function pathsFor(served: readonly Published[], version: OpenApiVersion): JsonObject {
  const paths: JsonObject = {};
  const add = (path: string, entry: JsonObject | undefined) => {
    if (entry) paths[path] = entry;
  };
  for (const r of served) {
    const root = r.group === "" ? `/api/${r.version}` : `/apis/${r.group}/${r.version}`;
    const scope = r.namespaced ? "Namespaced" : "";
    const base = r.namespaced ? `${root}/namespaces/{namespace}/${r.resource}` : `${root}/${r.resource}`;
    const within = r.namespaced ? ["namespace"] : [];
    const whole: Target = { resource: r, kind: r, idSuffix: `${scope}${r.kind}` };
    if (r.namespaced) {
      add(
        `${root}/${r.resource}`,
        item({ ...whole, idSuffix: `${r.kind}ForAllNamespaces` }, ["list"], r.verbs, [], version),
      );
    }
    add(base, item(whole, ON_COLLECTION, r.verbs, within, version));
    add(`${base}/{name}`, item(whole, ON_OBJECT, r.verbs, ["name", ...within], version));
    for (const s of r.subresources) {
      const kind = { group: s.group ?? r.group, version: s.version ?? r.version, kind: s.kind };
      const target: Target = { resource: r, kind, idSuffix: `${scope}${r.kind}${capital(s.name)}` };
      const verbs: readonly Verb[] = ["get", "create", "update", "patch", "delete"];
      add(`${base}/{name}/${s.name}`, item(target, verbs, s.verbs, ["name", ...within], version));
    }
  }
  return paths;
}
