import assert from "node:assert/strict";
import { test } from "node:test";
import { compacted, ruleAllows, subjectIs, uncovered } from "./rules.ts";

const pods = (verb: string, name = "", subresource = "") => ({
  verb,
  resource: { group: "", resource: "pods", subresource, name },
});

test("a rule allows what its verbs, groups, resources and names say and nothing else", () => {
  const rule = { verbs: ["get"], apiGroups: [""], resources: ["pods", "*/log"], resourceNames: ["a"] };
  assert.ok(ruleAllows(rule, pods("get", "a")));
  assert.ok(ruleAllows(rule, pods("get", "a", "log")));
  assert.ok(!ruleAllows(rule, pods("get", "b")));
  assert.ok(!ruleAllows(rule, pods("get", "a", "exec")));
  assert.ok(!ruleAllows(rule, pods("delete", "a")));
  assert.ok(!ruleAllows(rule, { verb: "get", path: "/healthz" }));
});

test("paths match whole or by a star at the end", () => {
  const rule = { verbs: ["get"], nonResourceURLs: ["/healthz", "/api/*"] };
  assert.ok(ruleAllows(rule, { verb: "get", path: "/api/v1" }));
  assert.ok(!ruleAllows(rule, { verb: "get", path: "/healthz/etcd" }));
});

test("what is granted must be covered part by part", () => {
  const owned = [{ verbs: ["get", "list"], apiGroups: [""], resources: ["pods"] }];
  const wanted = [{ verbs: ["get", "delete"], apiGroups: [""], resources: ["pods"] }];
  assert.deepEqual(uncovered(owned, wanted), [{ verbs: ["delete"], apiGroups: [""], resources: ["pods"] }]);
  assert.deepEqual(uncovered([{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }], wanted), []);
});

test("a service account is a subject by namespace and name", () => {
  const user = { name: "system:serviceaccount:a:b", groups: [] };
  assert.ok(subjectIs({ kind: "ServiceAccount", name: "b", namespace: "a" }, user, ""));
  assert.ok(subjectIs({ kind: "ServiceAccount", name: "b" }, user, "a"));
  assert.ok(!subjectIs({ kind: "ServiceAccount", name: "b" }, user, "c"));
});

test("what is missing is told by the thing, with all its verbs", () => {
  const missing = uncovered(
    [],
    [{ verbs: ["get", "list"], apiGroups: [""], resources: ["pods"], resourceNames: ["a"] }],
  );
  assert.equal(missing.length, 2);
  assert.deepEqual(compacted(missing), [
    { apiGroups: [""], resources: ["pods"], resourceNames: ["a"], verbs: ["get", "list"] },
  ]);
  const urls = [{ verbs: ["get"], nonResourceURLs: ["/a"] }];
  assert.deepEqual(compacted(urls), urls);
});
