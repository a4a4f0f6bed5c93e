/**
 * /openapi/v2, /openapi/v3 and /openapi/v3/…, made from the facts for the resources that are served: structure,
 * operations and parameters, no descriptions. Made on first use and kept as long as the list of served resources lives.
 */
import { createHash } from "node:crypto";
import type { JsonObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { mergeSwagger, type SwaggerPart } from "./merge.ts";
import { pathsFor } from "./paths.ts";
import { encodeOpenApiV2 } from "./protobuf.ts";
import type { Published } from "./published.ts";
import { schemasFor } from "./schemas.ts";

type Served = readonly Published[];

export interface OpenApiDocument {
  body: string;
  /** Unquoted; changes with the document. */
  hash: string;
}

const INFO = { title: "Kubernetes", version: "v1.36.3" };
const BEARER = { type: "apiKey", in: "header", name: "authorization" };

const made = new WeakMap<Served, Map<string, OpenApiDocument>>();

function once(served: Served, name: string, make: () => JsonObject): OpenApiDocument {
  const all = made.get(served) ?? new Map<string, OpenApiDocument>();
  made.set(served, all);
  const known = all.get(name);
  if (known) return known;
  const body = JSON.stringify(make());
  const document = { body, hash: createHash("sha256").update(body).digest("hex").toUpperCase() };
  all.set(name, document);
  return document;
}

export const openApiV2 = (served: Served): OpenApiDocument =>
  once(served, "v2", () => ({
    swagger: "2.0",
    info: INFO,
    paths: pathsFor(served, 2),
    definitions: schemasFor(served, 2),
    securityDefinitions: { BearerToken: BEARER },
    security: [{ BearerToken: [] }],
  }));

interface Merged {
  document: OpenApiDocument;
  packed?: Buffer;
}
const merged = new WeakMap<readonly SwaggerPart[], Merged>();

/** With what extension servers tell; made once for each list of parts, which is a new one when something has changed. */
function mergedV2(served: Served, parts: readonly SwaggerPart[]): Merged {
  const known = merged.get(parts);
  if (known) return known;
  const body = JSON.stringify(mergeSwagger(JSON.parse(openApiV2(served).body) as JsonObject, parts));
  const made: Merged = { document: { body, hash: createHash("sha256").update(body).digest("hex").toUpperCase() } };
  merged.set(parts, made);
  return made;
}

/** "api/v1", "apis/apps/v1": how the index and the URLs name a group version. */
const pathOf = (r: ResourceFacts): string => (r.group === "" ? `api/${r.version}` : `apis/${r.group}/${r.version}`);

/** `path` is "api/v1" or "apis/G/V". Undefined where nothing of it is served. */
export function openApiV3(served: Served, path: string): OpenApiDocument | undefined {
  const members = served.filter((r) => pathOf(r) === path);
  if (members.length === 0) return undefined;
  return once(served, `v3/${path}`, () => ({
    openapi: "3.0.0",
    info: INFO,
    paths: pathsFor(members, 3),
    components: { schemas: schemasFor(members, 3), securitySchemes: { BearerToken: BEARER } },
    security: [{ BearerToken: [] }],
  }));
}

/** `prefix` is the tenant's ("/tenants/NAME" or ""): clients follow the URLs as they stand. */
export function openApiV3Index(served: Served, prefix = "", elsewhere: readonly string[] = []): OpenApiDocument {
  return once(served, `v3 index ${prefix} ${elsewhere}`, () => {
    const paths = [...new Set(served.map(pathOf))].map((path) => {
      const serverRelativeURL = `${prefix}/openapi/v3/${path}?hash=${openApiV3(served, path)?.hash ?? ""}`;
      return [path, { serverRelativeURL }];
    });
    const others = elsewhere.map((path) => [path, { serverRelativeURL: `${prefix}/openapi/v3/${path}` }]);
    return { paths: Object.fromEntries([...paths, ...others]) };
  });
}

export interface OpenApiRequest {
  /** Without the tenant's prefix and the query: "/openapi/v2", "/openapi/v3/apis/apps/v1". */
  path: string;
  /** The tenant's prefix, "" for none. */
  prefix: string;
  /** "apis/G/V" whose schemas other servers tell. */
  elsewhere?: readonly string[];
  /** OpenAPI v2 of other servers: a new list whenever these, or what is served here, have changed. */
  parts?: readonly SwaggerPart[];
  accept?: string;
  ifNoneMatch?: string;
  /** The query's `hash`, "" for none. */
  hash: string;
  now: Date;
}

export interface OpenApiResponse {
  code: 200 | 301 | 304 | 406;
  headers: Record<string, string>;
  body: string | Buffer;
}

const JSON_TYPES = new Set(["", "*/*", "application/*", "application/json"]);

/** kubectl asks for v3 as JSON, and for v2 as protobuf alone; both spellings are in use. */
const PROTOBUF_TYPES = [
  "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
  "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
];

const packed = new WeakMap<Served, Buffer>();

function packedV2(made: Merged): Buffer {
  made.packed ??= encodeOpenApiV2(JSON.parse(made.document.body) as JsonObject);
  return made.packed;
}

function openApiV2Protobuf(served: Served): Buffer {
  const known = packed.get(served) ?? encodeOpenApiV2(JSON.parse(openApiV2(served).body) as JsonObject);
  packed.set(served, known);
  return known;
}

/** The first of both forms that the client names; a header that names neither is answered with 406. */
function wantsProtobuf(accept: string | undefined): boolean {
  for (const clause of (accept ?? "").split(",")) {
    const type = clause.split(";", 1)[0]?.trim() ?? "";
    if (PROTOBUF_TYPES.includes(type)) return true;
    if (JSON_TYPES.has(type)) return false;
  }
  return false;
}

export const acceptsJson = (accept: string | undefined): boolean =>
  (accept ?? "").split(",").some((clause) => JSON_TYPES.has(clause.split(";", 1)[0]?.trim() ?? ""));

/** Undefined: no such document (404). A stale `hash` is answered with the address of the new one. */
export function openApiResponse(served: Served, request: OpenApiRequest): OpenApiResponse | undefined {
  const path = request.path.replace(/^\/openapi\//, "").replace(/\/$/, "");
  const group = path.startsWith("v3/") ? path.slice("v3/".length) : undefined;
  const more = request.parts?.length ? mergedV2(served, request.parts) : undefined;
  const find = (): OpenApiDocument | undefined => {
    if (group !== undefined) return openApiV3(served, group);
    return path === "v2"
      ? (more?.document ?? openApiV2(served))
      : path === "v3"
        ? openApiV3Index(served, request.prefix, request.elsewhere)
        : undefined;
  };
  const protobuf = path === "v2" && wantsProtobuf(request.accept);
  if (!protobuf && !acceptsJson(request.accept)) return { code: 406, headers: { vary: "Accept" }, body: "" };
  const document = find();
  if (!document) return undefined;
  const etag = `"${document.hash}${protobuf ? "-protobuf" : ""}"`;
  const headers: Record<string, string> = {
    "content-type": protobuf ? (PROTOBUF_TYPES[0] ?? "") : "application/json",
    vary: "Accept",
    etag,
  };
  if (group !== undefined && request.hash !== "") {
    if (request.hash !== document.hash) {
      const location = `${request.prefix}${request.path}?hash=${document.hash}`;
      return { code: 301, headers: { location, vary: "Accept" }, body: "" };
    }
    const year = new Date(request.now);
    year.setUTCFullYear(year.getUTCFullYear() + 1);
    Object.assign(headers, { "cache-control": "public, immutable", expires: year.toUTCString() });
  }
  if (request.ifNoneMatch === etag) return { code: 304, headers, body: "" };
  const packedBody = () => (more ? packedV2(more) : openApiV2Protobuf(served));
  return { code: 200, headers, body: protobuf ? packedBody() : document.body };
}
