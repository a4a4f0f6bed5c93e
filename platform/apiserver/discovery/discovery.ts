/** Answers discovery requests: which document, in which form, with its ETag. */
import { createHash } from "node:crypto";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { aggregatedDiscovery, apiGroup, apiGroupList, apiResourceList, apiVersions, versionInfo } from "./documents.ts";

export { versionInfo } from "./documents.ts";

/** What the http layer writes; `body` is "" for 304. */
export interface DocumentResponse {
  code: 200 | 304;
  headers: Record<string, string>;
  body: string;
}

export interface DiscoveryRequest {
  /** Without the tenant's prefix and the query: "/api", "/apis/apps/v1", "/version". A slash at the end is ignored. */
  path: string;
  accept?: string;
  ifNoneMatch?: string;
  /** "host:port" that this server is reached at, for /api. */
  serverAddress: string;
}

const parameters = (clause: string): Map<string, string> =>
  new Map(
    clause
      .split(";")
      .slice(1)
      .map((pair) => pair.trim().split("=", 2) as [string, string]),
  );

/** The first acceptable form in the client's order; clients list the newest first. */
export function aggregatedVersion(accept: string | undefined): "v2" | "v2beta1" | undefined {
  for (const clause of (accept ?? "").split(",")) {
    const type = clause.split(";", 1)[0]?.trim();
    if (type !== "application/json" && type !== "*/*") continue;
    const wanted = parameters(clause);
    if (wanted.get("as") !== "APIGroupDiscoveryList") return undefined;
    const version = wanted.get("v");
    if (wanted.get("g") === "apidiscovery.k8s.io" && (version === "v2" || version === "v2beta1")) return version;
  }
  return undefined;
}

interface Made {
  body: string;
  etag: string;
}

/** Documents by list of served resources and name: the list is replaced as a whole when it changes. */
const made = new WeakMap<readonly ResourceFacts[], Map<string, Made | undefined>>();

function once(served: readonly ResourceFacts[], name: string, make: () => unknown): Made | undefined {
  const all = made.get(served) ?? new Map<string, Made | undefined>();
  made.set(served, all);
  if (!all.has(name)) {
    const document = make();
    const body = document === undefined ? "" : `${JSON.stringify(document)}\n`;
    const etag = createHash("sha256").update(body).digest("hex").toUpperCase();
    if (document === undefined) return undefined;
    all.set(name, { body, etag });
  }
  return all.get(name);
}

/** Undefined: no such document (the http layer answers 404). */
export function discoveryResponse(
  served: readonly ResourceFacts[],
  request: DiscoveryRequest,
): DocumentResponse | undefined {
  const parts = request.path.split("/").filter((part) => part !== "");
  const [root, first, second] = parts;
  const plain = (name: string, make: () => unknown): DocumentResponse | undefined => {
    const document = once(served, name, make);
    return document && { code: 200, headers: { "content-type": "application/json" }, body: document.body };
  };
  if (parts.length === 1 && root === "version") return plain("version", () => versionInfo());
  if (parts.length === 1 && (root === "api" || root === "apis")) {
    const version = aggregatedVersion(request.accept);
    if (version) return aggregated(served, root === "api", version, request.ifNoneMatch);
    const { serverAddress } = request;
    const answer =
      root === "api"
        ? plain(`api ${serverAddress}`, () => apiVersions(serverAddress))
        : plain("apis", () => apiGroupList(served));
    return answer && { ...answer, headers: { ...answer.headers, vary: "Accept" } };
  }
  if (root === "api" && parts.length === 2) return plain(`/${first}`, () => apiResourceList(served, "", first ?? ""));
  if (root !== "apis") return undefined;
  if (parts.length === 2) return plain(`${first}`, () => apiGroup(served, first ?? ""));
  if (parts.length !== 3) return undefined;
  return plain(`${first}/${second}`, () => apiResourceList(served, first ?? "", second ?? ""));
}

function aggregated(
  served: readonly ResourceFacts[],
  core: boolean,
  version: "v2" | "v2beta1",
  ifNoneMatch: string | undefined,
): DocumentResponse | undefined {
  const document = once(served, `aggregated ${core} ${version}`, () => aggregatedDiscovery(served, core, version));
  if (!document) return undefined;
  const etag = `"${document.etag}"`;
  const headers = {
    "content-type": `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
    "cache-control": "public",
    vary: "Accept",
    etag,
  };
  return ifNoneMatch === etag ? { code: 304, headers, body: "" } : { code: 200, headers, body: document.body };
}
