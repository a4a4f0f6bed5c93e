import assert from "node:assert/strict";
import { test } from "node:test";
import { nameForAuthorization, parseRequest } from "./requestInfo.ts";

const parse = (method: string, url: string) => {
  const [path = "", query = ""] = url.split("?");
  return parseRequest(method, path, new URLSearchParams(query));
};

test("a URL's parts and upstream's verb are told apart", () => {
  const cases: [string, string, Record<string, string>][] = [
    ["GET", "/api/v1/pods", { verb: "list", resource: "pods", namespace: "", name: "" }],
    ["GET", "/api/v1/namespaces/a/pods?watch=1", { verb: "watch", resource: "pods", namespace: "a" }],
    ["GET", "/api/v1/namespaces/a/pods/b/log", { verb: "get", resource: "pods", name: "b", subresource: "log" }],
    ["POST", "/apis/apps/v1/namespaces/a/deployments", { verb: "create", group: "apps", resource: "deployments" }],
    ["DELETE", "/apis/apps/v1/namespaces/a/deployments", { verb: "deletecollection" }],
    ["GET", "/api/v1/namespaces/a", { verb: "get", resource: "namespaces", name: "a", namespace: "a" }],
    ["PUT", "/api/v1/namespaces/a/finalize", { verb: "update", resource: "namespaces", subresource: "finalize" }],
    ["GET", "/api/v1/watch/pods", { verb: "watch", resource: "pods" }],
    ["GET", "/healthz", { verb: "get", path: "/healthz" }],
  ];
  for (const [method, url, wanted] of cases) {
    const info = parse(method, url);
    for (const [key, value] of Object.entries(wanted)) {
      assert.equal(info[key as keyof typeof info], value, `${method} ${url}: ${key}`);
    }
  }
});

test("the tenant's prefix is taken off the path", () => {
  const info = parse("GET", "/tenants/acme/api/v1/pods");
  assert.equal(info.tenant, "acme");
  assert.equal(info.path, "/api/v1/pods");
  assert.equal(info.resource, "pods");
  assert.equal(parse("GET", "/tenants/*/api/v1/pods").tenant, "*");
  assert.equal(parse("GET", "/api/v1/pods").tenant, undefined);
});

test("a list narrowed to one name is authorized as that name", () => {
  const query = new URLSearchParams("fieldSelector=metadata.name%3Da");
  assert.equal(nameForAuthorization(parseRequest("GET", "/api/v1/secrets", query), query), "a");
});
