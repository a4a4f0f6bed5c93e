import assert from "node:assert/strict";
import { test } from "node:test";
import { groupsOfToken } from "./bootstrapTokens.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const base64 = (text: string) => Buffer.from(text).toString("base64");
const secret = (data: Record<string, string> = {}, more: object = {}) => ({
  metadata: {},
  type: "bootstrap.kubernetes.io/token",
  data: Object.fromEntries(
    Object.entries({
      "token-id": "abcdef",
      "token-secret": "0123456789abcdef",
      "usage-bootstrap-authentication": "true",
      ...data,
    }).map(([key, value]) => [key, base64(value)]),
  ),
  ...more,
});
const groups = (s: ReturnType<typeof secret>, tokenSecret = "0123456789abcdef") =>
  groupsOfToken(s, "abcdef", tokenSecret, NOW);

test("a token logs in with its groups", () => {
  assert.deepEqual(groups(secret()), ["system:bootstrappers"]);
  assert.deepEqual(groups(secret({ "auth-extra-groups": "system:bootstrappers:b,system:bootstrappers:a" })), [
    "system:bootstrappers",
    "system:bootstrappers:a",
    "system:bootstrappers:b",
  ]);
  assert.ok(groups(secret({ expiration: "2026-01-01T00:00:01Z" })));
});

test("a wrong, spent, unfit or foreign secret does not", () => {
  assert.equal(groups(secret(), "0123456789abcdee"), undefined);
  assert.equal(groups(secret({ "token-id": "other1" })), undefined);
  assert.equal(groups(secret({ expiration: "2026-01-01T00:00:00Z" })), undefined);
  assert.equal(groups(secret({ expiration: "tomorrow" })), undefined);
  assert.equal(groups(secret({ "usage-bootstrap-authentication": "false" })), undefined);
  assert.equal(groups(secret({ "auth-extra-groups": "system:masters" })), undefined);
  assert.equal(groups(secret({}, { type: "Opaque" })), undefined);
  assert.equal(groups(secret({}, { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } })), undefined);
});
