/**
 * What a URL and method ask for (apiserver's endpoints/request/requestinfo.go), with Capstan's tenant prefix before it:
 * /tenants/NAME is tenant NAME's own API, NAME "*" reads over all; without a prefix the credential's tenant is meant.
 */
import { badRequest } from "#sdk/api/status.ts";

export interface RequestInfo {
  /** Name in the prefix, "*" for the wildcard, undefined without a prefix. */
  tenant: string | undefined;
  /** The path after the tenant prefix. */
  path: string;
  isResource: boolean;
  /** Upstream's verb for resources; the lower-case method otherwise. */
  verb: string;
  group: string;
  version: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  /** Path segments after the subresource (proxy). */
  rest: string[];
}

const VERBS: Record<string, string> = {
  POST: "create",
  GET: "get",
  HEAD: "get",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** Subresources of a namespace itself; anything else after its name is a resource inside it. */
const NAMESPACE_SUBRESOURCES = new Set(["status", "finalize"]);

function splitTenant(path: string): { tenant: string | undefined; path: string } {
  const match = /^\/tenants\/([^/]+)(\/.*)?$/.exec(path);
  return match ? { tenant: match[1], path: match[2] ?? "/" } : { tenant: undefined, path };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest("the request's path is not a valid URL path");
  }
}

export function parseRequest(method: string, rawPath: string, query: URLSearchParams): RequestInfo {
  const { tenant, path } = splitTenant(rawPath);
  const info: RequestInfo = {
    tenant: tenant === undefined ? undefined : decodeSegment(tenant),
    path,
    isResource: false,
    verb: method.toLowerCase(),
    group: "",
    version: "",
    resource: "",
    subresource: "",
    namespace: "",
    name: "",
    rest: [],
  };
  let parts = path
    .split("/")
    .filter((s) => s !== "")
    .map(decodeSegment);
  if (parts[0] === "api" && parts.length >= 3) {
    info.version = parts[1] ?? "";
    parts = parts.slice(2);
  } else if (parts[0] === "apis" && parts.length >= 4) {
    info.group = parts[1] ?? "";
    info.version = parts[2] ?? "";
    parts = parts.slice(3);
  } else return info;
  info.isResource = true;
  info.verb = VERBS[method] ?? "";
  if (parts[0] === "watch" && parts.length > 1) {
    info.verb = "watch";
    parts = parts.slice(1);
  }
  if (parts[0] === "namespaces" && parts.length > 1) {
    info.namespace = parts[1] ?? "";
    if (parts.length > 2 && !NAMESPACE_SUBRESOURCES.has(parts[2] ?? "")) parts = parts.slice(2);
  }
  info.resource = parts[0] ?? "";
  info.name = parts[1] ?? "";
  info.subresource = parts[2] ?? "";
  info.rest = parts.slice(3);
  refineVerb(info, query);
  return info;
}

function refineVerb(info: RequestInfo, query: URLSearchParams): void {
  if (info.name === "" && info.verb === "get") {
    const watch = query.get("watch");
    info.verb = watch !== null && watch !== "false" && watch !== "0" ? "watch" : "list";
  } else if (info.name === "" && info.verb === "delete") info.verb = "deletecollection";
}

/** For authorization, a collection narrowed to one name counts as that name. */
export function nameForAuthorization(info: RequestInfo, query: URLSearchParams): string {
  if (info.name !== "" || !["list", "watch", "deletecollection"].includes(info.verb)) return info.name;
  const match = /(?:^|,)metadata\.name==?([^,]+)/.exec(query.get("fieldSelector") ?? "");
  return match?.[1] ?? "";
}
