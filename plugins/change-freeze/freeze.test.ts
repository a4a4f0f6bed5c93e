import assert from "node:assert/strict";
import { test } from "node:test";
import type { AccessAttributes } from "#sdk/plugin/types.ts";
import { judge } from "./freeze.ts";

const asked = (more: Partial<AccessAttributes> = {}): AccessAttributes => ({
  tenant: "root",
  userTenant: "root",
  user: JSON.stringify({ name: "alice", groups: ["dev"] }),
  verb: "update",
  group: "apps",
  version: "v1",
  resource: "deployments",
  subresource: "",
  namespace: "prod-eu",
  name: "web",
  path: "",
  fieldSelector: "",
  labelSelector: "",
  ...more,
});
const NOW = Date.parse("2026-01-01T00:00:00Z");

test("changes in a frozen namespace are denied until its end, but for exempt groups", () => {
  const config = { namespaces: ["prod-*"], until: "2026-01-02T00:00:00Z", exemptGroups: ["ops"] };
  assert.deepEqual(judge(config, asked(), NOW), {
    verdict: "deny",
    reason: "changes in prod-eu are frozen until 2026-01-02T00:00:00Z",
  });
  assert.equal(judge(config, asked({ verb: "get" }), NOW).verdict, "no-opinion");
  assert.equal(judge(config, asked({ namespace: "dev" }), NOW).verdict, "no-opinion");
  assert.equal(judge(config, asked({ user: '{"groups":["ops"]}' }), NOW).verdict, "no-opinion");
  assert.equal(judge(config, asked(), NOW + 86_400_000).verdict, "no-opinion");
  assert.equal(judge({}, asked(), NOW).verdict, "no-opinion");
});
