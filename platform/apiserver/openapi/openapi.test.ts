import assert from "node:assert/strict";
import { test } from "node:test";
import { resources } from "#sdk/api/facts.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { acceptsJson, openApiResponse, openApiV2, openApiV3, openApiV3Index } from "./openapi.ts";

const served: ResourceFacts[] = resources().filter((r) =>
  ["pods", "namespaces", "deployments", "plugins"].includes(r.resource),
);
const ask = (path: string, more: { accept?: string; hash?: string; ifNoneMatch?: string; prefix?: string } = {}) =>
  openApiResponse(served, { path, prefix: "", hash: "", now: new Date(0), ...more });
const deployments = () => JSON.parse(openApiV3(served, "apis/apps/v1")?.body ?? "");

test("kubectl finds fieldValidation among a kind's patch parameters, or it would validate by itself", () => {
  const { patch } = deployments().paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
  assert.deepEqual(patch["x-kubernetes-group-version-kind"], { group: "apps", version: "v1", kind: "Deployment" });
  assert.ok(patch.parameters.some((p: { name: string }) => p.name === "fieldValidation"));
  assert.equal(patch.operationId, "patchAppsV1NamespacedDeployment");
});

test("schemas carry what client-side strategic merge needs, and every reference leads somewhere", () => {
  const { schemas } = deployments().components;
  const { containers } = schemas["io.k8s.api.core.v1.PodSpec"].properties;
  assert.equal(containers["x-kubernetes-patch-merge-key"], "name");
  assert.equal(containers["x-kubernetes-patch-strategy"], "merge");
  for (const document of [deployments(), JSON.parse(openApiV2(served).body)]) {
    for (const [, ref] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      let target = document;
      for (const step of (ref ?? "").split("/")) target = target?.[step];
      assert.ok(target, ref ?? "");
    }
  }
});

test("numbers that may be text are told apart in v3 and are text in v2", () => {
  const v3 = deployments().components.schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
  assert.deepEqual(v3, { format: "int-or-string", oneOf: [{ type: "integer" }, { type: "string" }] });
  const v2 = JSON.parse(openApiV2(served).body).definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
  assert.deepEqual(v2, { type: "string", format: "int-or-string" });
});

test("the index names each served group version, under the tenant's prefix, with its hash", () => {
  const { paths } = JSON.parse(openApiV3Index(served, "/tenants/blue").body);
  assert.deepEqual(Object.keys(paths).sort(), ["api/v1", "apis/apps/v1", "apis/capstan.dev/v1"]);
  assert.match(paths["api/v1"].serverRelativeURL, /^\/tenants\/blue\/openapi\/v3\/api\/v1\?hash=[0-9A-F]{64}$/);
});

test("a document asked for by its hash may be kept for ever, by a stale one is answered elsewhere", () => {
  const hash = openApiV3(served, "api/v1")?.hash ?? "";
  const fresh = ask("/openapi/v3/api/v1", { hash });
  assert.equal(fresh?.headers["cache-control"], "public, immutable");
  assert.equal(ask("/openapi/v3/api/v1", { hash: "OLD" })?.headers["location"], `/openapi/v3/api/v1?hash=${hash}`);
  assert.equal(ask("/openapi/v3/api/v1", { ifNoneMatch: `"${hash}"` })?.code, 304);
  assert.equal(ask("/openapi/v3/apis/batch/v1"), undefined);
});

test("v2 comes in protobuf to who asks for it; v3 does not, and says so", () => {
  const accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
  const answer = ask("/openapi/v2", { accept });
  assert.equal(answer?.code, 200);
  assert.match(answer?.headers["content-type"] ?? "", /\+protobuf$/);
  // Document's first field: swagger, three letters.
  assert.equal(
    Buffer.from(answer?.body ?? "")
      .subarray(0, 5)
      .toString(),
    "\n\u00032.0",
  );
  assert.equal(ask("/openapi/v3", { accept })?.code, 406);
  assert.equal(ask("/openapi/v2", { accept: "application/json" })?.code, 200);
  assert.ok(acceptsJson(undefined));
});
