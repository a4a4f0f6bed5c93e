import assert from "node:assert/strict";
import { test } from "node:test";
import { manifestSchema } from "#sdk/plugin/manifest.ts";
import { type AdmissionRequest, wantsReview } from "./admission.ts";
import { contextsOf } from "./context.ts";

const specOf = (more: object) =>
  manifestSchema.parse({ name: "p", version: "1.0.0", witVersion: "v1", worlds: ["admission"], ...more });
const request = (more: Partial<AdmissionRequest> = {}): AdmissionRequest => ({
  tenantName: "root",
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  subresource: "",
  namespace: "ns",
  name: "p",
  object: { metadata: { name: "p" }, spec: { nodeName: "n1" } },
  dryRun: false,
  user: { name: "jane", groups: ["people"] },
  ...more,
});
const namespaces = { group: "", version: "v1", resource: "namespaces", named: "namespace", skipWhenEmpty: true };
const stored = [{ metadata: { name: "ns", labels: { level: "high" }, uid: "u" } }];

test("a hook is not called where the labels that it is about are missing, unless its configuration stands in for them", async () => {
  const context = [{ ...namespaces, labels: ["level"], fields: ["metadata.labels"], unlessConfigured: ["defaults"] }];
  const read = async () => stored;
  const found = await contextsOf(specOf({ context }), request(), read);
  assert.deepEqual(found, { namespaces: [{ metadata: { labels: { level: "high" } } }] });
  const other = [{ ...context[0], labels: ["other"] }];
  assert.equal(await contextsOf(specOf({ context: other }), request(), read), undefined);
  const configured = specOf({ context: other, config: { defaults: {} } });
  assert.deepEqual(await contextsOf(configured, request(), read), { namespaces: [] });
});

test("the object that a review names is read alone, and a namespace counts as inside itself", async () => {
  const asked: unknown[] = [];
  const read = async (...args: unknown[]) => {
    asked.push(args.slice(2));
    return [];
  };
  const named = (path: string) => specOf({ context: [{ group: "", version: "v1", resource: "nodes", named: path }] });
  await contextsOf(named("object.spec.nodeName"), request(), read);
  await contextsOf(named("object.spec.other"), request(), read);
  const inside = request({ resource: { group: "", version: "v1", resource: "namespaces" }, namespace: "", name: "a" });
  await contextsOf(specOf({ context: [{ group: "", version: "v1", resource: "pods" }] }), inside, read);
  assert.deepEqual(asked, [["ns", "n1"], ["a"]]);
});

test("requests are matched by the object's labels and fields, and the user's groups", () => {
  const rule = { groups: [""], resources: ["pods"], operations: ["CREATE"] };
  const wants = (more: object, of: AdmissionRequest) => wantsReview(specOf({ match: [{ ...rule, ...more }] }), of);
  assert.equal(wants({ userGroups: ["nodes"] }, request()), false);
  assert.equal(wants({ userGroups: ["people"] }, request()), true);
  assert.equal(wants({ labels: ["a"] }, request()), false);
  assert.equal(wants({ fields: ["spec.nodeName", "spec.other"] }, request()), true);
  assert.equal(wants({ fields: ["spec.other", "spec.nodeName.deeper"] }, request()), false);
  assert.equal(wants({ labels: ["a"] }, request({ oldObject: { metadata: { labels: { a: "" } } } })), true);
});
